"""Sentence-transformers models from a folder, on the CPU, without any hub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ModelError
from workbench.models.base import TextEncoder
from workbench.models.files import ModelFiles
from workbench.models.tokens import load_tokenizer
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from tokenizers import Encoding

    from workbench.protocols import Vectors

BATCH_TOKENS = 1_024
"""Tokens of one forward pass, padding included; about this size fills the caches best."""


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions grouped so that a group, padded to its longest, has at most ``budget`` tokens.

    Longest first. A single text longer than the budget is a group of its own.
    """
    group: list[int] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        longest = longest or max(1, lengths[position])
        if group and longest * (len(group) + 1) > budget:
            yield group
            group, longest = [], max(1, lengths[position])
        group.append(position)
    if group:
        yield group


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """Loading draws a bar on stderr; whoever shows progress here is not this function."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class LocalEncoder(TextEncoder):
    """Runs a sentence-transformers folder in float32."""

    def __init__(self, spec: EmbeddingSpec, files: ModelFiles, threads: int) -> None:
        """Load the model; torch of this process then computes with ``threads`` threads.

        Raises:
            ModelError: The folder can not be loaded, or its dimension is not that of ``spec``.
        """
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["TRANSFORMERS_OFFLINE"] = "1"
        import torch
        from sentence_transformers import SentenceTransformer

        super().__init__(spec, load_tokenizer(files.tokenizer))
        torch.set_num_threads(threads)
        try:
            with _without_progress_bar():
                self._model = SentenceTransformer(
                    str(files.folder),
                    device="cpu",
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True, "dtype": torch.float32},
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{files.folder} can not be loaded: {error}") from error
        if spec.max_tokens:
            self._model.max_seq_length = spec.max_tokens
        found = self._model.get_embedding_dimension()
        if found != spec.dimension:
            raise ModelError(
                f"model {spec.model!r} makes vectors of {found} numbers; expected "
                f"{spec.dimension}. Resolve the model again."
            )

    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        limit = self._spec.max_tokens
        lengths = [min(len(one), limit) if limit else len(one) for one in tokenised]
        vectors = np.empty((len(texts), self._spec.dimension), dtype=np.float32)
        for group in token_batches(lengths, BATCH_TOKENS):
            vectors[group] = self._model.encode(
                [texts[position] for position in group],
                prompt="",  # ours is in the text already; None would let the folder choose one
                batch_size=len(group),
                normalize_embeddings=self._spec.normalize,
                show_progress_bar=False,
            )
        return vectors

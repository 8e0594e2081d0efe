"""Sentence-transformers models from a folder, on the CPU, without any hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ModelError
from workbench.models.base import TextEncoder
from workbench.models.batches import BATCH_TOKENS, token_batches
from workbench.models.files import ModelFiles
from workbench.models.tokens import load_tokenizer
from workbench.models.truncate import normalized
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from tokenizers import Encoding

    from workbench.protocols import Vectors


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
    """Runs a sentence-transformers folder with torch, in float32 or bfloat16."""

    def __init__(self, spec: EmbeddingSpec, files: ModelFiles, threads: int) -> None:
        """Load the model; torch of this process then computes with ``threads`` threads.

        Raises:
            ModelError: The folder can not be loaded, or its vectors are shorter than ``spec`` says.
        """
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["TRANSFORMERS_OFFLINE"] = "1"
        import torch
        from sentence_transformers import SentenceTransformer

        super().__init__(spec, load_tokenizer(files.tokenizer))
        torch.set_num_threads(threads)
        dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
        try:
            with _without_progress_bar():
                self._model = SentenceTransformer(
                    str(files.folder),
                    device="cpu",
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True, "dtype": dtype},
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{files.folder} can not be loaded: {error}") from error
        if spec.max_tokens:
            self._model.max_seq_length = spec.max_tokens
        self._makes(self._model.get_embedding_dimension())

    @property
    def engine(self) -> str:
        """Torch, in the precision of the spec."""
        return f"torch {self._spec.precision}"

    @property
    def transformer(self) -> Any:
        """The module below pooling."""
        return self._model[0].auto_model

    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        limit = self._spec.max_tokens
        lengths = [min(len(one), limit) if limit else len(one) for one in tokenised]
        vectors = np.empty((len(texts), self._native), dtype=np.float32)
        for group in token_batches(lengths, BATCH_TOKENS):
            vectors[group] = self._model.encode(
                [texts[position] for position in group],
                prompt="",  # ours is in the text already; None would let the folder choose one
                batch_size=len(group),
                normalize_embeddings=self._spec.normalize,
                show_progress_bar=False,
            )
        # bfloat16 rounds the length of a vector too.
        return normalized(vectors) if self._spec.normalize else vectors

"""Static embeddings: the mean of one row per token. Loads neither torch nor transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ModelError
from workbench.models.base import TextEncoder
from workbench.models.files import ModelFiles
from workbench.models.tokens import load_tokenizer
from workbench.models.truncate import normalized
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from tokenizers import Encoding

    from workbench.protocols import Vectors

_WINDOW = 4_096
"""Tokens whose rows are in memory at a time (4 MB at 256 dimensions)."""


class StaticEncoder(TextEncoder):
    """Same vectors as ``StaticEmbedding`` of sentence-transformers: special tokens left out."""

    def __init__(self, spec: EmbeddingSpec, files: ModelFiles) -> None:
        """Read matrix and tokenizer.

        Raises:
            ModelError: The matrix has fewer than ``spec.dimension`` columns.
        """
        from safetensors.numpy import load_file

        super().__init__(spec, load_tokenizer(files.tokenizer), special=False)
        tensors = load_file(files.weights[0])
        if "embedding.weight" not in tensors:
            raise ModelError(
                f"{files.weights[0]} holds {sorted(tensors)}; expected a tensor 'embedding.weight'"
            )
        self._matrix = tensors["embedding.weight"].astype(np.float32)
        self._makes(self._matrix.shape[1])

    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        lengths = np.array([len(one) for one in tokenised], dtype=np.int64)
        sums = np.zeros((len(texts), self._native), dtype=np.float32)
        ids = np.fromiter(
            (token for one in tokenised for token in one.ids), np.int64, int(lengths.sum())
        )
        owners = np.repeat(np.arange(len(texts)), lengths)
        for start in range(0, len(ids), _WINDOW):
            window = owners[start : start + _WINDOW]
            firsts = np.flatnonzero(np.diff(window, prepend=-1))
            rows = self._matrix[ids[start : start + _WINDOW]]
            sums[window[firsts]] += np.add.reduceat(rows, firsts, axis=0)
        sums /= np.maximum(lengths, 1)[:, None]
        return normalized(sums) if self._spec.normalize else sums

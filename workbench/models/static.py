"""Static embeddings: the mean of one row per token. Loads neither torch nor transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ModelError
from workbench.models.base import TextEncoder, normalized
from workbench.models.files import ModelFiles
from workbench.models.tokens import load_tokenizer
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
            ModelError: The matrix does not have ``spec.dimension`` columns.
        """
        from safetensors.numpy import load_file

        super().__init__(spec, load_tokenizer(files.tokenizer), special=False)
        tensors = load_file(files.weights[0])
        if "embedding.weight" not in tensors:
            raise ModelError(
                f"{files.weights[0]} holds {sorted(tensors)}; expected a tensor 'embedding.weight'"
            )
        self._matrix = tensors["embedding.weight"].astype(np.float32)
        if self._matrix.shape[1] != spec.dimension:
            raise ModelError(
                f"model {spec.model!r}: the matrix has {self._matrix.shape[1]} columns; "
                f"expected {spec.dimension}. Resolve the model again."
            )

    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        lengths = np.array([len(one) for one in tokenised], dtype=np.int64)
        sums = np.zeros((len(texts), self._spec.dimension), dtype=np.float32)
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

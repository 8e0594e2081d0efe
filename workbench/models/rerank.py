"""Cross-encoders: one score for a query and a passage read together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InvalidVectors
from workbench.models.base import printable
from workbench.models.catalogue import Entry, entry_of
from workbench.models.factory import use_threads
from workbench.models.files import ModelFiles, verified_entry
from workbench.models.onnx import OnnxModel
from workbench.models.tokens import load_tokenizer
from workbench.protocols import Reranker

if TYPE_CHECKING:
    from numpy.typing import NDArray


def build_reranker(name: str, threads: int = 1) -> Reranker:
    """Load a catalogued reranker after verifying its files.

    Args:
        name: E.g. ``"ms-marco-l12"``.
        threads: CPU threads to compute with.

    Raises:
        UnknownName: There is no such reranker; names the nearest.
        ModelError: The name is that of an encoder or retriever.
        ModelMissing: Its package is not on this machine.
        DigestMismatch: Its files are not the pinned ones.
    """
    entry = entry_of(name, "reranker")
    files = verified_entry(name, entry)
    use_threads(threads)
    return _CrossEncoder(name, entry, files, threads)


class _CrossEncoder:
    """Satisfies ``workbench.protocols.Reranker``; its output is one logit, not a probability."""

    def __init__(self, name: str, entry: Entry, files: ModelFiles, threads: int) -> None:
        self._name = name
        self._tokenizer = load_tokenizer(files.tokenizer)
        self._tokenizer.enable_truncation(entry.max_tokens, strategy="longest_first")
        self._model = OnnxModel(files.weights[0], threads)

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Relevance of each text to ``query``, shape (n,); each pair is scored alone.

        Raises:
            InvalidVectors: A score is not finite; names the positions.
        """
        scores = np.empty(len(texts), dtype=np.float32)
        asked = printable(query)
        for position, text in enumerate(texts):
            output = self._model.run(self._tokenizer.encode(asked, printable(text)))
            scores[position] = output.reshape(-1)[0]
        bad = np.flatnonzero(~np.isfinite(scores)).tolist()
        if bad:
            raise InvalidVectors(
                f"{self._name}: scores of {len(bad)} of {len(texts)} texts are not finite: "
                f"positions {', '.join(map(str, bad[:10]))}"
            )
        return scores

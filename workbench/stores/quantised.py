"""The memory store over short codes: measures what quantisation costs before a database does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import StoreError
from workbench.stores.codes import Code
from workbench.stores.memory import Collection, MemoryStore, exact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.protocols import Vectors
    from workbench.records import Scalar
    from workbench.stores.base import Ranking


class QuantisedStore(MemoryStore):
    """Finds candidates by their codes and, unless told not to, ranks them by their vectors.

    Args:
        code: How vectors are shortened.
        oversampling: Candidates per wanted hit, ranked again by the float32 vectors; at least 1.
        rescore: False ranks by the codes alone.
    """

    def __init__(self, code: Code, *, oversampling: int = 3, rescore: bool = True) -> None:
        super().__init__()
        if oversampling < 1:
            raise StoreError(f"found an oversampling of {oversampling}; expected 1 or more")
        self._code = code
        self._oversampling = oversampling
        self._rescore = rescore
        self._codes: dict[str, tuple[tuple[NDArray[Any], ...], NDArray[Any]]] = {}

    def _upsert(
        self, index: str, ids: list[str], vectors: Vectors, metadata: list[dict[str, Scalar]]
    ) -> None:
        with self._lock:
            self._codes.pop(index, None)
            super()._upsert(index, ids, vectors, metadata)

    def _delete(self, index: str, ids: list[str]) -> None:
        with self._lock:
            self._codes.pop(index, None)
            super()._delete(index, ids)

    def _drop(self, index: str) -> None:
        with self._lock:
            self._codes.pop(index, None)
            super()._drop(index)

    def _rankings(
        self, index: str, rows: NDArray[np.intp], vectors: Vectors, k: int
    ) -> list[Ranking]:
        collection = self._collections[index]
        if index not in self._codes:
            codes = self._code.encode(collection.matrix[: len(collection.ids)])
            self._codes[index] = codes, np.array(collection.ids, dtype=object)
        codes, ids = self._codes[index]
        if len(rows) < len(ids):
            codes, ids = tuple(part[rows] for part in codes), ids[rows]
        rankings: list[Ranking] = []
        for query in vectors:
            scores = self._code.scores(query, codes)
            order = np.lexsort((ids, -scores))
            rankings.append(self._ranked(collection, query, rows[order], scores[order], k))
        return rankings

    def _ranked(
        self,
        collection: Collection,
        query: Vectors,
        rows: NDArray[np.intp],
        scores: NDArray[np.float32],
        k: int,
    ) -> Ranking:
        """The best ``k`` of ``rows``, which the codes put in this order."""
        if not self._rescore:
            best = zip(rows[:k], scores[:k], strict=True)
            return [(collection.ids[row], float(score)) for row, score in best]
        chosen = rows[: k * self._oversampling]
        return exact(query, collection.matrix[chosen], [collection.ids[row] for row in chosen], k)

"""The exact store: a matrix in memory. What every other store is compared with."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.records import Scalar
from workbench.stores.base import BaseStore, Ranking, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.protocols import Vectors

FIRST_ROWS = 256
BLOCK_SCORES = 4_000_000
"""Scores of one block of queries (16 MB of float32)."""
ROUNDING = 1e-5
"""More than the error of a float32 product of unit vectors; candidates this near are rescored."""


@dataclass
class Collection:
    """Vectors of one index, a row each, in the first rows of ``matrix``."""

    space: Space
    matrix: Vectors
    ids: list[str] = field(default_factory=list)
    metadata: list[dict[str, Scalar]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

    def put(self, found: str, vector: Vectors, metadata: dict[str, Scalar]) -> None:
        """Write or overwrite one record."""
        row = self.rows.get(found)
        if row is None:
            row = self.rows[found] = len(self.ids)
            self.ids.append(found)
            self.metadata.append(metadata)
        self.matrix[row] = vector
        self.metadata[row] = metadata

    def reserve(self, more: int) -> None:
        """Room for ``more`` new rows; the matrix at least doubles when it grows."""
        needed = len(self.ids) + more
        if needed > len(self.matrix):
            shape = (max(needed, 2 * len(self.matrix)), self.space.dimension)
            grown = np.zeros(shape, dtype=np.float32)
            grown[: len(self.ids)] = self.matrix[: len(self.ids)]
            self.matrix = grown

    def remove(self, found: str) -> None:
        """Close the gap with the last row."""
        row = self.rows.pop(found, None)
        if row is None:
            return
        last_id, last_metadata = self.ids.pop(), self.metadata.pop()
        if row < len(self.ids):
            self.matrix[row] = self.matrix[len(self.ids)]
            self.ids[row], self.metadata[row] = last_id, last_metadata
            self.rows[last_id] = row

    def matching(self, where: dict[str, Scalar]) -> NDArray[np.intp]:
        """Rows whose metadata have every key of ``where`` with an equal value."""
        if not where:
            return np.arange(len(self.ids))
        return np.flatnonzero([_matches(facts, where) for facts in self.metadata])


class MemoryStore(BaseStore):
    """Exact cosine search over float32 matrices; lost when the process ends.

    Scores do not depend on how queries are batched: candidates found by the float32 product are
    scored again row by row in float64, so equal vectors tie exactly. Safe to share by threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._collections: dict[str, Collection] = {}
        self._lock = threading.RLock()

    def _space(self, index: str) -> Space | None:
        collection = self._collections.get(index)
        return collection.space if collection else None

    def _create(self, index: str, space: Space) -> Space:
        empty = np.zeros((FIRST_ROWS, space.dimension), dtype=np.float32)
        return self._collections.setdefault(index, Collection(space, empty)).space

    def _upsert(
        self, index: str, ids: list[str], vectors: Vectors, metadata: list[dict[str, Scalar]]
    ) -> None:
        with self._lock:
            collection = self._collections[index]
            collection.reserve(sum(found not in collection.rows for found in ids))
            for found, vector, facts in zip(ids, vectors, metadata, strict=True):
                collection.put(found, vector, facts)

    def _delete(self, index: str, ids: list[str]) -> None:
        with self._lock:
            for found in ids:
                self._collections[index].remove(found)

    def _query(
        self, index: str, vectors: Vectors, k: int, where: dict[str, Scalar]
    ) -> list[Ranking]:
        with self._lock:
            rows = self._collections[index].matching(where)
            if not rows.size:
                return [[] for _ in vectors]
            return self._rankings(index, rows, vectors, k)

    def _rankings(
        self, index: str, rows: NDArray[np.intp], vectors: Vectors, k: int
    ) -> list[Ranking]:
        """The best of ``rows`` (rising, not empty) for each of ``vectors``; the lock is held."""
        collection = self._collections[index]
        # When it is all rows they are the first ones: no copy of the matrix.
        whole = len(rows) == len(collection.ids)
        matrix = collection.matrix[: len(rows)] if whole else collection.matrix[rows]
        ids = collection.ids if whole else [collection.ids[row] for row in rows]
        block = max(1, BLOCK_SCORES // len(matrix))
        rankings: list[Ranking] = []
        for start in range(0, len(vectors), block):
            queries = vectors[start : start + block]
            for query, scores in zip(queries, queries @ matrix.T, strict=True):
                rankings.append(_best(query, matrix, scores, ids, k))
        return rankings

    def _ids(self, index: str) -> list[str]:
        with self._lock:
            return list(self._collections[index].ids)

    def _drop(self, index: str) -> None:
        self._collections.pop(index, None)

    def _close(self) -> None:
        self._collections.clear()


def _best(query: Vectors, matrix: Vectors, scores: Vectors, ids: list[str], k: int) -> Ranking:
    candidates = np.arange(len(scores))
    if k < len(scores):
        worst = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= worst - ROUNDING)
    return exact(query, matrix[candidates], [ids[row] for row in candidates], k)


def exact(query: Vectors, matrix: Vectors, ids: list[str], k: int) -> Ranking:
    """The ``k`` rows of ``matrix`` nearest to ``query`` with their exact cosines, ties by id."""
    products = matrix.astype(np.float64) * query.astype(np.float64)
    cosines = np.clip(products.sum(axis=1), -1.0, 1.0)
    ranking = [(found, float(score)) for found, score in zip(ids, cosines, strict=True)]
    return sorted(ranking, key=lambda hit: (-hit[1], hit[0]))[:k]


def _matches(facts: dict[str, Scalar], where: dict[str, Scalar]) -> bool:
    for key, wanted in where.items():
        found = facts.get(key)
        if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            return False
    return True

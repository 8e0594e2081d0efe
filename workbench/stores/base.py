"""What every store promises, checked once: a backend only writes the hooks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.closing import Closing
from workbench.errors import InvalidVectors, SpaceMismatch, StoreError
from workbench.records import Metadata, Scalar

if TYPE_CHECKING:
    from workbench.protocols import Vectors

REBUILD = "rebuild it from the vault: `workbench index rebuild --corpus NAME`"
INT_LIMIT = 2**63
SMALLEST_NORM = 1e-30
RESERVED_PREFIXES = ("$", "#", "chroma:")

Ranking = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Space:
    """What the vectors of a collection have in common."""

    dimension: int
    fingerprint: str


class BaseStore(Closing, ABC):
    """Validates what comes in, guards the space, and hands clean input to the hooks.

    Hooks get vectors of unit length (float32), so every backend ranks by the same numbers.
    """

    def __init__(self) -> None:
        self._created: dict[str, Space] = {}
        self._closed = False

    def create(self, index: str, dimension: int, fingerprint: str) -> None:
        """Make the collection if it is not there.

        Raises:
            SpaceMismatch: It is there with another fingerprint or dimension; names both.
            StoreError: A name is empty, the dimension is not positive, or the backend failed.
        """
        self._check_open()
        if not index or not fingerprint or dimension < 1:
            raise StoreError(
                f"cannot create index {index!r} of dimension {dimension} for fingerprint "
                f"{fingerprint!r}; expected two names and a dimension of 1 or more"
            )
        wanted = Space(dimension, fingerprint)
        found = self._space(index)
        if found is None:
            found = self._create(index, wanted)
        check_space(index, found, wanted)
        self._created[index] = wanted

    def exists(self, index: str) -> bool:
        """Whether the collection is there."""
        self._check_open()
        return self._space(index) is not None

    def upsert(
        self, index: str, ids: Sequence[str], vectors: Vectors, metadata: Sequence[Metadata]
    ) -> None:
        """Write or overwrite; nothing is written when anything is invalid.

        Args:
            index: Name of the collection.
            ids: n different, non-empty strings.
            vectors: Shape (n, dimension), finite, no zero vector. Any length: scores are cosines.
            metadata: n flat mappings; an overwritten record keeps none of its old keys.

        Raises:
            InvalidVectors: Wrong shape, NaN, infinite or zero.
            StoreError: Invalid ids or metadata, no such collection, or the backend failed.
        """
        space = self._opened(index)
        checked = check_ids(ids)
        rows = check_vectors(vectors, space.dimension, len(checked))
        if len(metadata) != len(checked):
            raise StoreError(f"found {len(metadata)} metadata for {len(checked)} ids; expected one")
        facts = [check_metadata(entry, f"metadata of {checked[i]!r}") for i, entry in
                 enumerate(metadata)]  # fmt: skip
        if checked:
            self._upsert(index, checked, rows, facts)

    def delete(self, index: str, ids: Sequence[str]) -> None:
        """Remove; unknown ids are no error.

        Raises:
            StoreError: Invalid ids, no such collection, or the backend failed.
        """
        self._opened(index)
        checked = check_ids(list(dict.fromkeys(ids)))
        if checked:
            self._delete(index, checked)

    def query(
        self, index: str, vectors: Vectors, k: int, where: Mapping[str, Scalar] | None = None
    ) -> list[Ranking]:
        """For each row of ``vectors`` up to ``k`` (id, cosine), best first, ties by id.

        Args:
            index: Name of the collection.
            vectors: Shape (n, dimension), finite, no zero vector.
            k: At least 1; more than the collection holds is fine.
            where: Keys that a record must have with an equal value. Numbers compare as numbers
                (1 equals 1.0), booleans only with booleans.

        Raises:
            InvalidVectors: Wrong shape, NaN, infinite or zero.
            StoreError: ``k`` or ``where`` is invalid, no such collection, or the backend failed.
        """
        space = self._opened(index)
        if k < 1:
            raise StoreError(f"cannot return {k} hits; expected k of 1 or more")
        rows = check_vectors(vectors, space.dimension, None)
        condition = check_metadata(where or {}, "the filter")
        return self._query(index, rows, k, condition) if len(rows) else []

    def ids(self, index: str) -> Iterator[str]:
        """Every id of the collection as it is now, in any order.

        Raises:
            StoreError: No such collection, or the backend failed.
        """
        self._opened(index)
        return iter(self._ids(index))

    def drop(self, index: str) -> None:
        """Remove the collection; no error when it is not there."""
        self._check_open()
        self._created.pop(index, None)
        self._drop(index)

    def close(self) -> None:
        """Release files and connections; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("this store is closed; open it again with `open_store`")

    def _opened(self, index: str) -> Space:
        """Space of a collection that must be there and be the one that was created."""
        self._check_open()
        found = self._space(index)
        if found is None:
            raise StoreError(f"the store has no collection for index {index!r}; {REBUILD}")
        check_space(index, found, self._created.get(index, found))
        return found

    @abstractmethod
    def _space(self, index: str) -> Space | None:
        """Space of the collection; None when it is not there."""

    @abstractmethod
    def _create(self, index: str, space: Space) -> Space:
        """Make the collection; return the space it has (another writer may have been first)."""

    @abstractmethod
    def _upsert(
        self, index: str, ids: list[str], vectors: Vectors, metadata: list[dict[str, Scalar]]
    ) -> None: ...

    @abstractmethod
    def _delete(self, index: str, ids: list[str]) -> None: ...

    @abstractmethod
    def _query(
        self, index: str, vectors: Vectors, k: int, where: dict[str, Scalar]
    ) -> list[Ranking]: ...

    @abstractmethod
    def _ids(self, index: str) -> list[str]: ...

    @abstractmethod
    def _drop(self, index: str) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


def check_space(index: str, found: Space, wanted: Space) -> None:
    """Refuse to mix two spaces.

    Raises:
        SpaceMismatch: They differ; names both fingerprints and dimensions.
    """
    if found != wanted:
        raise SpaceMismatch(
            f"index {index!r} holds vectors of fingerprint {found.fingerprint} "
            f"({found.dimension} dimensions); expected {wanted.fingerprint} "
            f"({wanted.dimension} dimensions). A new model is a new index: ingest into another one"
        )


def check_ids(ids: Sequence[str]) -> list[str]:
    """``ids`` as a list of different, non-empty strings that are valid Unicode.

    Raises:
        StoreError: One is not; names it.
    """
    seen: set[str] = set()
    for found in ids:
        if not isinstance(found, str) or not found or not _encodable(found):
            raise StoreError(f"found id {found!r}; expected a non-empty string of valid Unicode")
        if found in seen:
            raise StoreError(f"id {found!r} is there twice in one batch; expected different ids")
        seen.add(found)
    return list(ids)


def check_vectors(vectors: Any, dimension: int, count: int | None) -> Vectors:
    """``vectors`` scaled to unit length, float32, shape (count, dimension).

    Raises:
        InvalidVectors: Wrong shape, not numbers, NaN, infinite or zero; names the first bad row.
    """
    import numpy as np

    try:
        rows = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidVectors(f"found vectors that are not a matrix of numbers: {error}") from error
    if rows.size == 0 and not count and rows.shape[0] == 0:
        return np.empty((0, dimension), dtype=np.float32)
    expected = (rows.shape[0] if count is None else count, dimension)
    if rows.shape != expected:
        raise InvalidVectors(f"found vectors of shape {rows.shape}; expected {expected}")
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms < SMALLEST_NORM))
    if bad.size:
        row = int(bad[0])
        what = "a zero vector" if np.isfinite(norms[row]) else "NaN or infinity"
        raise InvalidVectors(
            f"found {what} in row {row} of {len(rows)}; expected finite vectors that are not zero. "
            "Encode the text again"
        )
    unit: Vectors = (rows / norms[:, None]).astype(np.float32)
    return unit


def check_metadata(metadata: Metadata, what: str) -> dict[str, Scalar]:
    """``metadata`` as a plain dict of plain scalars.

    Raises:
        StoreError: A key is reserved or not a name, or a value is not a finite flat scalar.
    """
    facts: dict[str, Scalar] = {}
    for key, value in metadata.items():
        if not isinstance(key, str) or not key or not _encodable(key):
            raise StoreError(f"{what} has the key {key!r}; expected a non-empty string")
        if key.startswith(RESERVED_PREFIXES):
            raise StoreError(
                f"{what} has the key {key!r}; no key may start with '$', '#', 'chroma:'"
            )
        facts[key] = _plain(value, f"{what}, key {key!r}")
    return facts


def _plain(value: Scalar, where: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and _encodable(value):
        return str(value)
    if isinstance(value, int) and -INT_LIMIT <= value < INT_LIMIT:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise StoreError(
        f"{where} is {value!r}; expected a string, a boolean, a 64-bit integer or a finite float"
    )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

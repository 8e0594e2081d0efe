"""The durable vectors of record, checked on every read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from workbench.errors import InvalidVectors
from workbench.records import Role
from workbench.state.db import Database, run_statements
from workbench.state.flights import SingleFlight
from workbench.state.lookups import Lookups

SLICE = 500
DELETED_TOGETHER = 10_000
CHECKSUM_BYTES = 8
ITEM_BYTES = 4
PRAGMAS = ("page_size = 8192", "cache_size = -16384")
"""Of 4, 8 and 16 KiB pages, 8 wrote fastest with a million vectors; 16 MiB hold a batch's pages."""

TIER = "vault"


class Stored(NamedTuple):
    """An immutable vector with what is known about it; tenant "" = not known."""

    vector: NDArray[np.float32]
    fingerprint: str
    role: Role
    tenant: str


def m001_vectors(connection: Connection) -> None:
    """A rowid table with a unique key: the fastest layout measured for this use."""
    run_statements(
        connection,
        """
        CREATE TABLE vectors (
            vector_id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
            created_at FLOAT NOT NULL, data BLOB NOT NULL, checksum BLOB NOT NULL)
        """,
    )


def m002_whose(connection: Connection) -> None:
    """Role and tenant of each vector (queries expire, tenants are purged), counts of lookups."""
    run_statements(
        connection,
        """
        ALTER TABLE vectors ADD COLUMN role TEXT NOT NULL DEFAULT 'document';
        ALTER TABLE vectors ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
        CREATE INDEX vectors_of_queries ON vectors (created_at) WHERE role = 'query';
        CREATE TABLE lookups (
            tier TEXT NOT NULL, fingerprint TEXT NOT NULL, role TEXT NOT NULL,
            vectors INTEGER NOT NULL, bytes INTEGER NOT NULL,
            PRIMARY KEY (tier, fingerprint, role))
        """,
    )


class Vault:
    """Vectors by key (see ``EmbeddingSpec.vault_key``), float32, bit-exact.

    A row that fails its checksum or holds a non-finite number counts as absent, so it is encoded
    again and overwritten; ``damaged`` counts them. ``lookups`` counts hits and misses; it is kept
    in the file when the vault is closed. Who encodes holds the keys in ``flights`` meanwhile.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        """Open the vault at ``path``; None keeps it in memory."""
        self._db = Database(path, (m001_vectors, m002_whose), PRAGMAS)
        self._clock = clock
        self.damaged = 0
        self.lookups = Lookups(self._db)
        self.flights = SingleFlight()

    def get(
        self, keys: Sequence[bytes], *, dimension: int | None = None, again: bool = False
    ) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are there and sound, by key; each is read-only, shape (dimension,).

        Args:
            keys: Duplicates are looked up once.
            dimension: What the caller expects; a vector of another one counts as damaged.
            again: The caller has just looked these keys up: not counted a second time.
        """
        found = self._rows(keys, dimension)
        if not again:
            self.lookups.count(TIER, found.values())
            self.lookups.missed(len(set(keys)) - len(found))
        return {key: entry.vector for key, entry in found.items()}

    def recorded(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """As ``get``, from the file itself, past every cache, and not counted."""
        return {key: entry.vector for key, entry in self._rows(keys, None).items()}

    def put(
        self,
        fingerprint: str,
        keys: Sequence[bytes],
        vectors: NDArray[np.float32],
        *,
        role: Role = "document",
        tenants: Sequence[str] = (),
    ) -> None:
        """Store ``vectors`` (shape (len(keys), dimension)) in one transaction, or none of them.

        ``role`` and ``tenants`` (one per key, or none at all) say when a vector expires and with
        whom it is purged.

        Raises:
            InvalidVectors: A shape does not fit, or a row is zero or not finite.
        """
        self._keep(entries_of(fingerprint, keys, vectors, role, tenants))

    def _keep(self, entries: Mapping[bytes, Stored]) -> None:
        if not entries:
            return
        now = self._clock()
        values = []
        for key, entry in entries.items():
            data = entry.vector.tobytes()
            values.append(
                (
                    key,
                    entry.fingerprint,
                    now,
                    data,
                    checksum_of(key, data),
                    entry.role,
                    entry.tenant,
                )
            )
        with self._db.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO vectors (key, fingerprint, created_at, data, checksum, role, tenant) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "created_at = excluded.created_at, data = excluded.data, "
                "checksum = excluded.checksum, role = excluded.role, tenant = excluded.tenant",
                values,
            )

    def delete(self, keys: Iterable[bytes]) -> None:
        """Remove the vectors of ``keys``; unknown keys are no error."""
        values = [(key,) for key in keys]
        for start in range(0, len(values), DELETED_TOGETHER):
            with self._db.write() as connection:
                connection.exec_driver_sql(
                    "DELETE FROM vectors WHERE key = ?", values[start : start + DELETED_TOGETHER]
                )

    def matching(
        self,
        *,
        fingerprint: str | None = None,
        tenant: str | None = None,
        role: Role | None = None,
        before: float | None = None,
    ) -> set[bytes]:
        """Keys of the rows of that space, tenant and role, made before that time (Unix)."""
        asked = {"fingerprint = ?": fingerprint, "tenant = ?": tenant, "created_at < ?": before}
        wanted = {term: value for term, value in asked.items() if value is not None}
        # As a constant, for only then does SQLite use the index of queries.
        kind = {None: "1", "query": "role = 'query'", "document": "role = 'document'"}[role]
        where = " AND ".join([kind, *wanted])
        with self._db.read() as connection:
            query = f"SELECT key FROM vectors WHERE {where}"  # noqa: S608
            return set(connection.exec_driver_sql(query, tuple(wanted.values())).scalars())

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of ``keys`` that have a row, sound or not."""
        with self._db.read() as connection:
            return {
                row.key
                for part, marks in _parts(keys)
                for row in connection.exec_driver_sql(
                    f"SELECT key FROM vectors WHERE key IN ({marks})",  # noqa: S608
                    part,
                )
            }

    def now(self) -> float:
        """The time by which vectors have an age (Unix)."""
        return self._clock()

    def expire(self, older_than: float) -> int:
        """Remove query vectors made more than ``older_than`` seconds ago; returns how many."""
        keys = self.matching(role="query", before=self._clock() - older_than)
        self.delete(keys)
        return len(keys)

    def spaces(self) -> list[tuple[str, Role, int, int]]:
        """(fingerprint, role, vectors, bytes of vectors) of what is stored; reads every row."""
        with self._db.read() as connection:
            rows = connection.execute(
                text(
                    "SELECT fingerprint, role, count(*), sum(length(data)) FROM vectors "
                    "GROUP BY fingerprint, role ORDER BY fingerprint, role"
                )
            )
            return [(name, role, int(count), int(size)) for name, role, count, size in rows]

    def __len__(self) -> int:
        with self._db.read() as connection:
            return int(connection.execute(text("SELECT count(*) FROM vectors")).scalar_one())

    def close(self) -> None:
        """Keep the counts and close the file."""
        try:
            self.lookups.flush()
        finally:
            self._db.close()

    def _rows(self, keys: Sequence[bytes], dimension: int | None) -> dict[bytes, Stored]:
        found: dict[bytes, Stored] = {}
        with self._db.read() as connection:
            for part, marks in _parts(keys):
                rows = connection.exec_driver_sql(
                    "SELECT key, data, checksum, fingerprint, role, tenant FROM vectors "  # noqa: S608
                    f"WHERE key IN ({marks})",
                    part,
                ).all()
                entries = sound(rows, dimension)
                self.damaged += len(rows) - len(entries)
                found |= entries
        return found


def entries_of(
    fingerprint: str,
    keys: Sequence[bytes],
    vectors: NDArray[np.float32],
    role: Role = "document",
    tenants: Sequence[str] = (),
) -> dict[bytes, Stored]:
    """Immutable copies of the rows of ``vectors``, by key.

    Raises:
        InvalidVectors: A shape does not fit, or a row is zero or not finite.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or len(rows) != len(keys):  # noqa: PLR2004
        raise InvalidVectors(f"{len(keys)} keys came with vectors of shape {rows.shape}")
    if tenants and len(tenants) != len(keys):
        raise InvalidVectors(f"{len(keys)} keys came with {len(tenants)} tenants")
    if not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise InvalidVectors("a vector is zero or not finite; nothing was stored")
    owners = tenants or [""] * len(keys)
    return {
        key: Stored(np.frombuffer(row.tobytes(), np.float32), fingerprint, role, tenant)
        for key, row, tenant in zip(keys, rows, owners, strict=True)
    }


def sound(rows: Iterable[Sequence[Any]], dimension: int | None) -> dict[bytes, Stored]:
    """Entries of those rows (key, data, checksum, fingerprint, role, tenant) that can be trusted.

    Their data is what was stored under that key: finite numbers, ``dimension`` of them where that
    is not None.
    """
    width = None if dimension is None else dimension * ITEM_BYTES
    entries = {
        key: Stored(np.frombuffer(data, np.float32), *facts)
        for key, data, checksum, *facts in rows
        if checksum == checksum_of(key, data)
        and (len(data) == width or (width is None and data and len(data) % ITEM_BYTES == 0))
    }
    if entries and np.isfinite(np.concatenate([e.vector for e in entries.values()])).all():
        return entries
    return {key: e for key, e in entries.items() if np.isfinite(e.vector).all()}


def checksum_of(key: bytes, data: bytes) -> bytes:
    """8 bytes that bind ``data`` to ``key``."""
    return hashlib.blake2b(key + data, digest_size=CHECKSUM_BYTES).digest()


def _parts(keys: Iterable[bytes]) -> Iterator[tuple[tuple[bytes, ...], str]]:
    """Distinct ``keys`` in slices, each with its placeholders."""
    unique = tuple(dict.fromkeys(keys))
    for start in range(0, len(unique), SLICE):
        part = unique[start : start + SLICE]
        yield part, ",".join("?" * len(part))

"""The durable vectors of record, checked on every read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from workbench.errors import InvalidVectors
from workbench.state.db import Database, run_statements

SLICE = 500
CHECKSUM_BYTES = 8


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


class Vault:
    """Vectors by key (see ``EmbeddingSpec.vault_key``), float32, bit-exact.

    A row that fails its checksum or holds a non-finite number counts as absent, so it is encoded
    again and overwritten; ``damaged`` counts them.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        """Open the vault at ``path``; None keeps it in memory."""
        self._db = Database(path, (m001_vectors,))
        self._clock = clock
        self.damaged = 0

    def get(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are there and sound, by key; each has shape (dimension,)."""
        found: dict[bytes, NDArray[np.float32]] = {}
        unique = list(dict.fromkeys(keys))
        with self._db.read() as connection:
            for start in range(0, len(unique), SLICE):
                part = unique[start : start + SLICE]
                marks = ",".join("?" * len(part))
                rows = connection.exec_driver_sql(
                    f"SELECT key, data, checksum FROM vectors WHERE key IN ({marks})",  # noqa: S608
                    tuple(part),
                )
                for key, data, checksum in rows:
                    vector = np.frombuffer(data, dtype=np.float32)
                    if checksum == _checksum(key, data) and np.isfinite(vector).all():
                        found[key] = vector
                    else:
                        self.damaged += 1
        return found

    def put(self, fingerprint: str, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Store ``vectors`` (shape (len(keys), dimension)) in one transaction, or none of them.

        Raises:
            InvalidVectors: A shape does not fit, or a row is zero or not finite.
        """
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(keys):  # noqa: PLR2004
            raise InvalidVectors(f"{len(keys)} keys came with vectors of shape {rows.shape}")
        if not np.isfinite(rows).all() or not np.abs(rows).sum(axis=1).all():
            raise InvalidVectors("a vector is zero or not finite; nothing was stored")
        now = self._clock()
        values = [
            (key, fingerprint, now, data, _checksum(key, data))
            for key, data in zip(keys, (row.tobytes() for row in rows), strict=True)
        ]
        if not values:
            return
        with self._db.write() as connection:
            connection.exec_driver_sql(
                "INSERT OR REPLACE INTO vectors (key, fingerprint, created_at, data, checksum) "
                "VALUES (?, ?, ?, ?, ?)",
                values,
            )

    def delete(self, keys: Iterable[bytes]) -> None:
        """Remove the vectors of ``keys``; unknown keys are no error."""
        values = [(key,) for key in keys]
        if values:
            with self._db.write() as connection:
                connection.exec_driver_sql("DELETE FROM vectors WHERE key = ?", values)

    def __len__(self) -> int:
        with self._db.read() as connection:
            return int(connection.execute(text("SELECT count(*) FROM vectors")).scalar_one())

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _checksum(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(key + data, digest_size=CHECKSUM_BYTES).digest()

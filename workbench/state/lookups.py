"""How often vectors were found, and in which tier."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.state.db import Database

if TYPE_CHECKING:
    from workbench.state.vault import Stored

MISSED = "none"
"""Tier of what was found nowhere."""


@dataclass(frozen=True, slots=True)
class LookupCount:
    """Vectors found in ``tier`` (``none``: not found), of one space and role, and their bytes."""

    tier: str
    fingerprint: str
    role: str
    vectors: int
    bytes: int


class Lookups:
    """Counts of this session, added to those of the file by ``flush``.

    A process that is killed loses the counts of its session, and nothing else.
    """

    def __init__(self, db: Database) -> None:
        """Keep the counts in ``db``."""
        self._db = db
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], tuple[int, int]] = {}

    def count(self, tier: str, found: Iterable[Stored]) -> None:
        """Count the vectors ``found`` in ``tier``."""
        with self._lock:
            for entry in found:
                self._add((tier, entry.fingerprint, entry.role), 1, entry.vector.nbytes)

    def missed(self, number: int) -> None:
        """Count ``number`` keys that no tier had."""
        if number:
            with self._lock:
                self._add((MISSED, "", ""), number, 0)

    def flush(self) -> None:
        """Add the counts of this session to the file; without any there is no write."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if counts:
            with self._db.write() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO lookups (tier, fingerprint, role, vectors, bytes) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (tier, fingerprint, role) DO UPDATE SET "
                    "vectors = vectors + excluded.vectors, bytes = bytes + excluded.bytes",
                    [(*key, *numbers) for key, numbers in counts.items()],
                )

    def totals(self) -> list[LookupCount]:
        """All counts, of earlier sessions and of this one."""
        self.flush()
        with self._db.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT tier, fingerprint, role, vectors, bytes FROM lookups "
                "ORDER BY tier, fingerprint, role"
            )
            return [LookupCount(*row) for row in rows]

    def _add(self, key: tuple[str, str, str], vectors: int, nbytes: int) -> None:
        before = self._counts.get(key, (0, 0))
        self._counts[key] = (before[0] + vectors, before[1] + nbytes)

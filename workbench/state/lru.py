"""Vectors in memory, bounded in bytes: the least recently used one goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from workbench.state.vault import Stored

ENTRY_OVERHEAD = 464
"""Bytes that Python adds to one entry: key, array, tuple and their places in the table."""


class LRU:
    """A thread-safe table of immutable vectors; every operation is O(1) per key."""

    def __init__(self, limit_bytes: int) -> None:
        """Hold at most ``limit_bytes``, overhead included; 0 holds nothing."""
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, Stored] = OrderedDict()
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes in use, overhead included; never above the limit."""
        return self._nbytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Stored]:
        """Those of ``keys`` that are here; they become the most recently used."""
        found = {}
        with self._lock:
            for key in keys:
                entry = self._entries.get(key)
                if entry is not None:
                    self._entries.move_to_end(key)
                    found[key] = entry
        return found

    def put(self, entries: Mapping[bytes, Stored]) -> None:
        """Keep ``entries``, whose vectors must be immutable, as the most recently used."""
        with self._lock:
            for key, entry in entries.items():
                self._drop(key)
                self._entries[key] = entry
                self._nbytes += _size(entry)
                while self._nbytes > self._limit:
                    _, oldest = self._entries.popitem(last=False)
                    self._nbytes -= _size(oldest)

    def delete(self, keys: Iterable[bytes]) -> int:
        """Forget ``keys``; returns how many were here."""
        with self._lock:
            return sum(self._drop(key) for key in keys)

    def _drop(self, key: bytes) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._nbytes -= _size(entry)
        return True


def _size(entry: Stored) -> int:
    return entry.vector.nbytes + ENTRY_OVERHEAD

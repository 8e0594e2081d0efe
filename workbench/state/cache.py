"""The vault with faster and wider tiers around it: memory before it, Redis behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.records import Role
from workbench.state.lru import LRU
from workbench.state.redis_cache import RedisCache
from workbench.state.vault import TIER, Stored, Vault, entries_of

MEMORY = "memory"
REDIS = "redis"


class CachedVault(Vault):
    """A vault that remembers in memory, and asks Redis for what this home has never encoded.

    The order is memory, vault, Redis: a local file answers faster than a server, so only an
    encoder call is dearer than Redis. What Redis knows is put into the vault before it is
    returned: everything that an index holds is on record, and a damaged row is mended. No tier
    remembers that a vector was absent.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        memory: LRU,
        remote: RedisCache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the vault at ``path`` (None = in memory) with these tiers."""
        super().__init__(path, clock)
        self.memory = memory
        self.remote = remote

    def get(
        self, keys: Sequence[bytes], *, dimension: int | None = None, again: bool = False
    ) -> dict[bytes, NDArray[np.float32]]:
        """See ``Vault.get``."""
        wanted = list(dict.fromkeys(keys))
        found = self.memory.get(wanted)
        if dimension is not None:
            found = {key: e for key, e in found.items() if len(e.vector) == dimension}
        tiers = {MEMORY: found}
        if missing := [key for key in wanted if key not in found]:
            tiers[TIER] = self._rows(missing, dimension)
            lacking = [key for key in missing if key not in tiers[TIER]]
            tiers[REDIS] = self._shared(lacking, dimension)
            self.memory.put(tiers[TIER] | tiers[REDIS])
        result = {key: e.vector for tier in tiers.values() for key, e in tier.items()}
        if not again:
            for name, tier in tiers.items():
                self.lookups.count(name, tier.values())
            self.lookups.missed(len(wanted) - len(result))
        return result

    def put(
        self,
        fingerprint: str,
        keys: Sequence[bytes],
        vectors: NDArray[np.float32],
        *,
        role: Role = "document",
        tenants: Sequence[str] = (),
    ) -> None:
        """See ``Vault.put``: on record first, then in the other tiers."""
        entries = entries_of(fingerprint, keys, vectors, role, tenants)
        self._keep(entries)
        self.memory.put(entries)
        if self.remote and entries:
            self.remote.put(entries)

    def delete(self, keys: Iterable[bytes]) -> None:
        """Remove the vectors of ``keys`` from every tier.

        Raises:
            StateError: Redis can not be reached; nothing was removed from it.
        """
        gone = list(keys)
        super().delete(gone)
        self.memory.delete(gone)
        if self.remote and gone:
            self.remote.remove(gone)

    def close(self) -> None:
        """Close the connections and the file."""
        if self.remote:
            self.remote.close()
        super().close()

    def _shared(self, keys: Sequence[bytes], dimension: int | None) -> dict[bytes, Stored]:
        if not keys or not self.remote:
            return {}
        found = self.remote.get(keys, dimension)
        self._keep(found)
        return found

"""What the cache holds and saved, and removing vectors from every tier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import ConfigError, StateError, UnknownName
from workbench.results import Result, text_table
from workbench.state.cache import MEMORY, REDIS, CachedVault
from workbench.state.lookups import MISSED
from workbench.state.registry import Registry
from workbench.state.vault import TIER, Stored

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class CacheStats(Result):
    """Lookups of this home by the tier that answered them, and what each space holds.

    ``tokens_avoided`` and ``dollars_avoided`` are hits times what a text of the same space and
    role cost on average here; hits in spaces that were never encoded here are ``hits_unpriced``.
    """

    lookups: int
    missed: int
    tokens_avoided: float
    dollars_avoided: float
    hits_unpriced: int
    tiers: tuple[dict[str, Any], ...]
    spaces: tuple[dict[str, Any], ...]

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per tier."""
        return list(self.tiers)

    def __str__(self) -> str:
        unpriced = f"; {self.hits_unpriced:,} hits of unknown cost" if self.hits_unpriced else ""
        summary = (
            f"{self.lookups:,} lookups, {self.missed:,} found nowhere. Avoided: about "
            f"{self.tokens_avoided:,.0f} tokens, ${self.dollars_avoided:,.6f}{unpriced}."
        )
        return "\n".join([text_table(self.tiers), "", text_table(self.spaces), "", summary])


@dataclass(frozen=True, slots=True)
class PurgeResult(Result):
    """Vectors removed, by tier, and the live chunks that have lost theirs, by corpus and space.

    ``tokens`` and ``dollars`` are what encoding those again will take, None where not known.
    """

    selection: dict[str, str]
    dry_run: bool
    removed: dict[str, int]
    live: tuple[dict[str, Any], ...]

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per tier."""
        return [{"tier": tier, "vectors": number} for tier, number in self.removed.items()]

    def __str__(self) -> str:
        verb = "would be removed" if self.dry_run else "removed"
        lines = [f"{tier}: {number:,} vectors {verb}" for tier, number in self.removed.items()]
        if self.live:
            lines += ["", "Live chunks that lose their vector of record:", text_table(self.live)]
            lines += ["Searches go on. `workbench index verify` reports these chunks until"]
            lines += [
                f"`workbench index rebuild --corpus {name}` has encoded them again."
                for name in dict.fromkeys(row["corpus"] for row in self.live)
            ]
        return "\n".join(lines)


def cache_stats(registry: Registry, vault: CachedVault) -> CacheStats:
    """Count what ``vault`` holds and what its tiers answered; reads every row once."""
    counts = vault.lookups.totals()
    prices = registry.use.cost_per_text()
    lookups = sum(count.vectors for count in counts)
    tiers = []
    for tier in (MEMORY, TIER, REDIS):
        mine = [count for count in counts if count.tier == tier]
        found = sum(count.vectors for count in mine)
        tiers.append(
            {
                "tier": tier, "hits": found, "hit_rate": found / lookups if lookups else 0.0,
                "bytes_served": sum(count.bytes for count in mine), **_state(vault, tier),
            }
        )  # fmt: skip
    hits = [count for count in counts if count.tier != MISSED]
    priced = [(c.vectors, *prices[c.fingerprint, c.role]) for c in hits
              if (c.fingerprint, c.role) in prices]  # fmt: skip
    return CacheStats(
        lookups=lookups,
        missed=lookups - sum(count.vectors for count in hits),
        tokens_avoided=sum(n * tokens for n, tokens, _ in priced),
        dollars_avoided=sum(n * dollars for n, _, dollars in priced),
        hits_unpriced=sum(count.vectors for count in hits) - sum(n for n, _, _ in priced),
        tiers=tuple(tiers),
        spaces=tuple(
            {"fingerprint": name, "role": role, "vectors": number, "bytes": size}
            for name, role, number, size in vault.spaces()
        ),
    )


def _state(vault: CachedVault, tier: str) -> dict[str, Any]:
    """Entries of a tier now, and a word on it."""
    if tier == MEMORY:
        return {"entries": len(vault.memory), "state": "of this process"}
    if tier == TIER:
        return {"entries": len(vault), "state": "in use"}
    if vault.remote is None:
        return {"entries": 0, "state": "not configured"}
    try:
        return {"entries": vault.remote.size(), "state": f"in use ({vault.remote.address})"}
    except StateError as error:
        return {"entries": None, "state": str(error).partition(". ")[0]}


def cache_purge(
    registry: Registry,
    vault: CachedVault,
    *,
    tenant: str | None = None,
    corpus: str | None = None,
    fingerprint: str | None = None,
    older_than: str | None = None,
    dry_run: bool = False,
) -> PurgeResult:
    """Remove vectors that match every given condition from memory, vault and Redis.

    Sessions that are open elsewhere keep what they have in memory until they end. Vectors that
    another machine put into Redis and this vault never had are found by tenant and fingerprint.

    Args:
        registry: Knows which chunk uses which vector.
        vault: Where to remove them.
        tenant: Vectors of the texts of this tenant, queries included.
        corpus: Vectors of the chunks in its indexes that no other corpus holds.
        fingerprint: Vectors of this space.
        older_than: Vectors of queries made longer ago, as ``30d``, ``12h``, ``5m``.
        dry_run: Count, change nothing.

    Raises:
        ConfigError: No condition is given, or a duration is not one.
        UnknownName: There is no such corpus or space.
        StateError: Redis can not be reached; run it again, or unset its URL.
    """
    given = {"tenant": tenant, "corpus": corpus, "fingerprint": fingerprint,
             "older_than": older_than}  # fmt: skip
    selection = {name: value for name, value in given.items() if value is not None}
    if not selection:
        raise ConfigError(
            "a purge needs a condition; give --tenant, --corpus, --fingerprint or --older-than"
        )
    keys = set.intersection(
        *(_matching(registry, vault, name, value) for name, value in selection.items())
    )
    present = vault.present(list(keys))
    removed = {MEMORY: len(vault.memory.get(keys)), TIER: len(present)}
    live = _live(registry, keys & present)
    if not dry_run:
        if vault.remote:
            removed[REDIS] = vault.remote.remove(keys)
            if not {"corpus", "older_than"} & set(selection):
                removed[REDIS] += vault.remote.remove_where(_matcher(tenant, fingerprint))
        vault.delete(keys)  # from Redis once more: what was put there meanwhile goes as well
    return PurgeResult(selection, dry_run, removed, tuple(live))


def _matching(registry: Registry, vault: CachedVault, name: str, value: str) -> set[bytes]:
    if name == "tenant":
        return vault.matching(tenant=value) | registry.use.keys_of_tenant(value)
    if name == "corpus":
        return registry.use.keys_of_corpus(registry.documents.corpus(value))
    if name == "older_than":
        return vault.matching(role="query", before=vault.now() - seconds_of(value))
    known = {space for space, *_ in vault.spaces()}
    if value not in known and vault.remote is None:
        raise UnknownName.among("fingerprint", value, known)
    return vault.matching(fingerprint=value)


def _matcher(tenant: str | None, fingerprint: str | None) -> Any:
    def matches(entry: Stored) -> bool:
        return tenant in {None, entry.tenant} and fingerprint in {None, entry.fingerprint}

    return matches


def _live(registry: Registry, keys: set[bytes]) -> list[dict[str, Any]]:
    prices = registry.use.cost_per_text()
    rows = []
    for (corpus, fingerprint), chunks in sorted(registry.use.holders(keys).items()):
        tokens, dollars = prices.get((fingerprint, "document"), (None, None))
        rows.append(
            {
                "corpus": corpus, "fingerprint": fingerprint, "chunks": chunks,
                "tokens": None if tokens is None else round(tokens * chunks),
                "dollars": None if dollars is None else dollars * chunks,
            }
        )  # fmt: skip
    return rows


def seconds_of(duration: str) -> float:
    """``30d``, ``12h``, ``5m`` or ``90s`` in seconds.

    Raises:
        ConfigError: It is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", duration.strip())
    if found is None:
        raise ConfigError(f"expected a duration such as 30d, 12h or 5m; found {duration!r}")
    return float(found[1]) * UNITS[found[2]]

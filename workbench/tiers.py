"""One corpus, several models: documents are assigned to indexes, vectors are never mixed.

Each tier is a corpus of its own with its own index, so nothing new can go wrong: a document whose
length or metadata change leaves one tier as a deleted document and enters another as a new one.
A query searches every tier and the answers are merged by rank, or by a reranker, which reads text.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.config import TierRule
from workbench.corpus import Corpus
from workbench.data.source import Item, Source
from workbench.errors import ConfigError, SourceError
from workbench.models import counter_for, resolve
from workbench.records import DEFAULT_TENANT, Quarantined, Scalar, SourceDocument
from workbench.results import Result
from workbench.search.fuse import fused
from workbench.search.searcher import FoundDocument, SearchResult

if TYPE_CHECKING:
    from workbench.session import Workbench
    from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class TierResults(Result):
    """What a verb did in each tier."""

    corpus: str
    tiers: Mapping[str, Result]

    @property
    def ok(self) -> bool:
        """Whether no tier says otherwise."""
        return all(getattr(result, "ok", True) for result in self.tiers.values())

    def to_dict(self) -> dict[str, Any]:
        """The results by tier."""
        tiers = {name: result.to_dict() for name, result in self.tiers.items()}
        return {"corpus": self.corpus, "ok": self.ok, "tiers": tiers}

    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows of all tiers."""
        return [
            {"tier": name, **row} for name, result in self.tiers.items() for row in result.rows()
        ]


class TieredCorpus:
    """A corpus whose configuration says which documents go to which model.

    It has the verbs of ``Corpus``. Model and chunking of each tier are those of its rule.
    """

    def __init__(
        self,
        bench: Workbench,
        workspace: Workspace,
        name: str,
        rules: Sequence[TierRule],
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        """Work on the tiers of corpus ``name`` for ``tenant``."""
        self._bench = bench
        self.name = name
        self.tenant = tenant
        self._rules = {rule.name: rule for rule in rules}
        self._tiers = {
            rule.name: Corpus(bench, workspace, f"{name}/{rule.name}", tenant) for rule in rules
        }

    def ingest(
        self,
        source: str,
        *,
        model: str | None = None,
        chunking: str | None = None,
        dry_run: bool = False,
    ) -> TierResults:
        """Bring every tier up to date with its share of ``source``, read once per tier and once.

        Raises:
            ConfigError: A model or chunking was given: the rules name them.
            SourceError: The source can not be read or holds nothing readable.
        """
        if model or chunking:
            raise ConfigError(
                f"corpus {self.name!r} has tiers; their models and chunkings are set by `tiers:` "
                "in the configuration, not here"
            )
        opened = next(iter(self._tiers.values())).open(source)
        assigned = self._assigned(opened)
        counts = Counter(assigned.values())
        results = {}
        for name, rule in self._rules.items():
            tier = self._tiers[name]
            if not counts[name] and tier.served() is None:
                continue
            share = Source(opened.name, partial(_share, opened, assigned, name), may_be_empty=True)
            results[name] = tier.ingest(
                share, model=rule.model, chunking=rule.chunking, dry_run=dry_run
            )
        return TierResults(self.name, results)

    def _assigned(self, source: Source) -> dict[str, str]:
        """The tier of each document, first fitting rule first."""
        tokens = counter_for(resolve(self._bench.config.model))
        found: dict[str, str] = {}
        refused: list[Quarantined] = []
        for item in source:
            if isinstance(item, Quarantined):
                refused.append(item)
                continue
            length = len(tokens.offsets(item.text))
            rules = self._rules.values()
            found[item.document_id] = next(
                rule.name for rule in rules if fits(rule, item, length, self.tenant)
            )
        if not found:
            reason = f": {refused[0].reason}" if refused else ""
            raise SourceError(f"{source.name} holds no readable document{reason}")
        return found

    def search(
        self,
        text: str,
        *,
        k: int | None = None,
        where: Mapping[str, Scalar] | None = None,
        rerank: str | None = None,
    ) -> SearchResult:
        """The ``k`` best documents of all tiers, merged by rank or by what ``rerank`` scored."""
        started = time.perf_counter()
        settings = self._bench.config.search
        k = k or (settings.rerank_k if rerank else settings.k)
        parts = [
            tier.search(text, k=k, where=where, rerank=rerank)
            for tier in self._tiers.values()
            if tier.served() is not None
        ]
        if not parts:
            raise ConfigError(f"corpus {self.name!r} holds nothing yet; ingest a source first")
        if rerank:
            hits = [hit for part in parts for hit in part.hits]
            merged = _distinct(sorted(hits, key=lambda hit: (-hit.score, hit.document_id)))
        else:
            merged = fused([part.hits for part in parts], [1.0] * len(parts))
        ranked = tuple(replace(hit, rank=i + 1) for i, hit in enumerate(merged[:k]))
        latency = (time.perf_counter() - started) * 1000
        degraded = any(part.degraded for part in parts)
        return SearchResult(text, self.name, ranked, latency, degraded)

    def delete(self, ids: Sequence[str]) -> TierResults:
        """Delete documents wherever they are."""
        return self._each(lambda tier: tier.delete(ids))

    def indexes(self) -> TierResults:
        """Every index of every tier."""
        return self._each(lambda tier: tier.indexes())

    def verify(self) -> TierResults:
        """Compare registry, vault and store of every tier."""
        return self._each(lambda tier: tier.verify())

    def rebuild(self) -> TierResults:
        """Make the collection of every tier anew from the vault."""
        return self._each(lambda tier: tier.rebuild())

    def duplicates(self, threshold: float = 0.8) -> TierResults:
        """Near-duplicates within every tier."""
        return self._each(lambda tier: tier.duplicates(threshold))

    def _each(self, verb: Callable[[Corpus], Result]) -> TierResults:
        served = {n: tier for n, tier in self._tiers.items() if tier.served() is not None}
        return TierResults(self.name, {name: verb(tier) for name, tier in served.items()})


def fits(rule: TierRule, item: SourceDocument, tokens: int, tenant: str) -> bool:
    """Whether ``rule`` takes a document of that many tokens of ``tenant``."""
    return (
        tokens >= rule.min_tokens
        and (not rule.max_tokens or tokens < rule.max_tokens)
        and (not rule.tenants or tenant in rule.tenants)
        and all(item.metadata.get(key) == value for key, value in rule.where.items())
    )


def _share(source: Source, assigned: Mapping[str, str], tier: str) -> Iterator[Item]:
    """Documents of one tier, and what was refused: that stays as it was wherever it is."""
    for item in source:
        if isinstance(item, Quarantined) or assigned.get(item.document_id) == tier:
            yield item


def _distinct(hits: Iterable[FoundDocument]) -> list[FoundDocument]:
    """The first hit of each document: one that moves between tiers may be in both for a moment."""
    found: dict[str, FoundDocument] = {}
    for hit in hits:
        found.setdefault(hit.document_id, hit)
    return list(found.values())

"""One question from a person: hits with their text, duplicates folded, time measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.protocols import Retriever
from workbench.records import Hit, Metadata, Query, Scalar
from workbench.results import Result
from workbench.state.index_records import Index, LiveChunk
from workbench.state.registry import Registry

SNIPPET = 100


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """One hit as a person sees it; ``duplicates`` are documents with the very same text."""

    rank: int
    document_id: str
    chunk_id: str
    score: float
    start: int
    end: int
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult(Result):
    """Answer to one query; ``latency_ms`` includes encoding the query.

    ``degraded``: the index lags behind its corpus, so that documents may be missing.
    """

    query: str
    route: str
    hits: tuple[FoundDocument, ...]
    latency_ms: float
    degraded: bool = False

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per hit."""
        return [
            {
                "rank": hit.rank,
                "score": hit.score,
                "document": hit.document_id
                + (f" (+{len(hit.duplicates)} equal)" if hit.duplicates else ""),
                "text": " ".join(hit.text.split())[:SNIPPET],
            }
            for hit in self.hits
        ]


def search(
    registry: Registry,
    index: Index,
    retriever: Retriever,
    *,
    text: str,
    route: str,
    k: int,
    tenant: str,
    where: Mapping[str, Scalar] | None = None,
) -> SearchResult:
    """Ask ``retriever`` and dress its hits; equal texts take one place together."""
    started = time.perf_counter()
    asked = k
    while True:
        hits = retriever.search([Query("q", text)], asked, where)["q"]
        found = _folded(registry, index, hits, tenant)
        if len(found) >= k or len(hits) < asked:
            break
        asked *= 2
    head = registry.documents.head(index.corpus_id)
    degraded = registry.indexes.get(index.index_id).cursor < head
    latency = (time.perf_counter() - started) * 1000
    return SearchResult(text, route, tuple(found[:k]), latency, degraded)


def hit_texts(registry: Registry, index: Index, hits: Sequence[Hit]) -> list[str]:
    """The text of each hit, as its document holds it; empty for a chunk that is gone by now."""
    found = _live_texts(registry, index, hits)
    return [found[hit.chunk_id][1] if hit.chunk_id in found else "" for hit in hits]


def _live_texts(
    registry: Registry, index: Index, hits: Sequence[Hit]
) -> dict[str, tuple[LiveChunk, str]]:
    live = registry.indexes.live(index, [hit.chunk_id for hit in hits])
    bodies = registry.documents.bodies(chunk.text_digest for chunk in live.values())
    return {i: (c, bodies[c.text_digest][c.start : c.end]) for i, c in live.items()}


def _folded(
    registry: Registry, index: Index, hits: Sequence[Hit], tenant: str
) -> list[FoundDocument]:
    live = _live_texts(registry, index, hits)
    facts = registry.documents.facts(index.corpus_id, tenant, [hit.document_id for hit in hits])
    shown: dict[tuple[str, str], FoundDocument] = {}
    for hit in hits:
        if hit.chunk_id not in live or hit.document_id not in facts:
            continue  # deleted or changed since it was found
        chunk, text = live[hit.chunk_id]
        title, metadata = facts[hit.document_id]
        key = (text, "" if text else title)
        if key in shown:
            first = shown[key]
            shown[key] = replace(first, duplicates=(*first.duplicates, hit.document_id))
            continue
        shown[key] = FoundDocument(
            len(shown) + 1, hit.document_id, hit.chunk_id, hit.score, chunk.start, chunk.end, text,
            title, metadata,
        )  # fmt: skip
    return list(shown.values())

"""Dense retrieval: the query's vector against an index, the registry having the last word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from workbench.index.converge import USER_PREFIX
from workbench.index.encoding import VaultEncoder
from workbench.protocols import Executor, Store
from workbench.records import Hit, Query, Run, Scalar
from workbench.state.index_records import Index
from workbench.state.registry import Registry

OVERFETCH = 2
BATCH_TEXTS = 32


class DenseRetriever:
    """Searches one index; a hit is the best chunk of its document."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        executor: Executor,
        index: Index,
        encoder: VaultEncoder,
        *,
        tenant: str,
    ) -> None:
        """Search ``index`` for ``tenant``; ``encoder`` turns queries into vectors of its space."""
        self._registry = registry
        self._store = store
        self._executor = executor
        self._index = index
        self._encoder = encoder
        self._tenant = tenant

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        """Up to ``k`` documents for each query, best first.

        The store is asked for more and more until ``k`` documents that the registry confirms are
        found, or the index is exhausted: a deleted document never takes a place.
        """
        texts = [query.text for query in queries]
        vectors = self._encoder.encode_all(self._executor, self._tenant, texts, BATCH_TEXTS)
        filters = {USER_PREFIX + key: value for key, value in (where or {}).items()}
        run: Run = {}
        open_rows = list(range(len(queries)))
        fetch = k * OVERFETCH
        while open_rows:
            answers = self._store.query(
                self._index.collection, vectors[open_rows], fetch, filters or None
            )
            live = self._confirmed(answers)
            still_open = []
            for row, answer in zip(open_rows, answers, strict=True):
                hits = _best_chunks(answer, live, k)
                if len(hits) < k and len(answer) == fetch:
                    still_open.append(row)
                else:
                    run[queries[row].query_id] = hits
            open_rows = still_open
            fetch *= 2
            filters["tenant"] = (
                self._tenant
            )  # dear in Chroma: only when others' chunks are in the way
        return {query.query_id: run[query.query_id] for query in queries}

    def _confirmed(self, answers: list[list[tuple[str, float]]]) -> dict[str, Hit]:
        ids = list({chunk_id for answer in answers for chunk_id, _ in answer})
        live = self._registry.indexes.live(self._index, ids, self._tenant)
        return {
            c.chunk_id: Hit(c.chunk_id, c.document_id, c.start, c.end, 0.0, c.tenant)
            for c in live.values()
        }


def _best_chunks(answer: list[tuple[str, float]], live: dict[str, Hit], k: int) -> list[Hit]:
    best: dict[str, Hit] = {}
    for chunk_id, score in sorted(answer, key=lambda pair: (-pair[1], pair[0])):
        hit = live.get(chunk_id)
        if hit is not None and hit.document_id not in best:
            best[hit.document_id] = Hit(
                hit.chunk_id, hit.document_id, hit.start, hit.end, float(score), hit.tenant
            )
    return rank(best.values(), k)


def rank(hits: Iterable[Hit], k: int) -> list[Hit]:
    """The best ``k`` of ``hits``, ties broken by chunk id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))[:k]

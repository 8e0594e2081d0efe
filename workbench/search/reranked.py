"""Reranking: a cross-encoder reads the best candidates of another retriever again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace

from workbench.models.stages import RerankStage
from workbench.protocols import Executor, Retriever
from workbench.records import Hit, Query, Run, Scalar

Texts = Callable[[Sequence[Hit]], list[str]]
"""Gives the text of each hit."""

PairScores = MutableMapping[tuple[str, str], float]
"""Scores already known, by (query, text): a pair's score never depends on its batch."""


class RerankedRetriever:
    """Scores the first ``candidates`` hits of ``base`` with a cross-encoder.

    The hits behind the candidates keep their order below them, so that recall at a depth beyond
    ``candidates`` is that of ``base``.
    """

    def __init__(
        self,
        base: Retriever,
        reranker: str,
        executor: Executor,
        texts: Texts,
        *,
        candidates: int,
        known: PairScores | None = None,
    ) -> None:
        """Wrap ``base``; ``known`` may be shared between retrievers with the same reranker."""
        self._base = base
        self._stage = RerankStage(reranker)
        self._executor = executor
        self._texts = texts
        self._candidates = candidates
        self._known: PairScores = {} if known is None else known

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        """Up to ``k`` hits for each query, reranked."""
        base = self._base.search(queries, max(k, self._candidates), where)
        texts = {
            query.query_id: self._texts(base[query.query_id][: self._candidates])
            for query in queries
        }
        self._score(queries, texts)
        return {
            query.query_id: self._reordered(query, base[query.query_id], texts[query.query_id])[:k]
            for query in queries
        }

    def _score(self, queries: Sequence[Query], texts: Mapping[str, list[str]]) -> None:
        asked: list[tuple[str, tuple[str, ...]]] = []

        def batches() -> Iterator[tuple[str, tuple[str, ...]]]:
            for query in queries:
                new = tuple(
                    text
                    for text in dict.fromkeys(texts[query.query_id])
                    if (query.text, text) not in self._known
                )
                if new:
                    asked.append((query.text, new))
                    yield asked[-1]

        for number, scores in enumerate(self._executor.map(self._stage, batches())):
            text, new = asked[number]
            pairs = [(text, passage) for passage in new]
            self._known.update(zip(pairs, map(float, scores), strict=True))

    def _reordered(self, query: Query, hits: list[Hit], texts: list[str]) -> list[Hit]:
        scored = [
            replace(hit, score=self._known[query.text, text])
            for hit, text in zip(hits, texts, strict=False)
        ]
        head = sorted(scored, key=lambda hit: (-hit.score, hit.chunk_id))
        floor = head[-1].score if head else 0.0
        tail = hits[len(head) :]
        return head + [replace(hit, score=floor - 1 - place) for place, hit in enumerate(tail)]

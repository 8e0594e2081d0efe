"""Merge what several retrievers found, by rank: scores of two spaces can not be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from workbench.protocols import Retriever
from workbench.records import Hit, Query, Run, Scalar
from workbench.search.searcher import FoundDocument

Found = TypeVar("Found", Hit, FoundDocument)

RANK_CONSTANT = 60
"""Of Cormack, Clarke and Büttcher (SIGIR 2009), who introduced reciprocal rank fusion."""
DEPTH = 100


class FusedRetriever:
    """Reciprocal rank fusion: a document scores the sum of weight / (60 + rank) over the lists.

    Args:
        bases: Retrievers over any spaces, or none at all such as BM25.
        weights: One per base; equal when left out.
        depth: Hits asked of each base at least.
    """

    def __init__(
        self,
        bases: Sequence[Retriever],
        weights: Sequence[float] | None = None,
        *,
        depth: int = DEPTH,
    ) -> None:
        self._bases = list(bases)
        self._weights = list(weights or [1.0] * len(self._bases))
        self._depth = depth
        if not self._bases or len(self._weights) != len(self._bases) or min(self._weights) <= 0:
            raise ValueError(
                f"found {len(self._bases)} retrievers with weights {self._weights}; expected one "
                "positive weight for each of at least one"
            )

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        """Up to ``k`` documents for each query; a hit is the chunk of the list that ranks it best.

        Ties are broken by document id.
        """
        runs = [base.search(queries, max(k, self._depth), where) for base in self._bases]
        return {
            query.query_id: fused([run[query.query_id] for run in runs], self._weights)[:k]
            for query in queries
        }


def fused(lists: Sequence[Sequence[Found]], weights: Sequence[float]) -> list[Found]:
    """The hits of all ``lists`` (best first, one per document) in the order of their fused score.

    Args:
        lists: What each retriever found.
        weights: One per list.
    """
    scores: defaultdict[str, float] = defaultdict(float)
    shown: dict[str, tuple[float, Found]] = {}
    for hits, weight in zip(lists, weights, strict=True):
        for rank, hit in enumerate(hits, start=1):
            share = weight / (RANK_CONSTANT + rank)
            scores[hit.document_id] += share
            if hit.document_id not in shown or share > shown[hit.document_id][0]:
                shown[hit.document_id] = share, hit
    order = sorted(scores, key=lambda document: (-scores[document], document))
    return [replace(shown[document][1], score=scores[document]) for document in order]

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from workbench.records import Hit, Query, Run, Scalar
from workbench.search.fuse import FusedRetriever, fused


def hits(*documents: str, score: float = 1.0) -> list[Hit]:
    return [Hit(f"{d}-c", d, 0, 1, score / (i + 1)) for i, d in enumerate(documents)]


class Fixed:
    def __init__(self, *documents: str) -> None:
        self.found = hits(*documents)
        self.asked: list[int] = []

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        del where
        self.asked.append(k)
        return {query.query_id: self.found[:k] for query in queries}


def test_scores_are_sums_of_reciprocal_ranks_whatever_the_scores_were() -> None:
    found = fused([hits("a", "b", score=1e9), hits("b", "c", score=1e-9)], [1.0, 1.0])
    assert [hit.document_id for hit in found] == ["b", "a", "c"]
    assert found[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert found[1].score == pytest.approx(1 / 61)


def test_ties_are_broken_by_document_id() -> None:
    assert [h.document_id for h in fused([hits("z", "a"), hits("a", "z")], [1, 1])] == ["a", "z"]


def test_weights_decide_and_the_chunk_shown_is_that_of_the_better_list() -> None:
    left, right = hits("a", "b"), [Hit("other", "a", 5, 9, 0.1)]
    (first, *_) = fused([left, right], [1.0, 3.0])
    assert (first.document_id, first.chunk_id) == ("a", "other")


def test_every_query_is_answered_and_bases_are_asked_deep_enough() -> None:
    one, other = Fixed("a", "b", "c"), Fixed()
    run = FusedRetriever([one, other], depth=10).search([Query("q", "x"), Query("r", "y")], 2)
    assert {query: [h.document_id for h in found] for query, found in run.items()} == {
        "q": ["a", "b"], "r": ["a", "b"],
    }  # fmt: skip
    assert one.asked == other.asked == [10]


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="one positive weight"):
        FusedRetriever([Fixed("a"), Fixed("b")], weights)

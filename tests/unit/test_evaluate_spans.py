from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.evaluate.spans import span_scores
from workbench.records import Span

SPANS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 20)).map(
        lambda t: (t[0], Span(t[1], t[1] + t[2]))
    ),
    max_size=6,
)


def characters(spans: list[tuple[str, Span]]) -> list[tuple[str, int]]:
    return [(name, i) for name, span in spans for i in range(span.start, span.end)]


@given(retrieved=SPANS, answers=SPANS.filter(bool))
def test_the_scores_are_those_of_sets_of_characters(
    retrieved: list[tuple[str, Span]], answers: list[tuple[str, Span]]
) -> None:
    found = span_scores(retrieved, answers)
    got, wanted = characters(retrieved), set(characters(answers))
    assert found.recall == pytest.approx(len(set(got) & wanted) / len(wanted))
    assert found.iou == pytest.approx(len(set(got) & wanted) / len(set(got) | wanted))
    hits = sum(char in wanted for char in got)
    assert found.precision == pytest.approx(hits / len(got) if got else 0)


def test_a_query_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer span"):
        span_scores([], [])

"""Chunk-level measures: how much of the answer the retrieved chunks hold, and how much else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workbench.records import Span


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Of one query, by characters, each from 0 to 1.

    Attributes:
        recall: Share of the answer that was retrieved.
        precision: Share of what was retrieved that is answer; text retrieved twice counts twice.
        iou: Intersection over union of answer and retrieved text, as sets of characters.
    """

    recall: float
    precision: float
    iou: float


def span_scores(
    retrieved: Iterable[tuple[str, Span]], answers: Iterable[tuple[str, Span]]
) -> SpanScores:
    """Compare retrieved spans with the answer's.

    Args:
        retrieved: Pairs of document id and span, e.g. the best k chunks; they may overlap.
        answers: Where the answer stands; at least one span that is not empty.

    Raises:
        ValueError: There is no answer to look for.
    """
    found, wanted = list(retrieved), _merged(answers)
    asked = _length(wanted)
    if not asked:
        raise ValueError("no answer span was given; expected at least one that is not empty")
    held = _merged(found)
    common = _intersection(held, wanted)
    spent = sum(span.end - span.start for _, span in found)
    union = _length(held) + asked - common
    repeated = sum(_intersection(_merged([item]), wanted) for item in found)
    return SpanScores(common / asked, repeated / spent if spent else 0.0, common / union)


def _merged(spans: Iterable[tuple[str, Span]]) -> dict[str, list[Span]]:
    """Disjoint spans per document, in order."""
    by_document: defaultdict[str, list[Span]] = defaultdict(list)
    for document, span in sorted(spans, key=lambda item: (item[0], item[1].start)):
        mine = by_document[document]
        if mine and span.start <= mine[-1].end:
            mine[-1] = Span(mine[-1].start, max(mine[-1].end, span.end))
        else:
            mine.append(span)
    return by_document


def _length(spans: Mapping[str, list[Span]]) -> int:
    return sum(span.end - span.start for mine in spans.values() for span in mine)


def _intersection(one: Mapping[str, list[Span]], other: Mapping[str, list[Span]]) -> int:
    return sum(
        max(0, min(a.end, b.end) - max(a.start, b.start))
        for document, mine in one.items()
        for a in mine
        for b in other.get(document, ())
    )

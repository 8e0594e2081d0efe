"""Where a text may be cut: sentences, then clauses, words and clusters of characters.

Every function runs in time linear in the text; the patterns can not backtrack.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

import regex

from workbench.records import Span

_SENTENCE_END = re.compile(
    r"(?<![.!?])(?P<mark>[.!?\u061f\u06d4]++)[\"'”\u2019)\]»]*+(?!\S)"  # marks, then a space
    r"|[。\uff01\uff1f…।॥။።\u0589]++[”\u2019」』\uff09\"]*+"  # these need no space behind them
    r"|\n(?=[^\S\n]{0,12}(?:[-*+•>#]|\d{1,3}[.)])[^\S\n])"  # a list item
)
CLAUSE_END = re.compile(
    r"[,;:\u060c\u061b](?!\S)|[\uff0c\uff1b\uff1a、]|\n|(?<!\S)[-\u2013—](?!\S)"
)
WORD_END = re.compile(r"(?<=\S)(?!\S)")
LINE_END = re.compile(r"\n")
_CLUSTER = regex.compile(r"\X")
_ABBREVIATION_LIST = (
    "al approx bzw ca cf ch co corp dept dr e.g ed eds eq eqs esp etc fig figs i.e inc jr ltd "
    "mr mrs ms no nos nr op p pp prof ref refs resp sec sr st u.s usw viz vol vs z.b d.h"
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())
_LONGEST_ABBREVIATION = 8


def pieces(text: str, span: Span, ends: Iterator[int]) -> Iterator[Span]:
    """Cut ``span`` at ``ends``; pieces lose the white space around them, empty ones are left out.

    White space is looked at in place: no copies of the text are made.
    """
    start = span.start
    for end in (*ends, span.end):
        left, right = start, end
        while left < right and text[left].isspace():
            left += 1
        while right > left and text[right - 1].isspace():
            right -= 1
        if left < right:
            yield Span(left, right)
        start = max(start, end)


def pieces_by(pattern: re.Pattern[str], text: str, span: Span) -> Iterator[Span]:
    """Cut ``span`` behind every match of ``pattern``."""
    ends = (match.end() for match in pattern.finditer(text, span.start, span.end))
    return pieces(text, span, ends)


def sentences(text: str, span: Span | None = None) -> list[Span]:
    """Sentences and list items of ``text`` (or of ``span`` in it), in order."""
    span = span or Span(0, len(text))
    return list(pieces(text, span, _sentence_ends(text, span)))


def _sentence_ends(text: str, span: Span) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text, span.start, span.end):
        if match["mark"] == "." and _is_abbreviation(text, match.start()):
            continue
        yield match.end()


def _is_abbreviation(text: str, dot: int) -> bool:
    start = dot
    while start > 0 and dot - start <= _LONGEST_ABBREVIATION and not text[start - 1].isspace():
        start -= 1
    word = text[start:dot].lstrip("([\"'").casefold()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and text[dot - 1].isupper())


def between_clusters(text: str, span: Span, cuts: Iterator[int]) -> Iterator[int]:
    """``cuts`` moved back to where no character cluster (an emoji, an accent) is torn apart.

    A cut inside a cluster that fills everything since the cut before stays where it is.
    """
    starts = [match.start() for match in _CLUSTER.finditer(text, span.start, span.end)]
    before = span.start
    for cut in cuts:
        found = starts[bisect_right(starts, cut) - 1]
        before = found if found > before else cut
        yield before

"""Where a text may be cut: sentences, then clauses, then words, then tokens.

Every function runs in time linear in the text; the patterns can not backtrack.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from workbench.records import Span

_SENTENCE_END = re.compile(
    r"(?<![.!?])(?P<mark>[.!?]++)[\"'”\u2019)\]]*+(?!\S)"  # latin marks, then a space or the end
    r"|[。\uff01\uff1f…]++[”\u2019」』\uff09\"]*+"  # full-width marks need no space behind them
    r"|\n[^\S\n]*+(?=\n)"  # a blank line
    r"|\n(?=[^\S\n]{0,12}(?:[-*+•>#]|\d{1,3}[.)])[^\S\n])"  # a list item or a heading
)
_CLAUSE_END = re.compile(
    r"[,;:](?!\S)|[\uff0c\uff1b\uff1a、]|\n|(?<!\S)[-\u2013—](?!\S)"  # full-width , ; : too
)
_WORD_END = re.compile(r"(?<=\S)(?!\S)")
_ABBREVIATION_LIST = (
    "al approx bzw ca cf ch co corp dept dr e.g ed eds eq eqs esp etc fig figs i.e inc jr ltd "
    "mr mrs ms no nos nr op p pp prof ref refs resp sec sr st u.s usw viz vol vs z.b d.h"
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())
_LONGEST_ABBREVIATION = 8
_BLOCK_CHARACTERS = 200_000


def _pieces(text: str, span: Span, ends: Iterator[int]) -> Iterator[Span]:
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


def _is_abbreviation(text: str, dot: int) -> bool:
    start = dot
    while start > 0 and dot - start <= _LONGEST_ABBREVIATION and not text[start - 1].isspace():
        start -= 1
    word = text[start:dot].lstrip("([\"'").casefold()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and text[dot - 1].isupper())


def _sentence_ends(text: str) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text):
        if match["mark"] == "." and _is_abbreviation(text, match.start()):
            continue
        yield match.end()


def sentences(text: str) -> list[Span]:
    """Sentences of ``text`` in order, without the white space between them."""
    return list(_pieces(text, Span(0, len(text)), _sentence_ends(text)))


def _blocks(text: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Ranges of about ``_BLOCK_CHARACTERS`` that hold all spans, cut between them if possible."""
    start = end = spans[0].start if spans else 0
    for span in spans:
        if span.end - start > _BLOCK_CHARACTERS and end > start:
            yield start, end
            start = span.start
        while span.end - start > _BLOCK_CHARACTERS:
            cut = text.rfind(" ", start + 1, start + _BLOCK_CHARACTERS)
            cut = cut if cut > 0 else start + _BLOCK_CHARACTERS
            yield start, cut
            start = cut
        end = span.end
    if end > start:
        yield start, end


@dataclass(frozen=True, slots=True)
class TokenRuler:
    """Measures spans of one text in tokens, from offsets taken once.

    The measure is an estimate: a tokenizer may see a piece of a text differently than the whole.
    """

    starts: array[int]
    ends: array[int]

    @classmethod
    def of(
        cls, text: str, spans: Sequence[Span], offsets: Callable[[str], list[tuple[int, int]]]
    ) -> TokenRuler:
        """Tokenise ``text`` once, in blocks of whole ``spans``, so memory stays small."""
        starts, ends = array("q"), array("q")
        for first, last in _blocks(text, spans):
            for start, end in offsets(text[first:last]):
                starts.append(start + first)
                ends.append(end + first)
        return cls(starts, ends)

    def count(self, start: int, end: int) -> int:
        """Tokens that touch the characters ``[start, end)``."""
        return max(0, bisect_left(self.starts, end) - bisect_right(self.ends, start))

    def back(self, end: int, tokens: int) -> int:
        """Where the last ``tokens`` tokens before ``end`` begin."""
        index = bisect_left(self.starts, end) - tokens
        return self.starts[index] if index >= 0 else 0

    def cuts(self, span: Span, room: int) -> Iterator[int]:
        """Positions that cut ``span`` into pieces of ``room`` tokens."""
        stop = bisect_left(self.starts, span.end)
        for index in range(bisect_left(self.starts, span.start) + room, stop, room):
            if self.starts[index] > span.start:
                yield self.starts[index]


def atoms(text: str, spans: Sequence[Span], ruler: TokenRuler, room: int) -> list[Span]:
    """``spans`` with those longer than ``room`` tokens cut at clauses, words and tokens."""
    for pattern in (_CLAUSE_END, _WORD_END):
        spans = [part for span in spans for part in _refined(text, span, ruler, room, pattern)]
    return [
        part
        for span in spans
        for part in (
            (span,)
            if ruler.count(span.start, span.end) <= room
            else _pieces(text, span, ruler.cuts(span, room))
        )
    ]


def _refined(
    text: str, span: Span, ruler: TokenRuler, room: int, pattern: re.Pattern[str]
) -> Iterator[Span]:
    if ruler.count(span.start, span.end) <= room:
        return iter((span,))
    ends = (match.end() for match in pattern.finditer(text, span.start, span.end))
    return _pieces(text, span, ends)

"""Measures spans of a text in tokens, from offsets taken once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from workbench.records import Span

_BLOCK_CHARACTERS = 200_000
WIDEST_TOKEN = 100
"""Characters that count as one token at most: a longer run of letters without an entry in the
vocabulary is one "unknown" to some tokenizers, however long it is."""


@dataclass(frozen=True, slots=True)
class TokenRuler:
    """Tokens of one text: their first characters and their ends, both rising.

    The measure is an estimate: a tokenizer may see a piece of a text differently than the whole.
    """

    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(
        cls, text: str, spans: Sequence[Span], offsets: Callable[[str], list[tuple[int, int]]]
    ) -> TokenRuler:
        """Tokenise ``text`` once, in parts of whole ``spans``, so that memory stays small."""
        flat = array("q")
        for first, last in _parts(text, spans):
            part = array("q", chain.from_iterable(offsets(text[first:last])))
            flat.extend((np.frombuffer(part, dtype=np.int64) + first).tolist() if first else part)
        starts, ends = flat[::2], flat[1::2]
        widths = np.subtract(ends, starts)
        if widths.size and widths.max() > WIDEST_TOKEN:
            starts, ends = _divided(starts, ends)
        return cls(starts, ends)

    def count(self, start: int, end: int) -> int:
        """Tokens that touch the characters ``[start, end)``."""
        return max(0, self.before(end) - self.after(start))

    def before(self, position: int) -> int:
        """Tokens that start before ``position``."""
        return bisect_left(self.starts, position)

    def after(self, position: int) -> int:
        """Tokens that end at or before ``position``: the index of the first one after it."""
        return bisect_right(self.ends, position)

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


def _divided(starts: Sequence[int], ends: Sequence[int]) -> tuple[array[int], array[int]]:
    """The tokens with every one wider than ``WIDEST_TOKEN`` counted as several."""
    more_starts, more_ends = array("q"), array("q")
    for start, end in zip(starts, ends, strict=True):
        cuts = range(start, max(end, start + 1), WIDEST_TOKEN)
        more_starts.extend(cuts)
        more_ends.extend((*cuts[1:], end))
    return more_starts, more_ends


def _parts(text: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
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

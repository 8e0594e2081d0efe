"""Texts into requests: by number of inputs, tokens of an input, and tokens of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.models.api.counting import Counter
from workbench.models.base import printable

_FAR = 4
BLANK = "is empty or only white space: it has no meaning to embed and providers refuse it"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may carry; 0 = no limit.

    Attributes:
        inputs: Texts.
        input_tokens: Tokens of a text that are read.
        request_tokens: Tokens of all texts together.
        server_cuts: Whether the provider cuts longer texts itself, where others refuse them.
    """

    inputs: int
    input_tokens: int
    request_tokens: int
    server_cuts: bool = False

    @property
    def sendable(self) -> int:
        """Tokens after which a text is cut here: far beyond what a provider that cuts reads."""
        if not self.server_cuts:
            return self.input_tokens
        return self.request_tokens or _FAR * self.input_tokens


@dataclass(frozen=True, slots=True)
class Part:
    """The texts of one request.

    Attributes:
        batch: Number of the batch they are of.
        rows: Where each text stands in that batch.
        texts: What is sent.
        tokens: Tokens of each.
        cut: Rows of texts that are too long: only their beginning is read.
        unsure: One text, sent whole, that may be too long: its tokens are only estimated.
    """

    batch: int
    rows: tuple[int, ...]
    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    cut: frozenset[int] = frozenset()
    unsure: bool = False

    @property
    def total(self) -> int:
        """Tokens of all texts."""
        return sum(self.tokens)

    def take(self, places: Sequence[int]) -> Part:
        """The part of these places only."""
        rows = tuple(self.rows[place] for place in places)
        return Part(
            self.batch, rows, tuple(self.texts[place] for place in places),
            tuple(self.tokens[place] for place in places), self.cut & frozenset(rows),
        )  # fmt: skip

    def halves(self) -> tuple[Part, Part]:
        """The first and the second half; needs two texts."""
        middle = len(self.rows) // 2
        return self.take(range(middle)), self.take(range(middle, len(self.rows)))


def shortened(part: Part, counter: Counter, limit: int) -> Part:
    """The one text of an ``unsure`` part cut to ``limit`` tokens, after it was refused."""
    texts = (counter.cut(part.texts[0], limit),)
    return Part(part.batch, part.rows, texts, (limit,), frozenset(part.rows))


def pack(
    batch: int, texts: Sequence[str], counter: Counter, limits: Limits
) -> tuple[list[Part], list[int]]:
    """Requests that hold ``texts`` in order, and the rows of blank texts, which are never sent.

    A text with more tokens than are read is cut there, as the provider would. Where tokens are
    estimated it is sent whole, alone, and cut only when the provider refuses it.
    """
    parts: list[Part] = []
    blank: list[int] = []
    filling = _Filling(batch, limits)
    for row, raw in enumerate(texts):
        text = printable(raw)
        if not text.strip():
            blank.append(row)
            continue
        tokens = counter.count(text)
        too_long = bool(limits.input_tokens) and tokens > limits.input_tokens
        if too_long and not counter.exact and not limits.server_cuts:
            parts.append(Part(batch, (row,), (text,), (tokens,), unsure=True))
            continue
        if too_long and tokens > limits.sendable:
            text, tokens = counter.cut(text, limits.sendable), limits.sendable
            if not text.strip():
                blank.append(row)
                continue
        if not filling.fits(tokens):
            parts.append(filling.taken())
        filling.add(row, text, tokens, too_long=too_long)
    if filling.rows:
        parts.append(filling.taken())
    return parts, blank


class _Filling:
    """The request that is being filled."""

    def __init__(self, batch: int, limits: Limits) -> None:
        self._batch = batch
        self._limits = limits
        self._clear()

    def _clear(self) -> None:
        self.rows: list[int] = []
        self._texts: list[str] = []
        self._tokens: list[int] = []
        self._cut: set[int] = set()
        self._total = 0

    def fits(self, tokens: int) -> bool:
        """Whether one more text fits; the first one always does."""
        limit = self._limits.request_tokens
        over = bool(limit) and self._total + tokens > limit
        return not self.rows or (len(self.rows) < self._limits.inputs and not over)

    def add(self, row: int, text: str, tokens: int, *, too_long: bool) -> None:
        """Add a text."""
        self.rows.append(row)
        self._texts.append(text)
        self._tokens.append(tokens)
        self._total += tokens
        if too_long:
            self._cut.add(row)

    def taken(self) -> Part:
        """What was filled; begins the next one."""
        part = Part(
            self._batch, tuple(self.rows), tuple(self._texts), tuple(self._tokens),
            frozenset(self._cut),
        )  # fmt: skip
        self._clear()
        return part

"""Lines of a page as they grow: paragraphs, headings, lists, quotations, tables and code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.data.boilerplate import Line

_SHOWN_DEPTH = 8
"""Deepest indentation of lists and quotations that is written out."""
_BACKTICKS = re.compile("`{3,}")


@dataclass(slots=True)
class _Table:
    """Cells of the current row as their parts; None between rows and where a table lays out."""

    row: list[list[str]] | None = None
    lays_out: bool = False


class Lines:
    """Collects text and turns it into lines.

    Attributes:
        lines: What is finished.
        heading: Text of the first heading that is not empty.
        quotes: Quotations around the current place.
        in_link: Whether the current place is in a link.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.heading = ""
        self.quotes = 0
        self._quotes_before = 0
        self._parts: list[str] = []
        self._blank = False
        self._item = ""
        self._heading = ""
        self._lists: list[int] = []
        self._blocks = 0
        self._tables: list[_Table] = []
        self.in_link = False
        self._linked = 0
        self._links = 0

    def add(self, text: str) -> None:
        """Text at the current place."""
        self._parts.append(text)
        if self.in_link:
            self._linked += sum(map(len, text.split()))

    def link(self, *, begins: bool) -> None:
        """A link begins or ends."""
        self.in_link = begins
        self._links += begins

    def end(self) -> None:
        """The line ends here; a line that shows nothing is none."""
        text = " ".join("".join(self._parts).split())
        self._parts.clear()
        if text and self._heading and not self.heading:
            self.heading = text
        cells = self._row()
        if text and cells is not None:
            cells[-1].append(text)
        elif text:
            self._write(text)
        if text:
            self._item = self._heading = ""

    def line_break(self) -> None:
        """A line break; inside a heading it is a space."""
        if self._heading:
            self._parts.append(" ")
        else:
            self.end()

    def paragraph(self) -> None:
        """A blank line before what follows; not between an item's mark and its text."""
        self.end()
        self._blank = self._blank or not (self._item or self._row())

    def open_heading(self, mark: str) -> None:
        """A heading begins; ``mark`` is put before its text."""
        self.paragraph()
        self._heading = mark

    def close_heading(self) -> None:
        """A heading ends; one without text leaves no mark."""
        self.paragraph()
        self._heading = ""

    def open_list(self, first: int) -> None:
        """A list begins, numbered from ``first``, with dashes when that is 0."""
        self.end()
        self._item = ""
        if not self._lists:
            self._blank = self._blank or not self._row()
            self._blocks += 1
        self._lists.append(first)

    def close_list(self) -> None:
        """A list ends."""
        self.end()
        self._item = ""
        self._lists.pop()
        self._blank = not self._lists and not self._row()

    def item(self) -> None:
        """An item of the list begins; there is no blank line between items."""
        self.end()
        number = self._lists[-1] if self._lists else 0
        if number:
            self._lists[-1] += 1
        self._item = f"{number}. " if number else "- "
        begins = bool(self.lines) and self.lines[-1].block != self._blocks
        self._blank = self._blank and (begins or not self._lists)

    def open_table(self) -> None:
        """A table begins; one around it only lays out."""
        self.leave_table()
        self.paragraph()
        self._tables.append(_Table())

    def leave_table(self) -> None:
        """What comes next does not fit into a cell: the table around it only lays out."""
        if self._tables:
            self.end()
            cells = self._row() or []
            self._tables[-1] = _Table(lays_out=True)
            for parts in cells:
                if parts:
                    self._write(" ".join(parts))

    def close_table(self) -> None:
        """A table ends."""
        self.row()
        self._tables.pop()
        self.paragraph()

    def cell(self) -> None:
        """A cell begins."""
        self.end()
        if self._tables and not self._tables[-1].lays_out:
            cells = self._row()
            if cells is None:
                self._tables[-1].row = [[]]
            else:
                cells.append([])

    def row(self) -> None:
        """A row ends, and the next one may begin; one without text is left out."""
        self.end()
        cells = self._row()
        if cells is not None:
            self._tables[-1].row = None
            if any(cells):
                self._write(f"| {' | '.join(' '.join(parts) for parts in cells)} |")

    def _row(self) -> list[list[str]] | None:
        return self._tables[-1].row if self._tables else None

    def code(self, code: str) -> None:
        """A fenced block; its fence is longer than any run of backticks in it."""
        code = code.removeprefix("\n").rstrip()
        if code.strip():
            runs = map(len, _BACKTICKS.findall(code))
            fence = "`" * (max(runs, default=2) + 1)
            self._separate()
            self._quotes_before = 0
            self.lines += [Line(fence), Line(code, len(code)), Line(fence)]
        self._item = ""
        self._blank = True

    def finish(self) -> None:
        """The page ends."""
        self.end()

    def _separate(self) -> None:
        if self._blank and self.lines:
            depth = min(self.quotes, self._quotes_before, _SHOWN_DEPTH)
            self.lines.append(Line(("> " * depth).rstrip()))
        self._blank = False
        self._quotes_before = self.quotes

    def _write(self, text: str) -> None:
        self._separate()
        depth = min(len(self._lists), _SHOWN_DEPTH)
        indent = "  " * max(0, depth - bool(self._item))
        quoted = "> " * min(self.quotes, _SHOWN_DEPTH)
        line = f"{quoted}{indent}{self._item}{self._heading}{text}"
        characters = sum(map(len, text.split()))
        block = self._blocks if self._lists else 0
        self.lines.append(Line(line, characters, self._linked, self._links, block))
        self._linked = self._links = 0

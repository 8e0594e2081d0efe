"""A page as the text that a reader sees, in the marks of Markdown.

Headings become ``#`` lines, list items ``- `` or ``1. ``, table rows ``| a | b |``, quotations
``> ``, preformatted text a fenced block with its characters untouched. Scripts, styles, navigation
(by tag or role) and the marks that link to their own heading are left out. Tables that lay out a
page (with tables or code inside) are read as text.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from workbench.data.boilerplate import Line, is_furniture, is_navigation, without_menus
from workbench.data.clean import clean, one_line
from workbench.data.lines import Lines
from workbench.data.markup import tokens

__all__ = ["MAX_DEPTH", "Page", "TooDeep", "read_page"]

MAX_DEPTH = 1_000
"""Most elements (of those that must be closed) open at the same time."""

_SKIPPED_TAGS = (
    "annotation annotation-xml audio canvas datalist nav noscript object script style svg template "
    "video"
)
_PARAGRAPH_TAGS = "blockquote dl hr p section h1 h2 h3 h4 h5 h6"
_LINE_TAGS = (
    "address article aside body button caption dd details dialog div dt fieldset figcaption "
    "figure footer form header legend main option search select summary"
)
_CONTAINER_TAGS = (
    "address article aside blockquote details dialog div dl fieldset figure footer form header "
    "main pre search section select table"
)
_HEADINGS = {f"h{level}": f"{'#' * level} " for level in range(1, 7)}
_LISTS = frozenset({"ul", "ol", "menu"})
_SKIPPED = frozenset(_SKIPPED_TAGS.split())
_PARAGRAPHS = frozenset(_PARAGRAPH_TAGS.split())
_LINES = frozenset(_LINE_TAGS.split())
# Elements that must be closed: only these are tracked.
_TRACKED = frozenset(_CONTAINER_TAGS.split()) | _LISTS | _SKIPPED
_ROWS = frozenset({"tr", "thead", "tbody", "tfoot"})
_CELLS = frozenset({"td", "th"})
# What links to their own heading show; drawn as pictures elsewhere.
_PERMALINKS = frozenset("¶#§🔗")
_START = re.compile(r"\bstart\s*=\s*[\"']?(\d{1,6})")


class TooDeep(ValueError):
    """The elements of a page are nested deeper than ``MAX_DEPTH``."""


class Page(NamedTuple):
    """The cleaned text of a page, and its title: else its first heading, else empty."""

    text: str
    title: str


def read_page(html: str, *, boilerplate: bool = True) -> Page:
    """Text and title of a page.

    Args:
        html: The page; character references in it are resolved once.
        boilerplate: Whether headers, footers, side notes, forms and menus stay.

    Raises:
        TooDeep: More than ``MAX_DEPTH`` elements are open at the same time.
    """
    page = _Page(boilerplate=boilerplate)
    for kind, value, attributes in tokens(html.replace("\r\n", "\n").replace("\r", "\n")):
        if kind == "text":
            page.text(value)
        elif kind == "start":
            page.start(value, attributes)
        elif kind == "end":
            page.end(value)
        else:
            page.name(value)
    lines: list[Line] = page.finished()
    text = "\n".join(line.text for line in (lines if boilerplate else without_menus(lines)))
    return Page(clean(text), one_line(page.title or page.lines.heading))


class _Page:
    """The elements around the current place of a page, and the lines so far."""

    def __init__(self, *, boilerplate: bool) -> None:
        self.title = ""
        self.lines = Lines()
        self._boilerplate = boilerplate
        self._open: list[str] = []
        self._counts: Counter[str] = Counter()
        self._skip_from = -1
        self._code: list[str] | None = None

    def name(self, title: str) -> None:
        """The page's title: the first one, but for those of drawings."""
        if not self._counts["svg"]:
            self.title = self.title or title.strip()

    def text(self, text: str) -> None:
        """Text at the current place."""
        if self._skip_from >= 0:
            return
        if self._code is not None:
            self._code.append(text)
        elif not (self.lines.in_link and text.strip() in _PERMALINKS):
            self.lines.add(text)

    def start(self, tag: str, attributes: str) -> None:
        """An element begins."""
        if tag in _TRACKED:
            self._track(tag, attributes)
        if self._skip_from >= 0:
            return
        if self._code is not None:
            self._break_code(tag)
        elif tag == "pre":
            self.lines.leave_table()
            self.lines.paragraph()
            self._code = []
        elif tag == "a":
            self.lines.link(begins=True)
        else:
            self._begin(tag, attributes)

    def _track(self, tag: str, attributes: str) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise TooDeep(f"elements are nested deeper than {MAX_DEPTH:,}")
        furniture = not self._boilerplate and is_furniture(tag, attributes, self._counts)
        skipped = tag in _SKIPPED or furniture or is_navigation(attributes)
        if self._skip_from < 0 and skipped:
            self._skip_from = len(self._open)
            if tag == "nav" or tag not in _SKIPPED:
                self.lines.end()
        self._open.append(tag)
        self._counts[tag] += 1

    def _begin(self, tag: str, attributes: str) -> None:
        lines = self.lines
        if tag in _LISTS:
            found = _START.search(attributes) if tag == "ol" else None
            lines.open_list(int(found[1]) if found else int(tag == "ol"))
        elif tag == "li":
            lines.item()
        elif tag == "table":
            lines.open_table()
        elif tag in _ROWS:
            lines.row()
        elif tag in _CELLS:
            lines.cell()
        elif tag in _HEADINGS:
            lines.open_heading(_HEADINGS[tag])
        elif tag == "br":
            lines.line_break()
        elif tag in _PARAGRAPHS:
            lines.paragraph()
            lines.quotes += tag == "blockquote"
        elif tag in _LINES:
            lines.end()

    def end(self, tag: str) -> None:
        """An element ends, and with it those inside that were not closed."""
        if tag not in _TRACKED:
            if self._skip_from < 0 and self._code is None:
                self._end_untracked(tag)
            return
        while self._counts[tag]:
            name = self._open.pop()
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]
            if self._skip_from < 0:
                self._leave(name)
            elif self._skip_from == len(self._open):
                self._skip_from = -1
            if name == tag:
                return

    def _end_untracked(self, tag: str) -> None:
        if tag == "a":
            self.lines.link(begins=False)
        elif tag in _HEADINGS:
            self.lines.close_heading()
        elif tag in _PARAGRAPHS:
            self.lines.paragraph()
        elif tag in _ROWS:
            self.lines.row()
        elif tag in _LINES or tag in _CELLS or tag == "li":
            self.lines.end()

    def _leave(self, tag: str) -> None:
        if self._code is not None:
            if tag != "pre":
                self._break_code(tag)
            elif not self._counts["pre"]:
                code, self._code = "".join(self._code), None
                self.lines.code(code)
        elif tag in _LISTS:
            self.lines.close_list()
        elif tag == "table":
            self.lines.close_table()
        elif tag in _PARAGRAPHS:
            self.lines.paragraph()
            self.lines.quotes -= tag == "blockquote"
        else:
            self.lines.end()

    def _break_code(self, tag: str) -> None:
        """A line of code ends at ``br``, and around elements that have lines of their own."""
        code = self._code or []
        if tag == "br" or (tag in _TRACKED and code and not code[-1].endswith("\n")):
            code.append("\n")

    def finished(self) -> list[Line]:
        """All lines, when nothing follows."""
        while self._open:
            self.end(self._open[-1])
        self.lines.finish()
        return self.lines.lines

"""The structure of a cleaned text: paragraphs, headings, code and table rows, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from workbench.records import Span

Kind = Literal["text", "heading", "code", "table"]

_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
# Behind backticks that open a fence no others follow: else they are code inside a line.
_FENCE = re.compile(r"[ ]{0,3}(`{3,}+(?![^\n]*`)|~{3,})")
_INDENTED = re.compile(r"(?: {4}|\t)\s*\S")


@dataclass(frozen=True, slots=True)
class Block:
    """A run of lines that belong together; ``text[start:end]`` has no white space around it.

    Attributes:
        start: First character.
        end: Behind the last character.
        kind: What it is.
        path: Headings above it, outermost first; a heading's own text is not in its path.
        depth: Of a heading 1 to 6, else 0.
    """

    start: int
    end: int
    kind: Kind
    path: tuple[str, ...] = ()
    depth: int = 0

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end)


def blocks(text: str) -> list[Block]:
    """The blocks of ``text`` in order; every visible character is in exactly one."""
    found: list[Block] = []
    headings: list[tuple[int, str]] = []
    for start, end, kind in _runs(text):
        first, last = _trimmed(text, start, end)
        depth = 0
        if kind == "heading" and (match := _HEADING.match(text, first, last)):
            depth = len(match[1])
            headings = [item for item in headings if item[0] < depth]
        found.append(Block(first, last, kind, tuple(name for _, name in headings), depth))
        if depth and match:
            headings.append((depth, match[2].rstrip(" \t#") or match[2]))
    return found


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _runs(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Character ranges of lines of one kind that follow each other without a blank line."""
    opened: tuple[int, int, Kind] | None = None
    for start, end, kind in _kinds(text):
        if opened and opened[2] == kind != "heading" and text[opened[1] : start] == "\n":
            opened = (opened[0], end, kind)
            continue
        if opened:
            yield opened
        opened = (start, end, kind)
    if opened:
        yield opened


def _kinds(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Visible lines with their kind; a fenced block comes as one long line."""
    previous: Kind | None = None
    lines = _lines(text)
    for start, end in lines:
        line = text[start:end]
        if not line or line.isspace():
            previous = None
            continue
        if fence := _FENCE.match(line):
            yield start, _closing(text, lines, end, fence[1]), "code"
            previous = None
            continue
        previous = _kind(line, previous)
        yield start, end, previous


def _kind(line: str, previous: Kind | None) -> Kind:
    if line[0] == "#" and _HEADING.match(line):
        return "heading"
    if line.lstrip()[0] == "|":
        return "table"
    # A deep indentation makes code only where a paragraph could start: else it goes on with one.
    if previous in {None, "code", "heading"} and _INDENTED.match(line):
        return "code"
    return "text"


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield start, end
        start = end + 1
    yield start, len(text)


def _closing(text: str, lines: Iterator[tuple[int, int]], opened: int, fence: str) -> int:
    """Where the fenced block ends; an open one takes the rest of the text."""
    last = opened
    for start, end in lines:
        last = end
        found = _FENCE.match(text, start, end)
        if found and found[1].startswith(fence) and not text[found.end() : end].strip():
            break
    return last

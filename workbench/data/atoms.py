"""The smallest pieces a chunk is filled with, and how good a place it is to cut behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from workbench.data.blocks import Block
from workbench.data.ruler import TokenRuler
from workbench.data.sentences import (
    CLAUSE_END,
    LINE_END,
    WORD_END,
    between_clusters,
    pieces,
    pieces_by,
    sentences,
)
from workbench.records import Span

# Strength of the place behind an atom: the higher, the better to cut there.
GLUED, PART, SENTENCE, LINE, PARAGRAPH = range(5)
HEADING = 11
"""Before a heading of depth n the strength is ``HEADING - n``: above that of a paragraph."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A sentence, a line of code, a table row, or a part of one that is too long.

    Attributes:
        start: First character.
        end: Behind the last character.
        strength: Of the place behind it.
        path: Headings above it, outermost first.
    """

    start: int
    end: int
    strength: int
    path: tuple[str, ...]


def atoms(
    text: str,
    blocks: Sequence[Block],
    ruler: TokenRuler,
    room: Callable[[tuple[str, ...]], int],
) -> list[Atom]:
    """The atoms of ``text`` in order.

    Args:
        text: A cleaned text.
        blocks: Its blocks.
        ruler: Measures it.
        room: Tokens of a chunk below the headings of a path; no atom is longer.
    """
    found: list[Atom] = []
    for index, block in enumerate(blocks):
        after = blocks[index + 1] if index + 1 < len(blocks) else None
        parts = list(_parts(text, block, ruler, room(block.path)))
        parts[-1] = parts[-1][0], _between(text, block, after)
        found += [Atom(span.start, span.end, strength, block.path) for span, strength in parts]
    return found


def _between(text: str, block: Block, after: Block | None) -> int:
    if after is None:
        return PARAGRAPH
    if block.kind == "heading" or (block.kind == "text" and text[block.end - 1] == ":"):
        return GLUED
    return HEADING - after.depth if after.kind == "heading" else PARAGRAPH


def _parts(text: str, block: Block, ruler: TokenRuler, room: int) -> Iterator[tuple[Span, int]]:
    """Pieces of a block with the strength behind each; the last one's is not decided here."""
    if block.kind in {"heading", "code"} and ruler.count(block.start, block.end) <= room:
        yield block.span, PARAGRAPH
        return
    if block.kind == "text":
        units = sentences(text, block.span)
    else:
        units = list(pieces_by(LINE_END, text, block.span))
    for unit, following in zip_longest(units, units[1:], fillvalue=Span(block.end, block.end)):
        line = "\n" in text[unit.end : following.start]
        *parts, last = _fitting(text, unit, ruler, room)
        yield from ((part, PART) for part in parts)
        yield last, LINE if line else SENTENCE


def _fitting(text: str, unit: Span, ruler: TokenRuler, room: int) -> list[Span]:
    """``unit``, cut at clauses, words and characters where it is longer than ``room`` tokens."""
    if ruler.count(unit.start, unit.end) <= room:
        return [unit]
    cut = room - room // 8  # the usual overlap still fits beside such a piece
    spans = [unit]
    for pattern in (CLAUSE_END, WORD_END):
        spans = [
            part
            for span in spans
            for part in (
                (span,)
                if ruler.count(span.start, span.end) <= room
                else pieces_by(pattern, text, span)
            )
        ]
    return [
        part
        for span in spans
        for part in (
            (span,)
            if ruler.count(span.start, span.end) <= room
            else pieces(text, span, between_clusters(text, span, ruler.cuts(span, cut)))
        )
    ]


def firm_cuts(atoms: Sequence[Atom], tokens: Sequence[int], room: int) -> list[int]:
    """Indexes of atoms behind which a chunk always ends, whatever stands further away.

    Behind a paragraph (or section) such a place is firm when what it separates, up to the next
    place as strong, is half a chunk or more on one side and no mere fragment on the other. So
    text put before a well-sized paragraph does not move the chunks behind it.

    Args:
        atoms: All atoms of a text.
        tokens: Tokens before each atom and, last, of the whole text; length ``len(atoms) + 1``.
        room: Tokens of a chunk.
    """
    half, fragment = room // 2, room // 16
    firm: set[int] = set()
    for level in sorted({atom.strength for atom in atoms if atom.strength >= PARAGRAPH}):
        places = [i for i, atom in enumerate(atoms) if atom.strength >= level]
        edges = [0, *(tokens[i + 1] for i in places)]
        if places and places[-1] != len(atoms) - 1:
            edges.append(tokens[-1])
        sizes = [after - before for before, after in pairwise(edges)]
        for (left, right), place in zip(pairwise(sizes), places, strict=False):
            if max(left, right) >= half and min(left, right) > fragment:
                firm.add(place)
    return sorted(firm)

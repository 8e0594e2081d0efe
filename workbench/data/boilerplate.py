"""What of a page is furniture, not text; left out only when ``source.boilerplate`` says so."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import groupby
from typing import NamedTuple

_ALWAYS = frozenset({"aside", "form", "nav", "search"})
_AT_THE_TOP = frozenset({"footer", "header"})
_PARTS = frozenset({"article", "main", "section"})
_ROLE = re.compile(
    r"(?<![\w-])role\s*=\s*[\"']?\s*(?:banner|contentinfo|search|complementary)\b", re.IGNORECASE
)
_NAVIGATION = re.compile(r"(?<![\w-])role\s*=\s*[\"']?\s*navigation\b", re.IGNORECASE)
_MENU_LINKS = 3
_MENU_SHARE = 0.7


class Line(NamedTuple):
    """A line of a page's text.

    Attributes:
        text: With its marks.
        characters: Visible characters of the text.
        linked: Those of them that are in links.
        links: Links that begin in the line.
        block: Lines of one list have the same number; 0 = a block of its own.
    """

    text: str
    characters: int = 0
    linked: int = 0
    links: int = 0
    block: int = 0


def is_navigation(attributes: str) -> bool:
    """Whether an element says that it is what ``nav`` is: left out always."""
    return _NAVIGATION.search(attributes) is not None


def is_furniture(tag: str, attributes: str, around: Collection[str]) -> bool:
    """Whether an element is a page header, footer, side note, form or navigation.

    A header or footer of an article or section belongs to its text (as ARIA maps them).
    """
    if tag in _ALWAYS or _ROLE.search(attributes):
        return True
    return tag in _AT_THE_TOP and _PARTS.isdisjoint(around)


def without_menus(lines: Iterable[Line]) -> list[Line]:
    """Lines but for blocks of three links or more that hold little else."""
    numbered = enumerate(lines)
    kept: list[Line] = []
    for _, pairs in groupby(numbered, lambda pair: pair[1].block or -1 - pair[0]):
        block = [line for _, line in pairs]
        characters = sum(line.characters for line in block)
        is_menu = sum(line.links for line in block) >= _MENU_LINKS
        if not is_menu or sum(line.linked for line in block) < _MENU_SHARE * characters:
            kept += block
    return kept

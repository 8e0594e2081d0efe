"""Tags and texts of an HTML page, in one pass whose time is linear in the page.

The standard library's parser takes quadratic time on pages made for that, and reads pages
differently from one patch release of Python to the next; cleaned texts must not. Tokens follow the
HTML standard, but for a tag that never ends: it ends at the next ``>`` instead of at the end of
the page, so that its text is not lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

# Quotes count behind `=` only. Possessive: a tag that does not end is given up at once.
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')|=)*+)>")
_SHORT_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)([^>]*+)>")
_COMMENT_END = re.compile(r"--!?>")
_HIDDEN = frozenset({"script", "style", "iframe", "noembed", "noframes"})
_PLAIN = {"title": "title", "textarea": "text"}
_ENDS = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in sorted(_HIDDEN | _PLAIN.keys())
}
# More digits than any character has: `int` refuses thousands of them.
_LONG_REFERENCE = re.compile(r"&#(?:[0-9]{9,}|[xX][0-9a-fA-F]{8,});?")


class Token(NamedTuple):
    """A start tag (``kind`` ``"start"``), an end tag (``"end"``), ``"text"`` or a ``"title"``.

    ``value`` is the tag's name in lower case, or the text with its character references resolved
    once; ``attributes`` is the raw text behind the name of a start tag.
    """

    kind: str
    value: str
    attributes: str = ""


def tokens(page: str) -> Iterator[Token]:
    """Tags and texts in their order; comments, declarations, scripts and styles are left out."""
    return _Reader(page).read()


class _Reader:
    """A place in a page, and what is known to be absent from the rest of it."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._tag = _TAG
        self._unclosed: set[str] = set()

    def read(self) -> Iterator[Token]:
        page, position, text_from = self._page, 0, 0
        while (start := page.find("<", position)) >= 0:
            tag = self._match(start)
            end = tag.end() if tag else self._end_of_other(start)
            if end <= start:
                position = start + 1  # an ordinary character
                continue
            if start > text_from:
                yield Token("text", resolved(page[text_from:start]))
            if tag:
                name = tag[2].lower()
                if tag[1]:
                    yield Token("end", name)
                elif name in _ENDS:
                    closing = self._end_of_raw(name, end)
                    if name in _PLAIN and closing > end:
                        yield Token(_PLAIN[name], resolved(page[end:closing]))
                    end = closing
                else:
                    yield Token("start", name, tag[3])
            position = text_from = end
        if text_from < len(page):
            yield Token("text", resolved(page[text_from:]))

    def _match(self, start: int) -> re.Match[str] | None:
        second = self._page[start + 1 : start + 3].removeprefix("/")[:1]
        if not (second.isascii() and second.isalpha()):
            return None
        if ">" in self._unclosed:
            return None
        found = self._tag.match(self._page, start)
        if found is None and self._tag is _TAG:
            # Quotes do not pair up from here on: what is quoted can no longer be told.
            self._tag = _SHORT_TAG
            found = _SHORT_TAG.match(self._page, start)
        if found is None:
            self._unclosed.add(">")
        return found

    def _end_of_other(self, start: int) -> int:
        """Behind a comment or declaration at ``start``; ``start`` when there is none."""
        page = self._page
        if page.startswith("<!--", start):
            if page.startswith((">", "->"), start + 4):
                return page.index(">", start) + 1
            found = _COMMENT_END.search(page, start + 4)
            return found.end() if found else len(page)
        second, third = page[start + 1 : start + 2], page[start + 2 : start + 3]
        is_other = second in {"!", "?"} or (second == "/" and bool(third) and not third.isalpha())
        if not is_other or ">" in self._unclosed:
            return start
        end = page.find(">", start) + 1
        if not end:
            self._unclosed.add(">")
            return start
        return end

    def _end_of_raw(self, name: str, start: int) -> int:
        """Where the end tag of ``name`` begins; a title without one holds no text of its own."""
        if name in self._unclosed:
            return start
        found = _ENDS[name].search(self._page, start)
        if found:
            return found.start()
        self._unclosed.add(name)
        return start if name in _PLAIN else len(self._page)


def resolved(text: str) -> str:
    """``text`` with its character references resolved once: ``&amp;lt;`` gives ``&lt;``."""
    if "&" not in text:
        return text
    return unescape(_LONG_REFERENCE.sub("\ufffd", text))

"""What is done to every text before it is compared, cut or encoded.

The rules are deterministic and applying them twice changes nothing. Their version is
``workbench.spec.CLEANING_VERSION``: a change here is a change there.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

_BYTE_ORDER_MARK = "\ufeff"
_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85]")
# Cc but tab and newline, Cs (lone surrogates), and the byte order mark.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff]")
_MANY_NEWLINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    r"""Give ``text`` one form: NFC, ``\n`` line ends, no control characters, no trailing spaces.

    Three or more newlines become two; both ends are stripped; indentation inside stays, so code
    stays code.
    """
    text = _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text))
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _MANY_NEWLINES.sub("\n\n", text).strip()


def is_blank(text: str) -> bool:
    """Whether nothing is left of ``text`` after cleaning; stops at the first visible character."""
    return all(
        char.isspace() or char == _BYTE_ORDER_MARK or unicodedata.category(char) in {"Cc", "Cs"}
        for char in text
    )


_SKIPPED = frozenset({"script", "style", "nav", "template", "noscript", "svg", "title"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PARAGRAPHS = _HEADINGS | {"p", "ul", "ol", "dl", "table", "pre", "blockquote", "section"}
_LINE_TAGS = (
    "address article aside body br caption dd details div dt fieldset figcaption figure footer "
    "form header hr li main option summary tbody tfoot thead tr"
)
_LINES = frozenset(_LINE_TAGS.split())


class _TextOfHtml(HTMLParser):
    """Collects visible text; ``title`` and the first heading are kept apart."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.titles: dict[str, list[str]] = {"title": [], "heading": []}
        self._skipping: list[str] = []
        self._pre = 0
        self._heading = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _SKIPPED:
            self._skipping.append(tag)
        self._break(tag)
        if tag == "li":
            self.parts.append("- ")
        elif tag in {"td", "th"}:
            self.parts.append(" ")
        elif tag == "pre":
            self._pre += 1
        elif tag in _HEADINGS and not self._heading and not self.titles["heading"]:
            self._heading = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
        if tag == "pre":
            self._pre = max(0, self._pre - 1)
        if tag == self._heading:
            self._heading = ""
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._skipping:
            if self._skipping == ["title"]:
                self.titles["title"].append(data)
            return
        if self._heading:
            self.titles["heading"].append(data)
        data = data if self._pre else re.sub(r"\s+", " ", data)
        if data != " " or not self._at_line_start():
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.parts.append("\n\n")
        elif tag == "br" or (tag in _LINES and not self._at_line_start()):
            self.parts.append("\n")

    def _at_line_start(self) -> bool:
        return not self.parts or self.parts[-1].endswith("\n")


def _parse(html: str) -> _TextOfHtml:
    parser = _TextOfHtml()
    parser.feed(html)
    parser.close()
    return parser


def html_to_text(html: str) -> str:
    """Visible text of a page, cleaned.

    Scripts, styles and navigation are left out; headings, list items, table rows and paragraphs
    stand on lines of their own; preformatted text keeps its spaces.
    """
    text = re.sub(r"\n (?=\S)", "\n", "".join(_parse(html).parts))
    return clean(re.sub(r"\n- \n+", "\n- ", text))


def html_title(html: str) -> str:
    """The page's title, else its first heading, on one line; empty when it has neither."""
    titles = _parse(html).titles
    return " ".join("".join(titles["title"] or titles["heading"]).split())

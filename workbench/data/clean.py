"""What is done to every text before it is compared, cut or encoded.

The rules are deterministic and applying them twice changes nothing. Their version is
``workbench.spec.CLEANING_VERSION``: a change here is a change there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["clean", "is_blank", "one_line"]

_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85]")
# Cc but tab and newline, Cs (lone surrogates), the soft hyphen and the byte order mark. Joiners
# (U+200C, U+200D) and the zero width space stay: emoji, Persian and Thai need them.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\ud800-\udfff\ufeff]")
_OTHER_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_SPACES = re.compile(f"[ \t{_OTHER_SPACES}]{{2,}}|[\t{_OTHER_SPACES}]")
_INDENT = re.compile(f"[ \t{_OTHER_SPACES}]*")
_OTHER_SPACE = re.compile(f"[{_OTHER_SPACES}]")
_CODE = re.compile(" {4}| {0,3}\t")
_FENCE = re.compile(r" {0,3}(`{3,}+(?=[^`]*$)|~{3,})(.*)$")


def clean(text: str) -> str:
    r"""Give ``text`` one form.

    Everywhere: NFC, ``\n`` line ends, no control characters, lone surrogates, soft hyphens or byte
    order marks; both ends are stripped. Outside of fenced code: no trailing spaces, at most one
    blank line in a row, and a run of spaces, tabs and no-break spaces inside a line becomes one
    space. Indentation stays; a line indented by a tab or four spaces is code, its spaces stay too.
    """
    text = _UNWANTED.sub("", _LINE_BREAKS.sub("\n", text))
    text = unicodedata.normalize("NFC", text).strip()
    return "\n".join(_lines(text.split("\n")))


def _lines(lines: list[str]) -> Iterator[str]:
    fence = ""
    blank = False
    for line in lines:
        if fence:
            found = _FENCE.match(line)
            closes = found and found[1].startswith(fence) and not found[2].strip()
            fence = "" if closes else fence
            yield line.rstrip() if closes else line
            continue
        folded = _folded(line)
        if folded or not blank:
            yield folded
        blank = not folded
        opens = _FENCE.match(folded)
        fence = opens[1] if opens else ""


def _folded(line: str) -> str:
    line = line.rstrip()
    if not _SPACES.search(line):
        return line
    end = _INDENT.match(line).end()  # type: ignore[union-attr]  # matches the empty string too
    indent = _OTHER_SPACE.sub(" ", line[:end])
    return indent + (line[end:] if _CODE.match(indent) else _SPACES.sub(" ", line[end:]))


def one_line(text: str) -> str:
    """``text`` cleaned, with every run of white space as one space: for titles."""
    return " ".join(clean(text).split())


def is_blank(text: str) -> bool:
    """Whether ``text`` shows nothing; stops at the first visible character."""
    return all(char.isspace() or unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in text)

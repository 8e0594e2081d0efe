"""Readers of text files and of JSON lines; what is wrong with one row concerns that row only."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from workbench.config import SourceConfig
from workbench.data.blocks import blocks
from workbench.data.clean import is_blank
from workbench.data.encodings import Transcoded, decoded, hint, marked
from workbench.data.files import opened, printable, read_whole, unchanged
from workbench.data.html import Page, TooDeep, read_page
from workbench.data.source import (
    MAX_ROWS,
    MAX_TEXT_BYTES,
    MEGABYTE,
    Columns,
    Item,
    from_row,
    missing_columns,
    too_large,
)
from workbench.errors import SourceError
from workbench.records import Quarantined, SourceDocument

DEFAULTS = SourceConfig()
# JSON may spend six bytes on a character; a longer line can only hold a text that is too large.
_MAX_LINE_BYTES = 6 * MAX_TEXT_BYTES + 4 * MEGABYTE
_MAX_HTML_BYTES = 4 * MAX_TEXT_BYTES
_MAX_UNPACKED = 2**36
_FREE_UNPACKED = 64 * MEGABYTE
_MAX_RATIO = 200
_MAX_BLANK = 1_000_000
_LONG_LINE = MEGABYTE
_MAX_VALUES = 2_000_000
_MAX_TITLE = 1_000
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, bytes | None]]:
    r"""Numbered lines of a plain or ``.gz`` file, split on ``\n`` only; None for one too long.

    Lines are UTF-8 when the file says that it is UTF-16 or UTF-32, or ``encoding`` is another.

    Raises:
        SourceError: The file can not be read, changed meanwhile, is a damaged archive, or unpacks
            to far too much.
    """
    name = printable(str(path))
    try:
        with unchanged([path]), opened(path) as raw, _unpacked(raw, path) as file:
            yield from _numbered(_as_utf8(file, encoding), raw, file, name)
    except _DAMAGED as error:
        raise SourceError(
            f"{name} is a damaged gzip archive ({error}). Fetch or pack it again."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name} is not valid {error.encoding}: {error.reason}. Save it as UTF-8."
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error}") from error


def _unpacked(raw: BufferedReader, path: Path) -> BufferedReader | gzip.GzipFile:
    return gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw


def _as_utf8(file: BufferedReader | gzip.GzipFile, encoding: str) -> BufferedReader | gzip.GzipFile:
    mark = marked(file.peek(4)[:4])
    codec = mark or encoding
    if codec in {"utf-8", "utf-8-sig", "ascii"}:
        return file
    return BufferedReader(Transcoded(file, codec))


def _numbered(
    lines: BufferedReader | gzip.GzipFile,
    raw: BufferedReader,
    file: BufferedReader | gzip.GzipFile,
    name: str,
) -> Iterator[tuple[int, bytes | None]]:
    number = blank = 0
    while line := lines.readline(_MAX_LINE_BYTES):
        number += 1
        blank += line == b"\n"
        if blank > _MAX_BLANK:
            raise SourceError(f"{name} has more than {_MAX_BLANK:,} empty lines. Remove them.")
        whole = line.endswith(b"\n") or len(line) < _MAX_LINE_BYTES
        yield number, line.removesuffix(b"\n") if whole else None
        while not whole and (rest := lines.readline(_MAX_LINE_BYTES)):
            whole = rest.endswith(b"\n")
            _check_unpacked(file, raw, name)
        if isinstance(file, gzip.GzipFile):
            _check_unpacked(file, raw, name)


def _check_unpacked(file: BufferedReader | gzip.GzipFile, raw: BufferedReader, name: str) -> None:
    if not isinstance(file, gzip.GzipFile):
        return
    size = file.tell()
    if size > _MAX_UNPACKED or (size > _FREE_UNPACKED and size > _MAX_RATIO * raw.tell()):
        raise SourceError(
            f"{name} unpacks to {size // MEGABYTE:,} MB and more, over {_MAX_RATIO} times its size "
            "or over the limit: an archive bomb? Unpack it yourself if you trust it."
        )


def line_text(line: bytes | None, where: str) -> str:
    """The text of a line from ``read_lines``.

    Raises:
        SourceError: It is not UTF-8; ``where`` names it.
    """
    try:
        return (line or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{where}: not valid UTF-8. Save the file as UTF-8.") from error


def json_object(line: bytes) -> dict[str, Any] | str:
    """The object on a line of JSON, or what is wrong with the line."""
    if len(line) > _LONG_LINE and sum(map(line.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        return f"broken JSON: more than {_MAX_VALUES:,} values on a line. Split it."
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return f"not valid UTF-8: {error.reason} at byte {error.start}"
    except json.JSONDecodeError as error:
        return f"broken JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"broken JSON: {error}"
    if not isinstance(value, dict):
        return f"broken JSON: found a {type(value).__name__}, expected an object"
    return value


def read_jsonl(path: Path, prefix: str = "", options: SourceConfig = DEFAULTS) -> Iterator[Item]:
    """Documents of a JSONL file, one object a line; blank lines are skipped.

    Raises:
        SourceError: No row has an id, or none has a text; names the columns found. Or as
            ``read_lines``.
    """
    columns = Columns.of(options)
    found: set[str] = set()
    guess = ""
    for number, line in read_lines(path, options.encoding):
        where = f"{prefix}line {number}"
        if number > MAX_ROWS:
            yield Quarantined(where, f"more than {MAX_ROWS:,} lines. Split it.", nameless=True)
            return
        if line is None:
            yield Quarantined(where, too_large(_MAX_LINE_BYTES), nameless=True)
        elif line.strip():
            row = json_object(line)
            if isinstance(row, dict):
                if len(found) < 1000:  # noqa: PLR2004 - names for a message
                    found.update(row)
                yield from_row(row, where, columns)
                continue
            if row.startswith("not valid UTF-8"):
                guess = guess or hint(line, 0)
                row += guess
            yield Quarantined(where, row, nameless=True)
    if found and (lack := missing_columns(found, columns)):
        raise SourceError(f"{path.name} has {lack}")


def read_text(path: Path, document_id: str, options: SourceConfig = DEFAULTS) -> Item:
    """The document in a text, Markdown or HTML file; its title is the first heading or the stem.

    What can not be read is refused under the file's name, so that its document stays as it was.
    """
    is_page = path.suffix.lower() in {".html", ".htm"}
    limit = _MAX_HTML_BYTES if is_page else MAX_TEXT_BYTES + 3
    try:
        data = read_whole(path, limit)
        size = path.stat().st_size if len(data) > limit else 0
    except (SourceError, OSError) as error:
        return Quarantined(document_id, str(error))
    if size:
        return Quarantined(document_id, too_large(size))
    text, problem = decoded(data, options.encoding, is_page=is_page)
    title = _heading(path, text)
    if is_page and not problem:
        try:
            text, title = _page(text, keep=options.boilerplate == "keep")
        except TooDeep as error:
            problem = f"{error}. Simplify the page."
    if not problem and is_blank(text):
        problem = "empty document" + (_NO_TEXT if is_page else "")
    if problem:
        return Quarantined(document_id, problem)
    title = title if 0 < len(title) <= _MAX_TITLE else printable(path.stem)
    return SourceDocument(document_id, text, title)


_NO_TEXT = ": the page shows no text but navigation, scripts or what source.boilerplate removes"


def _page(html: str, *, keep: bool) -> Page:
    """Text and title; a page that would be nothing but furniture is kept whole."""
    page = read_page(html, boilerplate=keep)
    return read_page(html) if not keep and is_blank(page.text) else page


def _heading(path: Path, text: str) -> str:
    if path.suffix.lower() != ".md":
        return ""
    found = next((block for block in blocks(text) if block.kind == "heading"), None)
    return text[found.start : found.end].strip("# \t") if found else ""

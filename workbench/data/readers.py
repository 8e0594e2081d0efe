"""Readers of file formats. Each streams; what is wrong with one row concerns that row only."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from workbench.data.clean import html_title, html_to_text, is_blank
from workbench.data.source import (
    ID_COLUMNS,
    MAX_TEXT_BYTES,
    MEGABYTE,
    TEXT_COLUMNS,
    Item,
    from_row,
    missing_columns,
    too_large,
)
from workbench.errors import SourceError
from workbench.records import Quarantined, SourceDocument

# JSON may spend six bytes on a character; a longer line can only hold a text that is too large.
_MAX_LINE_BYTES = 6 * MAX_TEXT_BYTES + 4 * MEGABYTE
_MAX_HTML_BYTES = 4 * MAX_TEXT_BYTES
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    r"""Numbered lines of a plain or ``.gz`` file, split on ``\n`` only; None for one too long.

    Raises:
        SourceError: The file can not be read, or the archive is damaged.
    """
    try:
        with _opened(path) as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                whole = line.endswith(b"\n") or len(line) < _MAX_LINE_BYTES
                yield number, line.removesuffix(b"\n") if whole else None
                while not whole and (rest := file.readline(_MAX_LINE_BYTES)):
                    whole = rest.endswith(b"\n")
    except _DAMAGED as error:
        raise SourceError(
            f"{path} is a damaged gzip archive ({error}). Fetch or pack it again."
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error}") from error


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def json_object(line: bytes) -> dict[str, Any] | str:
    """The object on a line of JSON, or what is wrong with the line."""
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


def read_jsonl(path: Path, prefix: str = "") -> Iterator[Item]:
    """Documents of a JSONL file, one object a line; blank lines are skipped.

    Raises:
        SourceError: No row has an id, or none has a text; names the columns found.
    """
    columns: set[str] = set()
    for number, line in read_lines(path):
        where = f"{prefix}line {number}"
        if line is None:
            yield Quarantined(where, too_large(_MAX_LINE_BYTES), nameless=True)
            continue
        if not line.strip():
            continue
        row = json_object(line)
        if isinstance(row, str):
            yield Quarantined(where, row, nameless=True)
            continue
        columns.update(row)
        yield from_row(row, where)
    if columns and (lack := missing_columns(columns)):
        raise SourceError(f"{path.name} has {lack}")


def read_csv(path: Path, prefix: str = "") -> Iterator[Item]:
    """Documents of a CSV file with a header line.

    Raises:
        SourceError: There is no id or text column; names the columns found.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE_BYTES))
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, None)
            if header is None:
                return
            if lack := missing_columns(header):
                raise SourceError(f"{path.name} has {lack}")
            yield from _csv_rows(reader, header, prefix)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error}") from error


def _csv_rows(reader: Any, header: list[str], prefix: str) -> Iterator[Item]:
    while True:
        where = f"{prefix}line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Quarantined(where, f"broken CSV: {error}", nameless=True)
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            reason = f"found {len(cells)} columns, expected {len(header)}"
            yield Quarantined(where, reason, nameless=True)
        elif any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
            yield Quarantined(where, "not valid UTF-8", nameless=True)
        else:
            row = dict(zip(header, cells, strict=True))
            meaningful = {*ID_COLUMNS, *TEXT_COLUMNS, "title"}
            yield from_row({k: v for k, v in row.items() if v or k in meaningful}, where)


def read_parquet(path: Path, prefix: str = "") -> Iterator[Item]:
    """Documents of a Parquet file, a row group of batches at a time.

    Raises:
        SourceError: It is not Parquet, or has no id or text column; names the columns found.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(path) as file:
            if lack := missing_columns(file.schema_arrow.names):
                raise SourceError(f"{path.name} has {lack}")
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield from_row(row, f"{prefix}row {number}")
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"cannot read {path} as Parquet: {error}") from error


def read_text(path: Path, document_id: str) -> Item:
    """The document in a text, Markdown or HTML file; its title is the first heading or the stem.

    Raises:
        SourceError: The file can not be opened.
    """
    is_html = path.suffix.lower() in {".html", ".htm"}
    limit = _MAX_HTML_BYTES if is_html else MAX_TEXT_BYTES + 3
    try:
        size = path.stat().st_size
        if size > limit:
            return Quarantined(document_id, too_large(size))
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"not valid UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8."
        return Quarantined(document_id, reason)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    title, text = (
        (html_title(text), html_to_text(text)) if is_html else (_heading(path, text), text)
    )
    if is_blank(text):
        return Quarantined(document_id, "empty document")
    return SourceDocument(document_id, text, title or path.stem)


def _heading(path: Path, text: str) -> str:
    if path.suffix.lower() != ".md":
        return ""
    match = _HEADING.search(text)
    return match[1].strip() if match else ""

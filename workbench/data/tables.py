"""Readers of tables: CSV by rows, Parquet and Arrow by batches of bounded size."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from workbench.config import SourceConfig
from workbench.data.encodings import hint, marked
from workbench.data.files import opened, printable, unchanged
from workbench.data.source import (
    MAX_ROWS,
    MAX_TEXT_BYTES,
    MEGABYTE,
    Columns,
    Item,
    from_row,
    missing_columns,
)
from workbench.errors import SourceError
from workbench.records import Quarantined, Scalar

DEFAULTS = SourceConfig()
_MAX_LINE = 2 * MAX_TEXT_BYTES
_MAX_COLUMNS = 2_000
_BATCH_BYTES = 32 * MEGABYTE
_BATCH_ROWS = 1_024
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,16}")
_TRUTH = {"true": True, "false": False, "True": True, "False": False}


def scalar_of(cell: str) -> Scalar:
    """The number or boolean that ``cell`` is the one way of writing, else ``cell``.

    ``2020``, ``-0.5`` and ``true`` are values; ``007``, ``1e5``, ``3.10`` and ``+1`` stay strings,
    since they may be names.
    """
    if cell in _TRUTH:
        return _TRUTH[cell]
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if _FLOAT.fullmatch(cell) and repr(float(cell)) == cell:
        return float(cell)
    return cell


def read_csv(path: Path, prefix: str = "", options: SourceConfig = DEFAULTS) -> Iterator[Item]:
    """Documents of a CSV file with a header line; cells of metadata are read by ``scalar_of``.

    Raises:
        SourceError: There is no id or text column (names the columns found), a line is far too
            long, or the file can not be read or changed meanwhile.
    """
    csv.field_size_limit(MAX_TEXT_BYTES + 1)
    columns = Columns.of(options)
    name = printable(path.name)
    try:
        with unchanged([path]), opened(path) as file:
            codec = marked(file.peek(4)[:4]) or options.encoding
            errors = "surrogateescape" if codec.startswith("utf-8") else "strict"
            text = io.TextIOWrapper(file, codec, errors, newline="")
            reader = csv.reader(_lines(text, name), strict=True)
            header = next(reader, None)
            if header is None:
                return
            if len(header) > _MAX_COLUMNS:
                raise SourceError(f"{name} has {len(header):,} columns; the limit is 2,000.")
            if lack := missing_columns(header, columns):
                raise SourceError(f"{name} has {lack}")
            yield from _csv_rows(reader, header, prefix, columns)
    except (OSError, UnicodeError, csv.Error) as error:
        raise SourceError(f"cannot read {name} as CSV: {error}") from error


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    while line := text.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise SourceError(
                f"{name} holds a line of more than {_MAX_LINE:,} characters. Is it really CSV?"
            )
        yield line


def _csv_rows(reader: Any, header: list[str], prefix: str, columns: Columns) -> Iterator[Item]:
    guess = ""
    for number in range(MAX_ROWS + 1):
        where = f"{prefix}line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"broken CSV: {error}. Are its quotes closed?"
            yield Quarantined(where, reason, nameless=True)
            continue
        if not cells:
            continue
        broken = next((cell for cell in cells if _ESCAPED.search(cell)), None)
        if number == MAX_ROWS:
            yield Quarantined(where, f"more than {MAX_ROWS:,} rows. Split it.", nameless=True)
        elif len(cells) != len(header):
            reason = f"found {len(cells)} columns, expected {len(header)}"
            yield Quarantined(where, reason, nameless=True)
        elif broken is not None:
            guess = guess or hint(broken.encode("utf-8", "surrogateescape"), 0)
            yield Quarantined(where, f"not valid UTF-8{guess}", nameless=True)
        else:
            row = zip(header, cells, strict=True)
            plain = columns.meaningful
            yield from_row(
                {k: v if k in plain else scalar_of(v) for k, v in row if v or k in plain},
                where,
                columns,
            )


_ESCAPED = re.compile("[\udc80-\udcff]")


def read_parquet(path: Path, prefix: str = "", options: SourceConfig = DEFAULTS) -> Iterator[Item]:
    """Documents of a Parquet file, in batches of bounded size.

    Raises:
        SourceError: It is not Parquet, has no id or text column (names the columns found), or
            changed meanwhile.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    name = printable(path.name)
    columns = Columns.of(options)
    try:
        with unchanged([path]), opened(path) as raw, pq.ParquetFile(raw) as file:
            if lack := missing_columns(file.schema_arrow.names, columns):
                raise SourceError(f"{name} has {lack}")
            yield from rows_of(_batches(file), prefix, columns)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise SourceError(f"cannot read {name} as Parquet: {error}") from error


def _batches(file: Any) -> Iterator[Any]:
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        average = group.total_byte_size // max(1, group.num_rows)
        size = min(_BATCH_ROWS, max(1, _BATCH_BYTES // max(1, average)))
        yield from file.iter_batches(batch_size=size, row_groups=[number])


def rows_of(batches: Iterable[Any], prefix: str, columns: Columns) -> Iterator[Item]:
    """Documents of Arrow batches or tables; a row that can not be converted is refused alone."""
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            for row in _converted(batch.slice(start, _BATCH_ROWS)):
                number += 1
                where = f"{prefix}row {number}"
                if number > MAX_ROWS:
                    reason = f"more than {MAX_ROWS:,} rows. Split it."
                    yield Quarantined(where, reason, nameless=True)
                    return
                if isinstance(row, str):
                    yield Quarantined(where, row, nameless=True)
                else:
                    yield from_row(row, where, columns)


def _converted(batch: Any) -> Iterator[dict[str, Any] | str]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            yield f"a value can not be read: {error}"
            return
        for index in range(batch.num_rows):
            yield from _converted(batch.slice(index, 1))

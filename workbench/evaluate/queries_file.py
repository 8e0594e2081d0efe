"""Somebody's own queries from a file, with judgements where it has any."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.data.clean import one_line
from workbench.data.readers import json_object, line_text, read_lines
from workbench.errors import SourceError
from workbench.records import Query

QUERY_COLUMNS = ("query", "question", "text")
DOCUMENT_COLUMNS = ("document_id", "document", "doc_id", "corpus-id", "relevant")
GAIN_COLUMNS = ("score", "relevance", "gain")
_EXPECTED = (
    f"a query column ({', '.join(QUERY_COLUMNS)}) and, to measure with, a document column "
    f"({', '.join(DOCUMENT_COLUMNS)})"
)
_BREAKS_A_LINE = re.compile("[\t\r\n]")


@dataclass(frozen=True, slots=True)
class OwnQueries:
    """Queries in the order of the file; ``qrels`` hold only those that name a document."""

    queries: tuple[Query, ...]
    qrels: Mapping[str, Mapping[str, int]]


def read_queries(path: Path) -> OwnQueries:
    """Queries of a ``.txt`` (one a line), ``.csv``, ``.tsv`` or ``.jsonl`` file.

    A table names in each row a query and, if judged, one relevant document (JSON lines may list
    several) with a gain of 1 or what its score says. Rows of the same query belong together. Case
    and spaces around the names of columns do not matter.

    Raises:
        SourceError: The file can not be read, holds no query, or a row is not usable.
    """
    ids: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for where, row in _rows(path):
        text = _first(row, QUERY_COLUMNS)
        if not isinstance(text, str) or not one_line(text):
            raise SourceError(f"{where}: no query; expected {_EXPECTED}")
        query_id = ids.setdefault(one_line(text), f"own-{len(ids) + 1:04d}")
        named = _first(row, DOCUMENT_COLUMNS)
        for document in named if isinstance(named, list) else [named]:
            if document is not None and document != "":
                name = _document_id(document, where)
                qrels.setdefault(query_id, {})[name] = _gain(row, where)
    if not ids:
        raise SourceError(f"{path} holds no query; expected {_EXPECTED}, or a query a line in .txt")
    return OwnQueries(tuple(Query(query_id, text) for text, query_id in ids.items()), qrels)


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    readers = {".txt": _lines, ".jsonl": _objects, ".csv": _cells, ".tsv": _cells}
    if path.suffix.lower() not in readers:
        raise SourceError(f"cannot read queries from {path}: expected {', '.join(readers)}")
    return readers[path.suffix.lower()](path)


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        if text := line_text(line, where).strip():
            yield where, {"query": text}


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in read_lines(path):
        if line is None or line.strip():
            row = json_object(line or b"")
            if isinstance(row, str):
                raise SourceError(f"{path}, line {number}: {row}. Mend or remove the line.")
            yield f"{path}, line {number}", row


def _cells(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise SourceError(f"{where}: the row has not as many cells as the header")
                yield where, {name.strip().casefold(): cell for name, cell in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read queries from {path}: {error}") from error


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) or row.get(name) == 0), None)


def _document_id(value: Any, where: str) -> str:
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    if not usable or _BREAKS_A_LINE.search(str(value)):
        raise SourceError(
            f"{where}: the document is {value!r}; expected an id without tabs and line ends, or a "
            "list of such ids"
        )
    return str(value)


def _gain(row: Mapping[str, Any], where: str) -> int:
    found = _first(row, GAIN_COLUMNS)
    try:
        number = 1.0 if found is None else float(found)
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SourceError(f"{where}: the score is {found!r}; expected a whole number")

"""What a source is, and what becomes of one row of it: a document, or a reason why not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.data.clean import is_blank
from workbench.records import Quarantined, Scalar, SourceDocument

Item = SourceDocument | Quarantined

MEGABYTE = 2**20
MAX_TEXT_BYTES = 10 * MEGABYTE
"""Longest text of a document, in bytes of UTF-8."""

ID_COLUMNS = ("_id", "id")
TEXT_COLUMNS = ("text", "body", "content")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from; every iteration reads it again, as a stream.

    Attributes:
        name: The same for the same place, without absolute paths.
        read: Opens the source and yields what it holds.
    """

    name: str
    read: Callable[[], Iterable[Item]] = field(repr=False)

    def __iter__(self) -> Iterator[Item]:
        """Documents with distinct ids, and what was refused with the reason.

        Raises:
            SourceError: The source as a whole can not be read.
        """
        return _screened(self.read())


def _screened(items: Iterable[Item]) -> Iterator[Item]:
    seen: set[str] = set()
    for item in items:
        if isinstance(item, Quarantined):
            yield item
        elif item.document_id in seen:
            yield Quarantined(item.document_id, "duplicate id: the first document with it is kept")
        else:
            seen.add(item.document_id)
            reason = _refusal(item)
            yield Quarantined(item.document_id, reason) if reason else item


def _refusal(document: SourceDocument) -> str:
    if is_blank(document.text) and is_blank(document.title):
        return "empty document"
    size = len(document.text)
    if size * 4 > MAX_TEXT_BYTES:
        size = len(document.text.encode("utf-8", "surrogatepass"))
    return too_large(size) if size > MAX_TEXT_BYTES else ""


def too_large(size: int) -> str:
    """Reason to refuse a text of ``size`` bytes, rounded up so that it shows the excess."""
    found = math.ceil(size * 10 / MEGABYTE) / 10
    return f"too large: found {found:.1f} MB, the limit is {MAX_TEXT_BYTES // MEGABYTE} MB"


def from_row(row: Mapping[str, Any], where: str) -> Item:
    """The document in a row of a table or a line of JSON.

    ``_id`` or ``id``, ``title`` and ``text``, ``body`` or ``content`` make the document; all other
    columns, and those inside a mapping called ``metadata``, become its metadata.

    Args:
        row: Values by column.
        where: Names the row as long as it has no usable id, e.g. ``"line 17"``.
    """
    id_column = next((name for name in ID_COLUMNS if row.get(name) is not None), None)
    if id_column is None:
        return Quarantined(where, "no id: expected a column '_id' or 'id'", nameless=True)
    document_id = _id_of(row[id_column])
    if document_id is None:
        return Quarantined(
            where,
            f"unusable id {str(row[id_column])[:60]!a}: expected a non-empty string or an integer",
            nameless=True,
        )
    text_column = next((name for name in TEXT_COLUMNS if row.get(name) is not None), None)
    if text_column is None:
        return Quarantined(document_id, f"missing text: found {_listed(row)}")
    text = row[text_column]
    if not isinstance(text, str):
        return Quarantined(document_id, f"text is of type {type(text).__name__}, expected a string")
    title = row.get("title")
    used = {id_column, text_column, "title", "metadata"}
    facts = {name: value for name, value in row.items() if name not in used}
    nested = row.get("metadata")
    facts |= nested if isinstance(nested, Mapping) else {"metadata": nested}
    return SourceDocument(
        document_id=document_id,
        text=text,
        title="" if title is None else str(title),
        metadata={
            key: value
            for key, value in ((_storable(str(k)), _scalar(v)) for k, v in facts.items())
            if value is not None
        },
    )


def _id_of(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    usable = isinstance(value, str) and value.strip() and value == _storable(value)
    return str(value) if usable else None


def _storable(text: str) -> str:
    """``text`` without lone surrogates, which no store and no file takes."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _scalar(value: object) -> Scalar | None:
    """A value as metadata; None when it says nothing (missing, NaN, infinite).

    Lists and mappings become JSON; integers beyond 64 bits become strings, since stores would
    round them silently.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, Mapping | list | tuple):
        return _storable(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))
    return str(value)


def _listed(columns: Iterable[str]) -> str:
    names = sorted(str(name) for name in columns)
    return ", ".join(names[:20]) if names else "no columns"


def missing_columns(columns: Iterable[str]) -> str:
    """What a whole file lacks to hold documents, naming what it has; empty when nothing."""
    found = set(columns)
    for kind, names in (("id", ID_COLUMNS), ("text", TEXT_COLUMNS)):
        if found.isdisjoint(names):
            return (
                f"no {kind} column: found {_listed(found)}; expected one of "
                f"{', '.join(names)}. Rename a column."
            )
    return ""

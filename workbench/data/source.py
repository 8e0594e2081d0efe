"""What a source is, and what becomes of one row of it: a document, or a reason why not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.config import SourceConfig
from workbench.data.clean import is_blank
from workbench.errors import SourceError
from workbench.records import Quarantined, Scalar, SourceDocument
from workbench.spec import framed_digest

Item = SourceDocument | Quarantined

MEGABYTE = 2**20
MAX_TEXT_BYTES = 10 * MEGABYTE
"""Longest text of a document, in bytes of UTF-8."""

MAX_ID_BYTES = 1_024
"""Longest id of a document, in bytes of UTF-8."""
MAX_TITLE = 10_000
"""Longest title, in characters."""
MAX_METADATA = MEGABYTE
"""Most metadata of a document, in characters."""
MAX_ROWS = 50_000_000
"""Most rows of one file that are read."""
MAX_REFUSED = 100_000
"""Rows that may be unreadable before the whole source is given up."""

CONTENT_ID = "#content"
ID_COLUMNS = ("_id", "id")
TEXT_COLUMNS = ("text", "body", "content")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from; every iteration reads it again, as a stream.

    Attributes:
        name: The same for the same place, without absolute paths.
        read: Opens the source and yields what it holds.
        may_be_empty: Holding no document is no sign of a mistake, e.g. for a share of a source.
    """

    name: str
    read: Callable[[], Iterable[Item]] = field(repr=False)
    may_be_empty: bool = False

    def __iter__(self) -> Iterator[Item]:
        """Documents with distinct ids, and what was refused with the reason.

        Raises:
            SourceError: The source as a whole can not be read.
        """
        return _screened(self.read())


def _screened(items: Iterable[Item]) -> Iterator[Item]:
    seen: set[str] = set()
    refused = 0
    for item in items:
        refused += isinstance(item, Quarantined)
        if refused > MAX_REFUSED:
            reason = item.reason if isinstance(item, Quarantined) else ""
            raise SourceError(
                f"more than {MAX_REFUSED:,} rows can not be read, the last because: {reason}. "
                "Nothing is deleted. Correct the source."
            )
        if isinstance(item, Quarantined):
            yield item
        elif item.document_id in seen:
            yield Quarantined(item.document_id, "duplicate id: the first document with it is kept")
        else:
            size = len(item.document_id.encode("utf-8", "surrogatepass"))
            if size > MAX_ID_BYTES:
                yield Quarantined(item.document_id[:60] + "…", too_long_id(size))
                continue
            seen.add(item.document_id)
            reason = _refusal(item)
            yield Quarantined(item.document_id, reason) if reason else item


def _refusal(document: SourceDocument) -> str:
    if is_blank(document.text) and is_blank(document.title):
        return "empty document"
    title, facts = document.title, document.metadata
    if len(title) > MAX_TITLE:
        return f"title too long: found {len(title):,} characters, the limit is {MAX_TITLE:,}"
    size = sum(len(key) + (len(v) if isinstance(v, str) else 8) for key, v in facts.items())
    if size > MAX_METADATA:
        return (
            f"too much metadata: found {size:,} characters, the limit is {MAX_METADATA:,}. Name "
            "the columns to keep in source.metadata."
        )
    size = len(document.text)
    if size * 4 > MAX_TEXT_BYTES:
        size = len(document.text.encode("utf-8", "surrogatepass"))
    return too_large(size) if size > MAX_TEXT_BYTES else ""


def too_long_id(size: int) -> str:
    """Reason to refuse an id of ``size`` bytes."""
    return f"id too long: found {size:,} bytes, the limit is {MAX_ID_BYTES:,}. Shorten it."


def too_large(size: int) -> str:
    """Reason to refuse a text of ``size`` bytes, rounded up so that it shows the excess."""
    found = math.ceil(size * 10 / MEGABYTE) / 10
    return f"too large: found {found:.1f} MB, the limit is {MAX_TEXT_BYTES // MEGABYTE} MB"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table hold what; None = the usual names are looked for.

    Attributes:
        id: Column of the ids; ``#content`` makes them of title and text.
        title: Column of the titles.
        text: Column of the texts.
        metadata: Columns to keep beside them; None = all others.
    """

    id: str | None = None
    title: str | None = None
    text: str | None = None
    metadata: tuple[str, ...] | None = None

    @classmethod
    def of(cls, config: SourceConfig) -> Columns:
        """Those of the configuration."""
        metadata = None if config.metadata == "all" else config.metadata
        return cls(config.id, config.title, config.text, metadata)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of which one must be there; none when ids are made of the content."""
        return ID_COLUMNS if self.id is None else () if self.id == CONTENT_ID else (self.id,)

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of which one must be there."""
        return TEXT_COLUMNS if self.text is None else (self.text,)

    @property
    def meaningful(self) -> frozenset[str]:
        """Names of columns that are no metadata."""
        return frozenset({*self.ids, *self.texts, self.title or "title"})


DEFAULT_COLUMNS = Columns()


def from_row(row: Mapping[str, Any], where: str, columns: Columns = DEFAULT_COLUMNS) -> Item:
    """The document in a row of a table or a line of JSON.

    Without a mapping, ``_id`` or ``id``, ``title`` and ``text``, ``body`` or ``content`` make the
    document; all other columns, and those inside a mapping called ``metadata``, become its
    metadata.

    Args:
        row: Values by column.
        where: Names the row as long as it has no usable id, e.g. ``"line 17"``.
        columns: Which columns hold what.
    """
    id_column = next((name for name in columns.ids if row.get(name) is not None), None)
    document_id = where if id_column is None else _id_of(row[id_column])
    if document_id is None or (id_column is None and columns.ids):
        return Quarantined(where, _no_id(row, id_column, columns), nameless=True)
    text_column = next((name for name in columns.texts if row.get(name) is not None), None)
    nameless = id_column is None
    if text_column is None:
        return Quarantined(document_id, f"missing text: found {_listed(row)}", nameless=nameless)
    text = row[text_column]
    if not isinstance(text, str):
        reason = f"text is of type {type(text).__name__}, expected a string"
        return Quarantined(document_id, reason, nameless=nameless)
    title_column = columns.title or "title"
    title = "" if row.get(title_column) is None else str(row[title_column])
    if id_column is None:
        document_id = framed_digest([title, text]).hex()[:32]
    used = {id_column, text_column, title_column}
    return SourceDocument(document_id, text, title, _metadata(row, used, columns.metadata))


def _no_id(row: Mapping[str, Any], column: str | None, columns: Columns) -> str:
    if column is None:
        return f"no id: expected a column {' or '.join(map(repr, columns.ids))}"
    found = str(row[column])[:60]
    return f"unusable id {found!a}: expected a non-empty string or an integer"


def _metadata(
    row: Mapping[str, Any], used: set[str | None], names: tuple[str, ...] | None
) -> dict[str, Scalar]:
    nested = row.get("metadata")
    facts: dict[Any, Any] = {k: v for k, v in row.items() if k not in used and k != "metadata"}
    facts |= nested if isinstance(nested, Mapping) else {"metadata": nested}
    if names is not None:
        everything = {**facts, **row}
        facts = {name: everything.get(name) for name in names}
    pairs = ((_storable(str(key)), _scalar(value)) for key, value in facts.items())
    return {key: value for key, value in pairs if value is not None}


def _id_of(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    usable = isinstance(value, str) and value.strip() and value == _storable(value)
    return str(value) if usable else None


def _storable(text: str) -> str:
    """``text`` without lone surrogates, which no store and no file takes."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _scalar(value: object) -> Scalar | None:
    """A value as metadata; None when it says nothing (missing, NaN, infinite, bytes).

    Lists and mappings become JSON; integers beyond 64 bits become strings, since stores would
    round them silently.
    """
    if isinstance(value, bool):
        return value
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, Mapping | list | tuple):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return _storable(str(value))


def _listed(columns: Iterable[str]) -> str:
    names = sorted(str(name) for name in columns)
    return ", ".join(names[:20]) if names else "no columns"


def missing_columns(found: Collection[str], columns: Columns = DEFAULT_COLUMNS) -> str:
    """What a whole file lacks to hold documents, naming what it has; empty when nothing."""
    known = set(found)
    for kind, names in (("id", columns.ids), ("text", columns.texts)):
        if names and known.isdisjoint(names):
            cure = f"Rename a column, or set source.{kind} to one of those found"
            if kind == "id":
                cure += f" (or to '{CONTENT_ID}': ids made of title and text; a changed text then "
                cure += "is a new document)"
            return (
                f"no {kind} column: found {_listed(known)}; expected one of {', '.join(names)}. "
                f"{cure}."
            )
    named = [columns.title, *(columns.metadata or ())]
    absent = [name for name in named if name is not None and name not in known]
    if absent and "metadata" not in known:
        return (
            f"no column {absent[0]!r}: found {_listed(known)}. Correct source.title or "
            "source.metadata."
        )
    return ""

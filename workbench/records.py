"""The nouns of the workbench: frozen records that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DEFAULT_TENANT = "default"

Role = Literal["document", "query"]
Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as its source gives it, before cleaning.

    ``document_id`` is the source's own name for it: any non-empty string.
    """

    document_id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something a source holds that could not become a document, and why.

    ``nameless``: its id is unknown and ``document_id`` only says where it stands.
    """

    document_id: str
    reason: str
    nameless: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A cleaned document of a corpus, as the log holds it."""

    document_id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open character range ``[start, end)`` of a document's cleaned text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a document, ready to be encoded.

    ``encoded`` is the exact string the encoder gets (header template applied); the text shown to
    people is ``document.text[start:end]``, always.
    """

    chunk_id: str
    document_id: str
    tenant: str
    ordinal: int
    start: int
    end: int
    encoded: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question with the id that judgements know it by."""

    query_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved chunk. Higher scores are better; ties are broken by ``chunk_id``."""

    chunk_id: str
    document_id: str
    start: int
    end: int
    score: float
    tenant: str = DEFAULT_TENANT


Run = dict[str, list[Hit]]
"""Per query id the hits of that query, best first. A query without hits has an empty list."""

Qrels = Mapping[str, Mapping[str, int]]
"""Per query id the judged document ids with their gain (0 = judged not relevant)."""

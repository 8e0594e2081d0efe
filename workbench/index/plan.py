"""From a source to the log: only what changed is cleaned and written down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from workbench.data.clean import clean
from workbench.errors import SourceError
from workbench.records import Document, Quarantined, SourceDocument
from workbench.spec import CLEANING_VERSION, framed_digest
from workbench.state.documents import Documents, Write

PAGE = 400


@dataclass(slots=True)
class SourceReport:
    """What reading a source did to the log; ``read_seconds`` is the source's share."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    kept: int = 0
    read_seconds: float = 0.0
    seconds: float = 0.0
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a source is logged."""

    documents: Documents
    corpus_id: int
    source: str
    tenant: str
    dry_run: bool


def source_digest(document: SourceDocument) -> bytes:
    """Digest (32 bytes) of what the source gave and of the cleaning rules it went through."""
    facts = json.dumps(dict(document.metadata), sort_keys=True, ensure_ascii=True)
    return framed_digest([str(CLEANING_VERSION), document.title, document.text, facts])


def log_source(
    documents: Documents,
    corpus_id: int,
    source_name: str,
    items: Iterable[SourceDocument | Quarantined],
    *,
    tenant: str,
    dry_run: bool = False,
    may_be_empty: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> SourceReport:
    """Read a source to its end and log what was added, changed and deleted.

    A document that is absent from the source is deleted; one that is quarantined now stays as it
    was. When a row is so broken that its id is unknown, nothing is deleted.

    Args:
        documents: The log.
        corpus_id: The corpus.
        source_name: Stable name of the source; absence counts only within it.
        items: What the source yields.
        tenant: Whose documents they are.
        dry_run: Count only, write nothing.
        may_be_empty: A source without a readable document deletes what was logged for it.
        progress: Called with the number of items read so far.

    Raises:
        SourceError: The source holds no readable document; nothing has changed.
    """
    started = time.perf_counter()
    target = _Target(documents, corpus_id, source_name, tenant, dry_run)
    report = SourceReport()
    seen: set[str] = set()
    readable = 0
    for page in _pages(items, report):
        found = [item for item in page if isinstance(item, SourceDocument)]
        broken = [item for item in page if isinstance(item, Quarantined)]
        report.quarantined += broken
        readable += len(found)
        seen.update(item.document_id for item in page)
        _log_page(target, found, report)
        progress(readable + len(report.quarantined))
    if not readable and not may_be_empty:
        reasons = f": {report.quarantined[0].reason}" if report.quarantined else ""
        raise SourceError(
            f"{source_name} holds no readable document ({len(report.quarantined)} quarantined"
            f"{reasons}); nothing was changed. Check the path and the columns."
        )
    _delete_absent(target, seen, report)
    report.seconds = time.perf_counter() - started
    return report


def _pages(
    items: Iterable[SourceDocument | Quarantined], report: SourceReport
) -> Iterator[list[SourceDocument | Quarantined]]:
    reading = iter(items)
    while True:
        started = time.perf_counter()
        page = list(islice(reading, PAGE))
        report.read_seconds += time.perf_counter() - started
        if not page:
            return
        yield page


def _log_page(target: _Target, found: list[SourceDocument], report: SourceReport) -> None:
    documents, corpus_id, tenant = target.documents, target.corpus_id, target.tenant
    ids = [item.document_id for item in found]
    known = documents.source_digests(corpus_id, tenant, target.source, ids)
    changed = []
    for item in found:
        digest = source_digest(item)
        if known.get(item.document_id) == digest:
            report.kept += 1
        else:
            changed.append((item, digest))
    live = documents.existing(corpus_id, tenant, [item.document_id for item, _ in changed])
    report.changed += len(live)
    report.added += len(changed) - len(live)
    if not target.dry_run:
        documents.log(
            corpus_id,
            [Write(cleaned(item, tenant), target.source, digest) for item, digest in changed],
        )


def cleaned(item: SourceDocument, tenant: str) -> Document:
    """The document that the log gets."""
    title = " ".join(clean(item.title).split())
    return Document(item.document_id, clean(item.text), title, dict(item.metadata), tenant)


def _delete_absent(target: _Target, seen: set[str], report: SourceReport) -> None:
    documents, corpus_id, tenant = target.documents, target.corpus_id, target.tenant
    live = set(documents.live_ids(corpus_id, tenant, target.source))
    absent = sorted(live - seen)
    if absent and any(q.nameless for q in report.quarantined):
        report.notes.append(
            f"{len(absent)} documents are absent from {target.source} but were not deleted, "
            "because rows without a readable id could be theirs; mend the rows and ingest again"
        )
    elif target.dry_run:
        report.deleted = len(absent)
    else:
        report.deleted = documents.delete(corpus_id, tenant, absent)

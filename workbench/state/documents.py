"""Desired state: corpora, their documents, and the compacted log that indexes follow."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from workbench.errors import UnknownName
from workbench.records import Document, Metadata
from workbench.state.db import Database
from workbench.state.schema import corpora, documents, texts

SLICE = 400


@dataclass(frozen=True, slots=True)
class LogEntry:
    """The newest entry of one document: its desired state under ``seq``.

    ``document`` is None for a delete; ``text_digest`` names the cleaned text.
    """

    seq: int
    tenant: str
    document_id: str
    text_digest: bytes
    document: Document | None


@dataclass(frozen=True, slots=True)
class Write:
    """A document to be logged, with the digest of what its source gave."""

    document: Document
    source: str
    source_digest: bytes


class Documents:
    """Corpora and documents. The log is compacted: one entry per document, its newest."""

    def __init__(self, db: Database) -> None:
        """Keep everything in ``db``."""
        self._db = db

    def corpus(self, name: str, *, create: bool = False) -> int:
        """The id of corpus ``name``.

        Raises:
            UnknownName: It does not exist and ``create`` is False.
        """
        found = self.find(name)
        if found is None and create:
            with self._db.write() as connection:
                connection.execute(
                    upsert(corpora).values(name=name, head=0).on_conflict_do_nothing()
                )
                found = _corpus_id(connection, name)
        if found is None:
            raise UnknownName.among(
                "corpus", name, self.names(), "Make one with `workbench ingest SOURCE --corpus …`."
            )
        return found

    def find(self, name: str) -> int | None:
        """The id of corpus ``name``, or None."""
        with self._db.read() as connection:
            return _corpus_id(connection, name)

    def names(self) -> list[str]:
        """Names of all corpora, sorted."""
        with self._db.read() as connection:
            return sorted(connection.execute(select(corpora.c.name)).scalars())

    def head(self, corpus_id: int) -> int:
        """Sequence number of the newest entry; 0 when the log is empty."""
        with self._db.read() as connection:
            query = select(corpora.c.head).where(corpora.c.corpus_id == corpus_id)
            return int(connection.execute(query).scalar_one())

    def source_digests(
        self, corpus_id: int, tenant: str, source: str, ids: Sequence[str]
    ) -> dict[str, bytes]:
        """Source digests of those of ``ids`` that are live and came from ``source``."""
        query = select(documents.c.document_id, documents.c.source_digest).where(
            documents.c.corpus_id == corpus_id,
            documents.c.tenant == tenant,
            documents.c.source == source,
            documents.c.deleted == 0,
        )
        with self._db.read() as connection:
            return {
                row.document_id: row.source_digest
                for part in _slices(ids)
                for row in connection.execute(query.where(documents.c.document_id.in_(part)))
            }

    def existing(self, corpus_id: int, tenant: str, ids: Sequence[str]) -> set[str]:
        """Those of ``ids`` that are live, whatever their source."""
        query = select(documents.c.document_id).where(
            documents.c.corpus_id == corpus_id,
            documents.c.tenant == tenant,
            documents.c.deleted == 0,
        )
        with self._db.read() as connection:
            return {
                found
                for part in _slices(ids)
                for found in connection.execute(
                    query.where(documents.c.document_id.in_(part))
                ).scalars()
            }

    def live_ids(self, corpus_id: int, tenant: str, source: str | None = None) -> Iterator[str]:
        """Ids of the live documents, of one source or of all."""
        query = select(documents.c.document_id).where(
            documents.c.corpus_id == corpus_id,
            documents.c.tenant == tenant,
            documents.c.deleted == 0,
        )
        if source is not None:
            query = query.where(documents.c.source == source)
        with self._db.read() as connection:
            yield from connection.execute(query).scalars()

    def sources(self, corpus_id: int) -> list[str]:
        """Sources of the live documents, sorted."""
        query = select(documents.c.source).where(
            documents.c.corpus_id == corpus_id, documents.c.deleted == 0
        )
        with self._db.read() as connection:
            return sorted(connection.execute(query.distinct()).scalars())

    def count(self, corpus_id: int) -> int:
        """Number of live documents."""
        query = select(func.count()).where(
            documents.c.corpus_id == corpus_id, documents.c.deleted == 0
        )
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def log(self, corpus_id: int, writes: Sequence[Write]) -> None:
        """Log ``writes`` in one transaction: all of them, or none."""
        if not writes:
            return
        with self._db.write() as connection:
            head = _advance(connection, corpus_id, len(writes))
            bodies, rows = {}, []
            for offset, write in enumerate(writes):
                document = write.document
                raw = document.text.encode()
                digest = hashlib.blake2b(raw, digest_size=16).digest()
                bodies[digest] = zlib.compress(raw, 1)
                rows.append(
                    {
                        "corpus_id": corpus_id, "tenant": document.tenant,
                        "document_id": document.document_id, "source": write.source,
                        "source_digest": write.source_digest, "text_digest": digest,
                        "title": document.title,
                        "metadata": json.dumps(dict(document.metadata), ensure_ascii=False),
                        "seq": head + offset + 1, "deleted": 0,
                    }
                )  # fmt: skip
            connection.execute(
                upsert(texts).on_conflict_do_nothing(),
                [{"digest": digest, "body": body} for digest, body in bodies.items()],
            )
            statement = upsert(documents)
            changed = {c.name: c for c in statement.excluded if not c.primary_key}
            keys = [c.name for c in documents.primary_key]
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=changed), rows
            )

    def delete(self, corpus_id: int, tenant: str, ids: Sequence[str]) -> int:
        """Log the deletion of those of ``ids`` that are live; returns how many were."""
        live = sorted(self.existing(corpus_id, tenant, ids))
        if not live:
            return 0
        with self._db.write() as connection:
            head = _advance(connection, corpus_id, len(live))
            for offset, document_id in enumerate(live):
                connection.execute(
                    update(documents)
                    .where(
                        documents.c.corpus_id == corpus_id,
                        documents.c.tenant == tenant,
                        documents.c.document_id == document_id,
                    )
                    .values(deleted=1, seq=head + offset + 1)
                )
        return len(live)

    def entries(self, corpus_id: int, after: int, limit: int) -> list[LogEntry]:
        """Up to ``limit`` entries with a sequence number above ``after``, in order."""
        query = (
            select(documents, texts.c.body)
            .join(texts, texts.c.digest == documents.c.text_digest)
            .where(documents.c.corpus_id == corpus_id, documents.c.seq > after)
            .order_by(documents.c.seq)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def live(self, corpus_id: int, page: int = 500) -> Iterator[Document]:
        """All live documents in log order, read page by page."""
        after = 0
        while entries := self.entries(corpus_id, after, page):
            yield from (entry.document for entry in entries if entry.document)
            after = entries[-1].seq

    def facts(
        self, corpus_id: int, tenant: str, ids: Sequence[str]
    ) -> dict[str, tuple[str, Metadata]]:
        """Title and metadata of those of ``ids`` that are live."""
        query = select(documents.c.document_id, documents.c.title, documents.c.metadata).where(
            documents.c.corpus_id == corpus_id,
            documents.c.tenant == tenant,
            documents.c.deleted == 0,
        )
        with self._db.read() as connection:
            return {
                row.document_id: (row.title, json.loads(row.metadata))
                for part in _slices(ids)
                for row in connection.execute(query.where(documents.c.document_id.in_(part)))
            }

    def bodies(self, digests: Iterable[bytes]) -> Mapping[bytes, str]:
        """Texts by digest."""
        with self._db.read() as connection:
            return {
                row.digest: zlib.decompress(row.body).decode()
                for part in _slices(list(set(digests)))
                for row in connection.execute(select(texts).where(texts.c.digest.in_(part)))
            }

    def digest(self, corpus_id: int) -> str:
        """Digest over ids, titles and texts of the live documents (hex)."""
        query = (
            select(documents.c.tenant, documents.c.document_id, documents.c.title,
                   documents.c.text_digest)
            .where(documents.c.corpus_id == corpus_id, documents.c.deleted == 0)
            .order_by(documents.c.tenant, documents.c.document_id)
        )  # fmt: skip
        running = hashlib.blake2b(digest_size=16)
        with self._db.read() as connection:
            for row in connection.execute(query):
                line = json.dumps([row.tenant, row.document_id, row.title, row.text_digest.hex()])
                running.update(line.encode() + b"\n")
        return running.hexdigest()


def _corpus_id(connection: Connection, name: str) -> int | None:
    query = select(corpora.c.corpus_id).where(corpora.c.name == name)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else int(found)


def _advance(connection: Connection, corpus_id: int, by: int) -> int:
    """Move the head of the log by ``by`` entries; returns where it was."""
    query = select(corpora.c.head).where(corpora.c.corpus_id == corpus_id)
    head = int(connection.execute(query).scalar_one())
    connection.execute(
        update(corpora).where(corpora.c.corpus_id == corpus_id).values(head=head + by)
    )
    return head


def _entry(row: object) -> LogEntry:
    fields = row._mapping  # type: ignore[attr-defined]  # noqa: SLF001
    document = None
    if not fields["deleted"]:
        document = Document(
            fields["document_id"],
            zlib.decompress(fields["body"]).decode(),
            fields["title"],
            json.loads(fields["metadata"]),
            fields["tenant"],
        )
    return LogEntry(
        fields["seq"], fields["tenant"], fields["document_id"], fields["text_digest"], document
    )


def _slices(values: Sequence[object]) -> Iterator[Sequence[object]]:
    for start in range(0, len(values), SLICE):
        yield values[start : start + SLICE]

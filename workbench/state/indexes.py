"""Actual state: indexes, what each holds, and what a store may hold beside that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from workbench.spec import ChunkingSpec, EmbeddingSpec
from workbench.state.db import Database
from workbench.state.documents import LogEntry
from workbench.state.index_records import Index, LiveChunk, Planned
from workbench.state.leases import Lease, Leases
from workbench.state.schema import (
    documents,
    index_chunks,
    index_documents,
    indexes,
    pending_chunks,
)

SLICE = 400


class Indexes:
    """Indexes, the documents and chunks in them, and pending store ids.

    The store of an index holds at least the live chunks and at most the live and pending ones:
    an id is pending from before it is written until it is live, and from when it stops being live
    until it is deleted.
    """

    def __init__(self, db: Database, leases: Leases) -> None:
        """Keep everything in ``db``; writes renew their lease through ``leases``."""
        self._db = db
        self._leases = leases

    def ensure(self, corpus_id: int, embedding: EmbeddingSpec, chunking: ChunkingSpec) -> Index:
        """The index of that corpus, space and chunking, made when it is not there."""
        values = {
            "corpus_id": corpus_id,
            "fingerprint": embedding.fingerprint,
            "chunking_id": chunking.chunking_id,
        }
        found = self._where(**values)
        if not found:
            with self._db.write() as connection:
                connection.execute(
                    upsert(indexes)
                    .values(
                        **values,
                        embedding=json.dumps(embedding.to_dict()),
                        chunking=json.dumps(chunking.to_dict()),
                        generation=1,
                        cursor=0,
                    )
                    .on_conflict_do_nothing()
                )
            found = self._where(**values)
        return found[0]

    def get(self, index_id: int) -> Index:
        """The index with that id, as it is now."""
        return self._where(index_id=index_id)[0]

    def of_corpus(self, corpus_id: int) -> list[Index]:
        """All indexes of a corpus, oldest first."""
        return self._where(corpus_id=corpus_id)

    def all(self) -> list[Index]:
        """All indexes, oldest first."""
        return self._where()

    def counts(self, index: Index) -> tuple[int, int]:
        """Number of documents and of chunks in ``index``."""
        with self._db.read() as connection:
            return tuple(  # type: ignore[return-value]
                int(
                    connection.execute(
                        select(func.count()).where(table.c.index_id == index.index_id)
                    ).scalar_one()
                )
                for table in (index_documents, index_chunks)
            )

    def actual_seqs(self, index: Index, entries: Sequence[LogEntry]) -> dict[tuple[str, str], int]:
        """Sequence numbers already in ``index``, by (tenant, document id), for ``entries``."""
        with self._db.read() as connection:
            return _present(connection, index, entries)

    def live(
        self, index: Index, chunk_ids: Sequence[str], tenant: str | None = None
    ) -> dict[str, LiveChunk]:
        """Those of ``chunk_ids`` that exist and whose document is not deleted: the last word."""
        query = (
            select(index_chunks, index_documents.c.text_digest)
            .join(
                index_documents,
                (index_documents.c.index_id == index_chunks.c.index_id)
                & (index_documents.c.tenant == index_chunks.c.tenant)
                & (index_documents.c.document_id == index_chunks.c.document_id),
            )
            .join(
                documents,
                (documents.c.corpus_id == index.corpus_id)
                & (documents.c.tenant == index_chunks.c.tenant)
                & (documents.c.document_id == index_chunks.c.document_id)
                & (documents.c.deleted == 0),
            )
            .where(index_chunks.c.index_id == index.index_id)
        )
        if tenant is not None:
            query = query.where(index_chunks.c.tenant == tenant)
        with self._db.read() as connection:
            return {
                row.chunk_id: LiveChunk(
                    row.chunk_id,
                    row.tenant,
                    row.document_id,
                    row.start,
                    row.end,
                    row.text_digest,
                    row.vault_key,
                )
                for start in range(0, len(chunk_ids), SLICE)
                for row in connection.execute(
                    query.where(index_chunks.c.chunk_id.in_(chunk_ids[start : start + SLICE]))
                )
            }

    def chunk_keys(self, index: Index, page: int = 2000) -> Iterator[list[tuple[str, bytes]]]:
        """(chunk id, vault key) of every chunk that exists, in pages ordered by id."""
        after = ""
        query = (
            select(index_chunks.c.chunk_id, index_chunks.c.vault_key)
            .where(index_chunks.c.index_id == index.index_id)
            .order_by(index_chunks.c.chunk_id)
            .limit(page)
        )
        while True:
            with self._db.read() as connection:
                rows = connection.execute(query.where(index_chunks.c.chunk_id > after)).all()
            if not rows:
                return
            yield [(row.chunk_id, row.vault_key) for row in rows]
            after = rows[-1].chunk_id

    def pending(self, index: Index) -> list[str]:
        """Ids that the store may hold although they are not live."""
        query = select(pending_chunks.c.chunk_id).where(pending_chunks.c.index_id == index.index_id)
        with self._db.read() as connection:
            return list(connection.execute(query).scalars())

    def intend(self, index: Index, lease: Lease, planned: Sequence[Planned]) -> None:
        """Record the ids about to be written to the store, before they are."""
        ids = [chunk.chunk_id for plan in planned for chunk in plan.chunks]
        with self._db.write() as connection:
            self._leases.renew(connection, lease)
            live = set(_existing(connection, index, ids))
            _add_pending(connection, index, [i for i in ids if i not in live])

    def flip(self, index: Index, lease: Lease, planned: Sequence[Planned]) -> list[str]:
        """Make ``planned`` actual in one transaction; returns the ids to delete from the store."""
        with self._db.write() as connection:
            self._leases.renew(connection, lease)
            stale: set[str] = set()
            fresh: list[str] = []
            present = _present(connection, index, [plan.entry for plan in planned])
            for plan in planned:
                if (plan.entry.tenant, plan.entry.document_id) in present:
                    stale |= set(_remove_document(connection, index, plan.entry))
                fresh += [chunk.chunk_id for chunk in plan.chunks]
            _add_documents(connection, index, planned)
            stale -= set(fresh)
            _drop_pending(connection, index, fresh)
            _add_pending(connection, index, sorted(stale))
        return sorted(stale)

    def deletable(self, index: Index, lease: Lease, ids: Sequence[str]) -> list[str]:
        """Those of ``ids`` that are still not live, checked under the lease."""
        with self._db.write() as connection:
            self._leases.renew(connection, lease)
            live = set(_existing(connection, index, ids))
        return [i for i in ids if i not in live]

    def settle(self, index: Index, lease: Lease, ids: Sequence[str]) -> None:
        """Forget pending ``ids``: the store no longer holds them."""
        with self._db.write() as connection:
            self._leases.renew(connection, lease)
            _drop_pending(connection, index, ids)

    def advance(self, index: Index, lease: Lease, cursor: int) -> None:
        """Record that every entry up to ``cursor`` is actual."""
        with self._db.write() as connection:
            self._leases.renew(connection, lease)
            connection.execute(
                update(indexes)
                .where(indexes.c.index_id == index.index_id, indexes.c.cursor < cursor)
                .values(cursor=cursor)
            )

    def reset(self, index: Index, lease: Lease) -> Index:
        """Declare that nothing of ``index`` exists and give it a new, empty collection."""
        with self._db.write() as connection:
            self._leases.renew(connection, lease)
            for table in (index_chunks, index_documents, pending_chunks):
                connection.execute(delete(table).where(table.c.index_id == index.index_id))
            connection.execute(
                update(indexes)
                .where(indexes.c.index_id == index.index_id)
                .values(cursor=0, generation=index.generation + 1)
            )
        return self.get(index.index_id)

    def _where(self, **values: object) -> list[Index]:
        query = select(indexes).order_by(indexes.c.index_id)
        for name, value in values.items():
            query = query.where(indexes.c[name] == value)
        with self._db.read() as connection:
            return [
                Index(
                    row.index_id,
                    row.corpus_id,
                    EmbeddingSpec.from_dict(json.loads(row.embedding)),
                    ChunkingSpec.from_dict(json.loads(row.chunking)),
                    row.generation,
                    row.cursor,
                )
                for row in connection.execute(query)
            ]


def _existing(connection: Connection, index: Index, ids: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(ids), SLICE):
        yield from connection.execute(
            select(index_chunks.c.chunk_id).where(
                index_chunks.c.index_id == index.index_id,
                index_chunks.c.chunk_id.in_(ids[start : start + SLICE]),
            )
        ).scalars()


def _present(
    connection: Connection, index: Index, entries: Sequence[LogEntry]
) -> dict[tuple[str, str], int]:
    ids = [entry.document_id for entry in entries]
    query = select(
        index_documents.c.tenant, index_documents.c.document_id, index_documents.c.seq
    ).where(index_documents.c.index_id == index.index_id)
    return {
        (row.tenant, row.document_id): row.seq
        for start in range(0, len(ids), SLICE)
        for row in connection.execute(
            query.where(index_documents.c.document_id.in_(ids[start : start + SLICE]))
        )
    }


def _remove_document(connection: Connection, index: Index, entry: LogEntry) -> list[str]:
    gone = []
    for table in (index_chunks, index_documents):
        mine = (
            (table.c.index_id == index.index_id)
            & (table.c.tenant == entry.tenant)
            & (table.c.document_id == entry.document_id)
        )
        if table is index_chunks:
            gone = list(connection.execute(select(table.c.chunk_id).where(mine)).scalars())
        connection.execute(delete(table).where(mine))
    return gone


def _add_documents(connection: Connection, index: Index, planned: Sequence[Planned]) -> None:
    rows = [
        {
            "index_id": index.index_id, "tenant": plan.entry.tenant,
            "document_id": plan.entry.document_id, "text_digest": plan.entry.text_digest,
            "seq": plan.entry.seq,
        }
        for plan in planned
        if plan.entry.document is not None
    ]  # fmt: skip
    chunks = [
        {
            "index_id": index.index_id, "chunk_id": chunk.chunk_id, "tenant": chunk.tenant,
            "document_id": chunk.document_id, "ordinal": chunk.ordinal, "start": chunk.start,
            "end": chunk.end, "vault_key": key,
        }
        for plan in planned
        for chunk, key in zip(plan.chunks, plan.keys, strict=True)
    ]  # fmt: skip
    if rows:
        connection.execute(insert(index_documents), rows)
    if chunks:
        connection.execute(insert(index_chunks), chunks)


def _add_pending(connection: Connection, index: Index, ids: Sequence[str]) -> None:
    if ids:
        connection.execute(
            upsert(pending_chunks).on_conflict_do_nothing(),
            [{"index_id": index.index_id, "chunk_id": i} for i in ids],
        )


def _drop_pending(connection: Connection, index: Index, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), SLICE):
        connection.execute(
            delete(pending_chunks).where(
                pending_chunks.c.index_id == index.index_id,
                pending_chunks.c.chunk_id.in_(ids[start : start + SLICE]),
            )
        )

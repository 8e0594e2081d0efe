"""Make an index equal its corpus: the one function behind sync, backfill, repair and rebuild."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.index.encoding import Account, EncodingCounts, VaultEncoder, Wanted, batched
from workbench.models.stages import ChunkStage
from workbench.protocols import Executor, Store
from workbench.records import Chunk, Document, Quarantined, Scalar
from workbench.state.documents import LogEntry
from workbench.state.index_records import Index, Planned
from workbench.state.leases import Lease
from workbench.state.registry import Registry
from workbench.state.vault import Vault

DOCUMENTS_PER_BATCH = 32
USER_PREFIX = "u."
"""Users' own metadata live under this prefix in a store and cannot collide with ours."""


@dataclass(slots=True)
class ConvergeReport:
    """What one converge did; ``seconds`` by stage are seen from the driver.

    ``quarantined`` are documents with a chunk that the encoder refuses: their other chunks are in
    the index. The chunk is tried again when the document changes or the index is rebuilt.
    ``dollars`` are filled in by who knows the run.
    """

    index: str
    documents: int = 0
    chunks: int = 0
    upserts: int = 0
    deletes: int = 0
    encoding: EncodingCounts = field(default_factory=EncodingCounts)
    seconds: dict[str, float] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    dollars: float = 0.0


@dataclass(slots=True)
class _Window:
    """Log entries that are committed together."""

    planned: list[Planned]
    last_seq: int
    waiting: int = 0


class Converger:
    """Drives one index under its lease. Everything it does can be done again after a crash."""

    def __init__(
        self,
        registry: Registry,
        vault: Vault,
        store: Store,
        executor: Executor,
        *,
        corpus: str,
        window_chunks: int,
        batch_texts: int,
        account: Account,
        progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
    ) -> None:
        """Wire the parts; ``progress`` gets (stage, done, total) after every window."""
        self._registry = registry
        self._vault = vault
        self._store = store
        self._executor = executor
        self._corpus = corpus
        self._window_chunks = window_chunks
        self._batch_texts = batch_texts
        self._account = account
        self._progress = progress

    def converge(self, index: Index) -> ConvergeReport:
        """Follow the log to its head. With nothing to do there is no write and no lease.

        Raises:
            LeaseLost: Another driver works on this index.
            SpaceMismatch: The collection in the store holds another space.
            ExecutionError: A stage failed for good; what was committed stays, run again.
        """
        report = ConvergeReport(index.name)
        head = self._registry.documents.head(index.corpus_id)
        lost = self._lost(index)
        if index.cursor >= head and not lost and not self._registry.indexes.pending(index):
            return report
        lease = self._registry.leases.acquire(index.lease_name)
        try:
            index = self._registry.indexes.get(index.index_id)
            if lost:
                index = self._registry.indexes.reset(index, lease)
            self._prepare(index, lease, report)
            self._follow(index, lease, head, report)
        finally:
            self._registry.leases.release(lease)
        return report

    def rebuild(self, index: Index) -> ConvergeReport:
        """Make the collection anew from registry and vault, and drop the old one."""
        return self.converge(self.reset(index))

    def reset(self, index: Index) -> Index:
        """Declare ``index`` empty; ``converge`` then makes it anew, whenever that is finished."""
        lease = self._registry.leases.acquire(index.lease_name)
        try:
            index = self._registry.indexes.reset(index, lease)
            self._create(index)
        finally:
            self._registry.leases.release(lease)
        return index

    def _create(self, index: Index) -> None:
        space = index.embedding
        self._store.create(index.collection, space.dimension, space.fingerprint)

    def _lost(self, index: Index) -> bool:
        """Whether the store lost a collection that the registry says has chunks."""
        gone = not self._store.exists(index.collection)
        return gone and self._registry.indexes.counts(index)[1] > 0

    def _prepare(self, index: Index, lease: Lease, report: ConvergeReport) -> None:
        if index.cursor == 0 and index.generation > 1:
            for generation in range(1, index.generation):
                self._store.drop(replace(index, generation=generation).collection)
        self._create(index)
        self._delete_from_store(index, lease, self._registry.indexes.pending(index), report)

    def _follow(self, index: Index, lease: Lease, head: int, report: ConvergeReport) -> None:
        encoder = VaultEncoder(
            index.embedding, "document", self._vault, self._registry.ledger, self._account
        )
        report.encoding = encoder.counts
        queue: deque[_Window] = deque()

        def commit(window: _Window, *, in_order: bool = True) -> None:
            self._commit(index, lease, window, encoder, report)
            if in_order:
                self._registry.indexes.advance(index, lease, window.last_seq)
            self._progress("index", window.last_seq, head)

        def batches() -> Iterator[Sequence[Wanted]]:
            for window in self._windows(index, head, encoder, report):
                wanted = [
                    Wanted(key, chunk.encoded, plan.entry.tenant)
                    for plan in window.planned
                    for key, chunk in zip(plan.keys, plan.chunks, strict=True)
                ]
                missing = encoder.misses(wanted)
                if not missing and not encoder.waits_for(one.key for one in wanted):
                    commit(window, in_order=not queue)
                    continue
                queue.append(window)
                parts = list(batched(missing, encoder.batch_texts(self._batch_texts)))
                window.waiting = len(parts)
                yield from parts

        started = time.perf_counter()
        for _ in encoder.stored(self._executor, batches()):
            _drain(queue, commit)
            queue[0].waiting -= 1
            _drain(queue, commit)
        _drain(queue, commit)
        report.seconds["total"] = time.perf_counter() - started
        self._registry.indexes.advance(index, lease, head)

    def _windows(
        self, index: Index, head: int, encoder: VaultEncoder, report: ConvergeReport
    ) -> Iterator[_Window]:
        stage = ChunkStage(index.chunking, index.embedding, self._corpus)
        pages: deque[list[LogEntry]] = deque()

        def batches() -> Iterator[list[Document]]:
            for page in self._pages(index, head):
                pages.append(page)
                yield [entry.document for entry in page if entry.document]

        planned: list[Planned] = []
        size, enough = 0, encoder.window_chunks(self._window_chunks)
        for answers in self._executor.map(stage, batches()):
            chunked = iter(answers)
            for entry in pages.popleft():
                chunks: tuple[Chunk, ...] = tuple(next(chunked)) if entry.document else ()
                keys = tuple(encoder.key(entry.tenant, chunk.encoded) for chunk in chunks)
                planned.append(Planned(entry, chunks, keys))
                size += max(1, len(chunks))
                report.documents += 1
                report.chunks += len(chunks)
                if size >= enough:
                    yield _Window(planned, entry.seq)
                    planned, size = [], 0
        if planned:
            yield _Window(planned, planned[-1].entry.seq)

    def _pages(self, index: Index, head: int) -> Iterator[list[LogEntry]]:
        after = index.cursor
        while entries := self._registry.documents.entries(
            index.corpus_id, after, DOCUMENTS_PER_BATCH
        ):
            after = entries[-1].seq
            actual = self._registry.indexes.actual_seqs(index, entries)
            due = [
                entry
                for entry in entries
                if entry.seq <= head and actual.get((entry.tenant, entry.document_id)) != entry.seq
            ]
            if due:
                yield due
            if after >= head:
                return

    def _commit(
        self,
        index: Index,
        lease: Lease,
        window: _Window,
        encoder: VaultEncoder,
        report: ConvergeReport,
    ) -> None:
        """Vault (already done), store, registry; then remove from the store what went stale."""
        started = time.perf_counter()
        indexes = self._registry.indexes
        window.planned = [_encodable(plan, encoder, report) for plan in window.planned]
        keys = [key for plan in window.planned for key in plan.keys]
        chunks = [chunk for plan in window.planned for chunk in plan.chunks]
        if chunks:
            vectors = encoder.vectors(keys)
            indexes.intend(index, lease, window.planned)
            self._store.upsert(
                index.collection,
                [chunk.chunk_id for chunk in chunks],
                vectors,
                [
                    _store_metadata(chunk, index, plan.entry)
                    for plan in window.planned
                    for chunk in plan.chunks
                ],
            )
        stale = indexes.flip(index, lease, window.planned)
        report.upserts += len(chunks)
        self._delete_from_store(index, lease, stale, report)
        spent = time.perf_counter() - started
        report.seconds["commit"] = report.seconds.get("commit", 0.0) + spent

    def _delete_from_store(
        self, index: Index, lease: Lease, ids: list[str], report: ConvergeReport
    ) -> None:
        if not ids:
            return
        gone = self._registry.indexes.deletable(index, lease, ids)
        self._store.delete(index.collection, gone)
        self._registry.indexes.settle(index, lease, ids)
        report.deletes += len(gone)


def _drain(queue: deque[_Window], commit: Callable[[_Window], None]) -> None:
    """Commit the windows at the head of ``queue`` that wait for no answer."""
    while queue and not queue[0].waiting:
        commit(queue.popleft())


def _encodable(plan: Planned, encoder: VaultEncoder, report: ConvergeReport) -> Planned:
    """``plan`` without chunks that have no vector; its document is reported."""
    refused = [key for key in plan.keys if key in encoder.refused]
    if not refused:
        return plan
    pairs = [
        (chunk, key)
        for chunk, key in zip(plan.chunks, plan.keys, strict=True)
        if key not in encoder.refused
    ]
    left_out = f"{len(refused)} of {len(plan.chunks)} chunks left out"
    report.quarantined.append(
        Quarantined(plan.entry.document_id, f"{left_out}: {encoder.refused[refused[0]]}")
    )
    return replace(
        plan, chunks=tuple(chunk for chunk, _ in pairs), keys=tuple(key for _, key in pairs)
    )


def _store_metadata(chunk: Chunk, index: Index, entry: LogEntry) -> dict[str, Scalar]:
    user: Mapping[str, Scalar] = entry.document.metadata if entry.document else {}
    return {
        "document_id": chunk.document_id,
        "chunk_index": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "tenant": chunk.tenant,
        "fingerprint": index.embedding.fingerprint,
        **{USER_PREFIX + key: value for key, value in user.items()},
    }

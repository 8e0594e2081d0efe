"""A source into a corpus into an index, and what that took."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import SpaceMismatch
from workbench.index.converge import ConvergeReport
from workbench.index.plan import SourceReport
from workbench.records import Quarantined
from workbench.results import Result
from workbench.spec import ChunkingSpec, EmbeddingSpec
from workbench.state.index_records import Index
from workbench.state.runs import EncodingRun

SHOWN_QUARANTINED = 20


@dataclass(frozen=True, slots=True)
class IngestResult(Result):
    """What an ingest changed and what it took.

    ``encoder_calls`` counts batches sent to the encoder, retries included; ``cache_hits`` chunks
    whose vector was in the vault; ``tokens`` what the encoder processed after truncation. Stage
    seconds are as the driver saw them; stages overlap on Ray.
    """

    corpus: str
    index: str
    added: int
    changed: int
    deleted: int
    kept: int
    quarantined: tuple[Quarantined, ...]
    chunks: int
    encoder_calls: int
    cache_hits: int
    tokens: int
    truncated: int
    upserts: int
    deletes: int
    cost_usd: float
    seconds: float
    read_seconds: float
    source_seconds: float
    index_seconds: float
    commit_seconds: float
    dry_run: bool = False
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def writes(self) -> int:
        """Changes written: log entries, upserts and deletes. 0 when nothing had changed."""
        return self.added + self.changed + self.deleted + self.upserts + self.deletes

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per fact, for people."""
        facts = {
            "documents added": self.added,
            "documents changed": self.changed,
            "documents deleted": self.deleted,
            "documents kept": self.kept,
            "quarantined": len(self.quarantined),
            "chunks indexed": self.upserts,
            "encoder calls": self.encoder_calls,
            "cache hits": self.cache_hits,
            "tokens": self.tokens,
            "texts cut by the encoder": self.truncated,
            "cost, $": self.cost_usd,
            "seconds": round(self.seconds, 2),
        }
        return [{"what": name, "value": value} for name, value in facts.items()]

    def __str__(self) -> str:
        lines = [f"{self.corpus} -> {self.index}", Result.__str__(self)]
        lines += [f"quarantined {q.document_id}: {q.reason}" for q in self.quarantined][
            :SHOWN_QUARANTINED
        ]
        if len(self.quarantined) > SHOWN_QUARANTINED:
            lines.append(f"... and {len(self.quarantined) - SHOWN_QUARANTINED} more (see --json)")
        return "\n".join([*lines, *self.notes])


def new_run() -> str:
    """Id of a run, for ledger rows."""
    return uuid.uuid4().hex[:12]


def run_of(
    run: str, index: Index, report: ConvergeReport, *, source: str, corpus: str, tenant: str
) -> EncodingRun:
    """What the registry keeps of a run."""
    counts = report.encoding
    return EncodingRun(
        run=run,
        model=index.embedding.model,
        fingerprint=index.embedding.fingerprint,
        chunking_id=index.chunking.chunking_id,
        source=source,
        corpus=corpus,
        tenant=tenant,
        chunks=report.chunks,
        calls=counts.encoder_calls,
        encoded=counts.encoded,
        hits=counts.cache_hits,
        tokens=counts.tokens,
        truncated=counts.truncated,
        dollars=report.dollars,
        seconds=report.seconds.get("total", 0.0),
        commit_seconds=report.seconds.get("commit", 0.0),
    )


def check_space(
    corpus: str, served: Index, embedding: EmbeddingSpec, chunking: ChunkingSpec
) -> None:
    """Refuse to index a corpus in another space or chunking than the index it serves.

    Raises:
        SpaceMismatch: Names both fingerprints and what to do instead.
    """
    has, cut = served.embedding, served.chunking
    same_space = has.fingerprint == embedding.fingerprint
    if same_space and cut.chunking_id == chunking.chunking_id:
        return
    raise SpaceMismatch(
        f"corpus {corpus!r} is indexed as {has.model}/{cut.name} (fingerprint {has.fingerprint}), "
        f"not as {embedding.model}/{chunking.name} (fingerprint {embedding.fingerprint}). Ingest "
        f"with `--model {has.model} --chunking {cut.name}`, or use another corpus name; "
        "`workbench compare` measures another model without touching this index."
    )


def result_of(
    corpus: str,
    source: SourceReport,
    converged: ConvergeReport,
    *,
    started: float,
    dry_run: bool = False,
) -> IngestResult:
    """The two reports as one result; ``started`` is a ``time.perf_counter`` reading."""
    counts = converged.encoding
    return IngestResult(
        corpus=corpus,
        index=converged.index,
        added=source.added,
        changed=source.changed,
        deleted=source.deleted,
        kept=source.kept,
        quarantined=(*source.quarantined, *converged.quarantined),
        chunks=converged.chunks,
        encoder_calls=counts.encoder_calls,
        cache_hits=counts.cache_hits,
        tokens=counts.tokens,
        truncated=counts.truncated,
        upserts=converged.upserts,
        deletes=converged.deletes,
        cost_usd=converged.dollars,
        seconds=time.perf_counter() - started,
        read_seconds=source.read_seconds,
        source_seconds=source.seconds,
        index_seconds=converged.seconds.get("total", 0.0),
        commit_seconds=converged.seconds.get("commit", 0.0),
        dry_run=dry_run,
        notes=tuple(source.notes),
    )

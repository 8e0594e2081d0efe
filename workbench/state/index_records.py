"""What an index is, what it plans to hold, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.records import Chunk
from workbench.spec import ChunkingSpec, EmbeddingSpec
from workbench.state.documents import LogEntry


@dataclass(frozen=True, slots=True)
class Index:
    """One corpus, one fingerprint, one chunking spec.

    ``cursor`` is the log entry up to which it is known to follow; ``generation`` counts rebuilds.
    """

    index_id: int
    corpus_id: int
    embedding: EmbeddingSpec
    chunking: ChunkingSpec
    generation: int
    cursor: int

    @property
    def name(self) -> str:
        """Name for people: corpus id, model and chunking with their digests."""
        return (
            f"{self.index_id}:{self.embedding.model}@{self.embedding.fingerprint[:8]}"
            f"/{self.chunking.name}@{self.chunking.chunking_id[:8]}"
        )

    @property
    def collection(self) -> str:
        """Name of the collection in the store; a rebuild gives it another one."""
        return f"index-{self.index_id}-{self.embedding.fingerprint}-{self.generation}"

    @property
    def lease_name(self) -> str:
        """Name of the lease that its driver holds."""
        return f"index-{self.index_id}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A log entry with its chunks and their vault keys, ready to become actual."""

    entry: LogEntry
    chunks: tuple[Chunk, ...]
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """What the registry says of a chunk that exists."""

    chunk_id: str
    tenant: str
    document_id: str
    start: int
    end: int
    text_digest: bytes
    vault_key: bytes

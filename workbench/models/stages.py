"""Work that executors run: frozen descriptions, built where the work is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import DigestMismatch
from workbench.records import Chunk, Document, Role
from workbench.spec import ChunkingSpec, EmbeddingSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.protocols import TokenCounter, Vectors


@dataclass(frozen=True, slots=True)
class Encoded:
    """What encoding a batch gives.

    Attributes:
        vectors: Shape (n, dimension), float32, one row per text, in order.
        tokens: Tokens the encoder processed: after truncation, prompts and special tokens included.
        truncated: How many texts were cut.
    """

    vectors: Vectors
    tokens: int
    truncated: int


@dataclass(frozen=True, slots=True)
class ChunkStage:
    """Cuts documents into chunks; ``embedding`` may be None where nothing counts tokens."""

    chunking: ChunkingSpec
    embedding: EmbeddingSpec | None
    corpus: str

    @property
    def name(self) -> str:
        """For progress and errors."""
        return "chunk"

    def build(self, threads: int) -> Callable[[list[Document]], list[list[Chunk]]]:
        """Load the tokenizer; the function gives the chunks of each document.

        Raises:
            ModelMissing: The tokenizer is not on this machine.
            DigestMismatch: It is not the one the chunking is bound to.
        """
        from workbench.data.chunk import chunk_document
        from workbench.models.factory import use_threads

        use_threads(threads)
        counter = self._counter()

        def chunk(documents: list[Document]) -> list[list[Chunk]]:
            return [
                chunk_document(document, self.chunking, counter, self.corpus)
                for document in documents
            ]

        return chunk

    def _counter(self) -> TokenCounter | None:
        if self.embedding is None or self.chunking.strategy == "whole":
            return None
        from workbench.models.tokens import counter_for, tokenizer_digest

        found = tokenizer_digest(self.embedding)
        if self.chunking.tokenizer not in {"", found}:
            raise DigestMismatch(
                f"chunking {self.chunking.name!r} is bound to tokenizer {self.chunking.tokenizer}, "
                f"but that of model {self.embedding.model!r} here is {found}. Bind the chunking to "
                "the model that encodes its chunks."
            )
        return counter_for(self.embedding)


@dataclass(frozen=True, slots=True)
class EncodeStage:
    """Encodes texts into one space."""

    embedding: EmbeddingSpec
    role: Role

    @property
    def name(self) -> str:
        """For progress and errors."""
        return "encode"

    def cargo(self) -> bytes | None:
        """The artifact of a quantised model: it was made on one machine and is its identity.

        Raises:
            ModelMissing: It is not on this machine.
        """
        from workbench.models.artifact import pack
        from workbench.models.files import is_artifact

        return pack(self.embedding) if is_artifact(self.embedding) else None

    def unload(self, cargo: bytes) -> None:
        """Keep the artifact on this machine too.

        Raises:
            DigestMismatch: It is not the one that ``embedding`` names.
        """
        from workbench.models.artifact import unpack

        unpack(self.embedding, cargo)

    def build(self, threads: int) -> Callable[[tuple[str, ...]], Encoded]:
        """Load the encoder.

        Raises:
            ModelError: It can not be loaded (missing, damaged).
        """
        from workbench.models.factory import build_encoder

        encoder = build_encoder(self.embedding, threads)
        limit = self.embedding.max_tokens

        def encode(texts: tuple[str, ...]) -> Encoded:
            vectors, counts = encoder.encode_counted(texts, self.role)
            if not limit:
                return Encoded(vectors, sum(counts), 0)
            read = sum(min(count, limit) for count in counts)
            return Encoded(vectors, read, sum(count > limit for count in counts))

        return encode


@dataclass(frozen=True, slots=True)
class RerankStage:
    """Scores the candidates of a query with a catalogued reranker."""

    model: str

    @property
    def name(self) -> str:
        """For progress and errors."""
        return "rerank"

    def build(self, threads: int) -> Callable[[tuple[str, tuple[str, ...]]], NDArray[np.float32]]:
        """Load the reranker; the function takes a query with its texts and gives shape (n,).

        Raises:
            ModelError: It can not be loaded (missing, damaged).
        """
        from workbench.models.rerank import build_reranker

        reranker = build_reranker(self.model, threads)

        def score(pair: tuple[str, tuple[str, ...]]) -> NDArray[np.float32]:
            query, texts = pair
            return reranker.score(query, texts)

        return score

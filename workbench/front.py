"""Many people searching one corpus at once: their queries are encoded together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workbench.closing import Closing
from workbench.errors import ConfigError
from workbench.models.microbatch import MicroBatcher

if TYPE_CHECKING:
    from workbench.corpus import Corpus
    from workbench.protocols import Vectors
    from workbench.records import Scalar
    from workbench.search.searcher import SearchResult


class SearchFront(Closing):
    """Answers searches of a corpus from any number of threads.

    Queries that arrive within ``max_wait`` seconds of each other are encoded in one call, which is
    what providers and models want; each then searches with the vector that is in the cache. Use it
    as a context manager; leaving it answers what was asked.

    Args:
        corpus: Ingested before.
        max_texts: Queries of one call.
        max_wait: Seconds a lone query waits for company; 0 = what came while others were encoded.
    """

    def __init__(self, corpus: Corpus, *, max_texts: int = 32, max_wait: float = 0.005) -> None:
        if corpus.served() is None:
            raise ConfigError(f"corpus {corpus.name!r} holds nothing yet; ingest a source first")
        self._corpus = corpus
        self._front = MicroBatcher(self._encode, max_texts=max_texts, max_wait=max_wait)

    def close(self) -> None:
        """Answer what was asked, then end."""
        self._front.close()

    def search(
        self,
        text: str,
        *,
        k: int | None = None,
        where: Mapping[str, Scalar] | None = None,
        rerank: str | None = None,
    ) -> SearchResult:
        """As ``Corpus.search``; may be called by many threads at once."""
        if text.strip():
            self._front.submit([text]).result()
        return self._corpus.search(text, k=k, where=where, rerank=rerank)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        return self._corpus.encode_queries(texts)

"""One corpus of a session: ingest, search, verify, rebuild, delete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workbench.cost.prices import price_of
from workbench.data.load import data_dirs, open_source
from workbench.errors import ConfigError
from workbench.index.converge import Converger, ConvergeReport
from workbench.index.encoding import Account, VaultEncoder
from workbench.index.ingest import IngestResult, check_space, new_run, result_of, run_of
from workbench.index.plan import SourceReport, log_source
from workbench.index.results import DeleteResult, IndexList, RebuildResult
from workbench.index.verify import VerifyResult, verify
from workbench.records import DEFAULT_TENANT, Hit, Scalar
from workbench.search.dense import DenseRetriever
from workbench.search.reranked import PairScores, RerankedRetriever
from workbench.search.searcher import SearchResult, hit_texts, search
from workbench.spec import ChunkingSpec, EmbeddingSpec
from workbench.specs import specs_of
from workbench.state.index_records import Index

if TYPE_CHECKING:
    from workbench.data.dedup import DuplicateReport
    from workbench.data.load import Source
    from workbench.protocols import Vectors
    from workbench.resources import Resources
    from workbench.workspace import Workspace


NO_CORPUS = -1
"""Id of a corpus that does not exist: it has no documents."""


class Corpus:
    """A named set of documents and the indexes that follow it. Made by ``Workbench.corpus``."""

    def __init__(
        self, bench: Resources, workspace: Workspace, name: str, tenant: str = DEFAULT_TENANT
    ) -> None:
        """Work on corpus ``name`` for ``tenant``."""
        self._bench = bench
        self._workspace = workspace
        self.name = name
        self.tenant = tenant

    def specs(self, model: str, chunking: str) -> tuple[EmbeddingSpec, ChunkingSpec]:
        """The embedding and chunking specs of two names, checked against each other.

        Raises:
            UnknownPrice: A paid model has no price: said before any work is done.
        """
        config = self._bench.config
        embedding, chunks = specs_of(model, chunking, config, self._bench.notify)
        price_of(embedding, config.budget.prices)
        return embedding, chunks

    def ingest(
        self,
        source: str | Source,
        *,
        model: str | None = None,
        chunking: str | None = None,
        dry_run: bool = False,
    ) -> IngestResult:
        """Bring the corpus and its index up to date with ``source``, read to its end.

        Args:
            source: A folder, a file, a BEIR folder, a saved data set, the name of a set,
                ``hf:owner/name`` or ``python-docs``; see ``workbench.data.load.open_source``. Or
                a source that is open already.
            model: Embedding model; by default the corpus's own, else the configured one.
            chunking: Chunking preset; by default as with ``model``.
            dry_run: Read the source and count, change nothing.

        Raises:
            SourceError: The source can not be read or holds nothing readable.
            SpaceMismatch: The corpus is indexed with another model or chunking.
        """
        started = time.perf_counter()
        opened = self.open(source) if isinstance(source, str) else source
        registry = self._workspace.registry
        embedding, chunks = self._wanted(model, chunking)
        if dry_run:
            logged = self.log(opened, dry_run=True)
            converged = ConvergeReport(f"{embedding.model}/{chunks.name}")
        else:
            logged = self.log(opened)
            converged = self.converge(embedding, chunks, opened.name)
            corpus_id = registry.documents.corpus(self.name)
            index = registry.indexes.ensure(corpus_id, embedding, chunks)
            registry.routes.create(self.name, corpus_id, index.index_id)
        return result_of(
            self.name,
            logged,
            converged,
            started=started,
            dry_run=dry_run,
        )

    def open(self, source: str) -> Source:
        """The source of that name, read as the configuration says."""
        return open_source(source, data_dirs=data_dirs(), options=self._bench.config.source)

    def _wanted(
        self, model: str | None, chunking: str | None
    ) -> tuple[EmbeddingSpec, ChunkingSpec]:
        """The specs to ingest with: those asked for, the corpus's own, or the configured ones."""
        served = self.served()
        if served is None:
            config = self._bench.config
            return self.specs(model or config.model, chunking or config.chunking)
        own = served.embedding
        if model is None and chunking is None:
            return own, served.chunking
        embedding, chunks = self.specs(model or own.model, chunking or served.chunking.name)
        check_space(self.name, served, embedding, chunks)
        return embedding, chunks

    def log(self, source: Source, *, dry_run: bool = False) -> SourceReport:
        """Read ``source`` to its end and log what changed; indexes follow by ``converge``."""
        documents = self._workspace.registry.documents
        found = documents.find(self.name) if dry_run else documents.corpus(self.name, create=True)
        corpus_id = NO_CORPUS if found is None else found
        return log_source(
            documents,
            corpus_id,
            source.name,
            source,
            tenant=self.tenant,
            dry_run=dry_run,
            may_be_empty=source.may_be_empty,
            progress=lambda done: self._bench.progress("read", done, 0),
        )

    def converge(
        self, embedding: EmbeddingSpec, chunking: ChunkingSpec, source: str = ""
    ) -> ConvergeReport:
        """Make the index of these specs equal the corpus; the run is kept under ``source``."""
        registry = self._workspace.registry
        corpus_id = registry.documents.corpus(self.name)
        index, run = registry.indexes.ensure(corpus_id, embedding, chunking), new_run()
        report = self._converger(run).converge(index)
        report.dollars = registry.ledger.spent(run)
        if report.encoding.encoded or report.encoding.cache_hits:
            done = run_of(run, index, report, source=source, corpus=self.name, tenant=self.tenant)
            registry.runs.finish(done)
        return report

    def search(
        self,
        text: str,
        *,
        k: int | None = None,
        where: Mapping[str, Scalar] | None = None,
        rerank: str | None = None,
    ) -> SearchResult:
        """The ``k`` best documents for ``text``; equality filters on metadata by ``where``."""
        if not text.strip():
            raise ConfigError("a search needs words; found an empty text")
        registry, index = self._workspace.registry, self._routed()
        settings = self._bench.config.search
        retriever = self.retriever(index, rerank)
        k = k or (settings.rerank_k if rerank else settings.k)
        return search(
            registry,
            index,
            retriever,
            text=text,
            route=self.name,
            k=k,
            tenant=self.tenant,
            where=where,
        )

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of ``texts`` as queries of the served index, shape (n, dimension); kept."""
        settings = self._bench.config.index
        return self._query_encoder(self._routed()).encode_all(
            self._bench.executor, self.tenant, texts, settings.batch_texts
        )

    def _query_encoder(self, index: Index) -> VaultEncoder:
        work = self._workspace
        return VaultEncoder(
            index.embedding, "query", work.vault, work.registry.ledger, self._account(new_run())
        )

    def retriever(
        self, index: Index, rerank: str | None = None, known: PairScores | None = None
    ) -> DenseRetriever | RerankedRetriever:
        """A retriever over ``index``, reranked when asked; ``known`` shares pair scores."""
        work = self._workspace
        encoder, executor = self._query_encoder(index), self._bench.executor
        dense = DenseRetriever(
            work.registry, work.store, executor, index, encoder, tenant=self.tenant
        )
        if rerank is None:
            return dense

        def texts(hits: Sequence[Hit]) -> list[str]:
            return hit_texts(work.registry, index, hits)

        candidates = self._bench.config.search.rerank_candidates
        return RerankedRetriever(dense, rerank, executor, texts, candidates=candidates, known=known)

    def delete(self, ids: Sequence[str]) -> DeleteResult:
        """Delete documents: hidden from the very next query, then removed from every index."""
        registry = self._workspace.registry
        corpus_id = registry.documents.corpus(self.name)
        deleted = registry.documents.delete(corpus_id, self.tenant, ids)
        served = self.served()
        for index in registry.indexes.of_corpus(corpus_id):
            if index == served or registry.indexes.counts(index)[0]:
                self._converger().converge(index)
        return DeleteResult(self.name, len(ids), deleted)

    def duplicates(self, threshold: float = 0.8) -> DuplicateReport:
        """Clusters of documents that say almost the same; nothing is dropped.

        Args:
            threshold: Jaccard similarity of word 4-grams from which two documents count.
        """
        from workbench.data.dedup import near_duplicates

        documents = self._workspace.registry.documents
        live = documents.live(documents.corpus(self.name))
        own = ((d.document_id, d.text) for d in live if d.tenant == self.tenant)
        return near_duplicates(own, name=self.name, threshold=threshold)

    def served(self) -> Index | None:
        """The index that queries reach; None before the first ingest."""
        route = self._workspace.registry.routes.find(self.name)
        return self._workspace.registry.indexes.get(route.index_id) if route else None

    def _routed(self) -> Index:
        """The index that queries reach; ``UnknownName`` before the first ingest."""
        registry = self._workspace.registry
        return registry.indexes.get(registry.routes.get(self.name).index_id)

    def indexes(self) -> IndexList:
        """Every index of this corpus with its counts and lag."""
        registry = self._workspace.registry
        corpus_id = registry.documents.corpus(self.name)
        served = self.served()
        head = registry.documents.head(corpus_id)
        rows = []
        for index in registry.indexes.of_corpus(corpus_id):
            documents, chunks = registry.indexes.counts(index)
            rows.append(
                {
                    "index": index.name, "model": index.embedding.model,
                    "fingerprint": index.embedding.fingerprint, "chunking": index.chunking.name,
                    "documents": documents, "chunks": chunks, "lag": head - index.cursor,
                    "served": served is not None and served.index_id == index.index_id,
                }
            )  # fmt: skip
        return IndexList(self.name, tuple(rows))

    def verify(self, index: Index | None = None) -> VerifyResult:
        """Compare registry, vault and store of the served (or the given) index."""
        work = self._workspace
        return verify(work.registry, work.vault, work.store, index or self._routed())

    def rebuild(self, index: Index | None = None) -> RebuildResult:
        """Make the collection of the served (or the given) index anew from the vault."""
        started = time.perf_counter()
        index = index or self._routed()
        return self._rebuilt(index, self._converger().rebuild(index), started)

    def reset(self, index: Index) -> Index:
        """Declare ``index`` empty; ``resume`` makes it anew."""
        return self._converger().reset(index)

    def resume(self, index: Index) -> RebuildResult:
        """Finish a rebuild that was begun."""
        started = time.perf_counter()
        return self._rebuilt(index, self._converger().converge(index), started)

    def _rebuilt(self, index: Index, report: ConvergeReport, started: float) -> RebuildResult:
        return RebuildResult(
            self.name, index.name, report.upserts, report.encoding.encoder_calls,
            report.encoding.cache_hits, time.perf_counter() - started,
        )  # fmt: skip

    def _converger(self, run: str = "") -> Converger:
        work, settings = self._workspace, self._bench.config.index
        return Converger(
            work.registry, work.vault, work.store, self._bench.executor, corpus=self.name,
            window_chunks=settings.window_chunks, batch_texts=settings.batch_texts,
            account=self._account(run or new_run()), progress=self._bench.progress,
        )  # fmt: skip

    def _account(self, run: str) -> Account:
        bench = self._bench
        return Account(run, self.name, bench.providers, bench.config.budget.prices)

"""Models, stores and rerankers as systems that can be measured against each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.corpus import Corpus
from workbench.errors import ConfigError, EvaluationError, UnknownName
from workbench.evaluate.compare import compare, promote
from workbench.evaluate.eval_set import EvalSet, load_eval_set
from workbench.evaluate.evaluate import System, evaluate_systems
from workbench.index.converge import ConvergeReport
from workbench.index.plan import SourceReport
from workbench.records import DEFAULT_TENANT
from workbench.search.bm25 import Bm25Retriever
from workbench.search.reranked import PairScores, RerankedRetriever

if TYPE_CHECKING:
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.evaluate import EvaluateResult
    from workbench.session import Workbench
    from workbench.workspace import Workspace

BM25 = "bm25"
STORES = ("memory", "chroma")


@dataclass(frozen=True, slots=True)
class _Bench:
    """What all systems of one evaluation share."""

    bench: Workbench
    workspace: Workspace
    corpus: Corpus
    logged: SourceReport
    chunking: str
    known: dict[str, PairScores]
    source: str


def evaluate(
    bench: Workbench,
    eval_set_name: str,
    *,
    models: tuple[str, ...],
    rerankers: tuple[str | None, ...],
    chunking: str,
    store: str,
    exclude_self: bool,
) -> EvaluateResult:
    """Index the set once per model, search with every reranker, measure, track.

    Raises:
        EvaluationError: The corpus of that name holds documents of another source.
    """
    from workbench.data.load import data_dirs
    from workbench.plots import recall_curves, to_png

    eval_set = load_eval_set(eval_set_name, data_dirs=data_dirs())
    if store not in STORES:
        raise UnknownName.among("store", store, STORES)
    if store == "chroma" and bench.config.store.kind == "memory":
        raise ConfigError("this session is configured with store.kind memory; it has no chroma")
    workspace = bench.workspace if store == "chroma" else bench.temporary_workspace()
    try:
        corpus = Corpus(bench, workspace, eval_set.name, DEFAULT_TENANT)
        logged = _log(corpus, workspace, eval_set)
        shared = _Bench(bench, workspace, corpus, logged, chunking, {}, eval_set.source.name)
        settings = bench.config.evaluate
        return evaluate_systems(
            eval_set,
            _systems(shared, models, rerankers),
            depth=settings.depth,
            resamples=settings.resamples,
            seed=settings.seed,
            confidence=settings.confidence,
            tracker=bench.tracker,
            figure=lambda result: to_png(recall_curves(result)),
            exclude_self=exclude_self,
            progress=bench.progress,
        )
    finally:
        if store == "memory":
            bench.discard(workspace)


def compare_models(bench: Workbench, result: EvaluateResult, baseline: str) -> CompareResult:
    """Test every system of ``result`` against ``baseline`` and move the champion if earned."""
    settings = bench.config.evaluate
    compared = compare(
        result, baseline, resamples=settings.resamples, seed=settings.seed,
        confidence=settings.confidence,
    )  # fmt: skip
    promotion = promote(bench.tracker, result, compared)
    bench.notify(promotion.reason)
    return compared


def _log(corpus: Corpus, workspace: Workspace, eval_set: EvalSet) -> SourceReport:
    documents = workspace.registry.documents
    if corpus.name in documents.names():
        others = set(documents.sources(documents.corpus(corpus.name))) - {eval_set.source.name}
        if others:
            raise EvaluationError(
                f"corpus {corpus.name!r} holds documents of {', '.join(sorted(others))}; an "
                f"evaluation of {eval_set.name!r} needs a corpus with nothing else in it. Use "
                "`--store memory`, or another home with --home."
            )
    return corpus.log(eval_set.source)


def _systems(
    shared: _Bench, models: tuple[str, ...], rerankers: tuple[str | None, ...]
) -> Iterator[Callable[[], System]]:
    for model in models:
        make = _bm25 if model == BM25 else _dense
        yield from make(shared, model, rerankers)


def _dense(
    shared: _Bench, model: str, rerankers: tuple[str | None, ...]
) -> Iterator[Callable[[], System]]:
    embedding, chunking = shared.corpus.specs(model, shared.chunking)
    registry = shared.workspace.registry
    corpus_id = registry.documents.corpus(shared.corpus.name)
    facts: dict[str, float] = {}

    def make(reranker: str | None) -> System:
        if not facts:
            started = time.perf_counter()
            report = shared.corpus.converge(embedding, chunking, shared.source)
            facts.update(_facts(shared.logged, report, time.perf_counter() - started))
            index = registry.indexes.ensure(corpus_id, embedding, chunking)
            registry.routes.create(shared.corpus.name, corpus_id, index.index_id)
        index = registry.indexes.ensure(corpus_id, embedding, chunking)
        known = shared.known.setdefault(reranker or "", {})
        retriever = shared.corpus.retriever(index, reranker, known)
        return System(
            model, embedding.fingerprint, chunking.name, reranker, retriever, embedding, facts
        )

    for reranker in rerankers:
        yield lambda reranker=reranker: make(reranker)  # type: ignore[misc]


def _bm25(
    shared: _Bench, model: str, rerankers: tuple[str | None, ...]
) -> Iterator[Callable[[], System]]:
    registry = shared.workspace.registry
    corpus_id = registry.documents.corpus(shared.corpus.name)

    def make(reranker: str | None) -> System:
        started = time.perf_counter()
        base = Bm25Retriever(registry.documents.live(corpus_id))
        seconds = time.perf_counter() - started
        facts = {"docs_per_s": registry.documents.count(corpus_id) / seconds}
        retriever = base if reranker is None else RerankedRetriever(
            base, reranker, shared.bench.executor, base.texts,
            candidates=shared.bench.config.search.rerank_candidates,
            known=shared.known.setdefault(reranker, {}),
        )  # fmt: skip
        return System(model, "", "whole", reranker, retriever, None, facts)

    for reranker in rerankers:
        yield lambda reranker=reranker: make(reranker)  # type: ignore[misc]


def _facts(logged: SourceReport, report: ConvergeReport, seconds: float) -> dict[str, float]:
    counts = report.encoding
    commit = report.seconds.get("commit", 0.0)
    changed = logged.added + logged.changed
    return {
        "encoder_calls": counts.encoder_calls,
        "cache_hits": counts.cache_hits,
        "tokens": counts.tokens,
        "truncated": counts.truncated,
        "documents": report.documents,
        "chunks": report.chunks,
        "index_seconds": seconds,
        "read_docs_per_s": (changed + logged.kept) / logged.seconds,
        "docs_per_s": report.documents / seconds,
        "chunks_per_s": report.chunks / seconds,
        "commit_chunks_per_s": report.chunks / commit if commit else 0.0,
        "cost_usd": report.dollars,
    }

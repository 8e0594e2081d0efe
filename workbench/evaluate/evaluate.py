"""Measure systems on an evaluation set, query by query, and record everything that was seen."""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from workbench.errors import EvaluationError
from workbench.evaluate.eval_set import EvalSet
from workbench.evaluate.measures import (
    DEFAULT_MEASURES,
    RECALL_CUTS,
    Rankings,
    rankings,
    score_rankings,
)
from workbench.evaluate.significance import bootstrap_means
from workbench.evaluate.systems import (
    EvaluateResult,
    System,
    SystemResult,
    metric_name,
    registry_name,
    system_key,
)
from workbench.protocols import TrackedRun, Tracker

__all__ = ["EXPERIMENT", "EvaluateResult", "System", "SystemResult", "evaluate_systems"]

EXPERIMENT = "workbench"
TOP_SHOWN = 10

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); total 0 = unknown."""


@dataclass(frozen=True, slots=True)
class _Plan:
    eval_set: EvalSet
    depth: int
    resamples: int
    seed: int
    confidence: float
    exclude_self: bool
    tracker: Tracker

    def params(self) -> dict[str, Any]:
        return {
            "eval_set": self.eval_set.name,
            "eval_set_digest": self.eval_set.digest,
            "depth": self.depth,
            "resamples": self.resamples,
            "seed": self.seed,
            "confidence": self.confidence,
            "exclude_self": self.exclude_self,
        }

    def dataset_facts(self) -> dict[str, int]:
        return {
            "documents": self.eval_set.n_documents,
            "queries": len(self.eval_set.queries),
            "unjudged": len(self.eval_set.unjudged),
        }


def evaluate_systems(
    eval_set: EvalSet,
    systems: Iterable[Callable[[], System] | System],
    *,
    depth: int,
    resamples: int,
    seed: int,
    confidence: float,
    tracker: Tracker,
    figure: Callable[[EvaluateResult], bytes] | None = None,
    exclude_self: bool = False,
    progress: Progress | None = None,
) -> EvaluateResult:
    """Search every judged query with every system and measure the answers.

    Args:
        eval_set: Queries and judgements.
        systems: Systems, or functions that build one when its turn comes.
        depth: Documents asked for per query.
        resamples: Bootstrap samples of the intervals.
        seed: Of the bootstrap.
        confidence: Coverage of the intervals, e.g. 0.95.
        tracker: Gets a run for the evaluation with one nested run per system.
        figure: Draws the result as a PNG; called only when something is tracked.
        exclude_self: Leave out the document whose id is the query's.
        progress: Told after every system.

    Raises:
        EvaluationError: No query is judged, or there is no system.
    """
    plan = _Plan(eval_set, depth, resamples, seed, confidence, exclude_self, tracker)
    if not eval_set.queries:
        raise EvaluationError(f"{eval_set.name!r} has no judged query; expected at least one")
    total = operator.length_hint(systems)
    done: list[SystemResult] = []
    about = f"{len(eval_set.queries)} queries, {eval_set.n_documents} documents"
    tags = {"workbench.kind": "evaluation"}
    with tracker.run(EXPERIMENT, eval_set.name, tags=tags, description=about) as parent:
        parent.log_params(plan.params())
        parent.log_dataset(eval_set.name, eval_set.digest, plan.dataset_facts())
        for make in systems:
            done.append(_measure(plan, make() if callable(make) else make, parent))
            if progress is not None:
                progress("evaluate", len(done), total)
        if not done:
            raise EvaluationError("there is no system to evaluate; expected at least one model")
        result = EvaluateResult(
            eval_set.name, eval_set.digest, len(eval_set.queries), eval_set.unjudged, confidence,
            tuple(done), parent.run_id or None, tracker.url(parent),
        )  # fmt: skip
        if figure is not None and parent.run_id:
            parent.log_figure("recall.png", figure(result))
    return result


def _measure(plan: _Plan, system: System, parent: TrackedRun) -> SystemResult:
    queries = plan.eval_set.queries
    key = system_key(system.model, system.reranker)
    tags = {"workbench.kind": "system", "workbench.eval_set": plan.eval_set.name}
    with plan.tracker.run(EXPERIMENT, key, tags=tags, parent=parent) as run:
        started = time.perf_counter()
        answers = system.retriever.search(queries, plan.depth)
        seconds = time.perf_counter() - started
        ranked = rankings(
            {query.query_id: answers.get(query.query_id, []) for query in queries},
            exclude_self=plan.exclude_self,
        )
        cuts = [k for k in RECALL_CUTS if k <= plan.depth]
        names = list(dict.fromkeys([*DEFAULT_MEASURES, *(f"Recall@{k}" for k in cuts)]))
        judged = {query.query_id: plan.eval_set.qrels[query.query_id] for query in queries}
        values = score_rankings(ranked, judged, names)
        table = [[row[name] for name in names] for row in values.values()]
        means = bootstrap_means(
            table, confidence=plan.confidence, resamples=plan.resamples, seed=plan.seed
        )
        by_name = dict(zip(names, means, strict=True))
        result = SystemResult(
            system.model, system.fingerprint, system.chunking, system.reranker,
            {name: by_name[name] for name in DEFAULT_MEASURES},
            {k: by_name[f"Recall@{k}"] for k in cuts},
            {**system.facts, "search_seconds": seconds},
            values, run.run_id or None,
        )  # fmt: skip
        _log(plan, system, result, ranked, run)
    return result


def _log(
    plan: _Plan, system: System, result: SystemResult, ranked: Rankings, run: TrackedRun
) -> None:
    spec = {} if system.spec is None else system.spec.to_dict()
    run.log_params(
        {
            "model": system.model,
            "fingerprint": system.fingerprint,
            "chunking": system.chunking,
            "reranker": system.reranker or "none",
            **plan.params(),
            **{
                f"spec.{name}": value if isinstance(value, str | int | float) else json.dumps(value)
                for name, value in spec.items()
            },
        }
    )
    run.log_dataset(plan.eval_set.name, plan.eval_set.digest, plan.dataset_facts())
    metrics: dict[str, float] = dict(result.facts)
    for name, found in result.measures.items():
        metrics[metric_name(name)] = found.value
        metrics[f"{metric_name(name)}_low"] = found.low
        metrics[f"{metric_name(name)}_high"] = found.high
    run.log_metrics(metrics)
    for k, found in result.recall_at.items():
        run.log_metrics({"recall_at_k": found.value}, step=k)
    run.log_table("per_query.json", _per_query_table(plan, result, ranked))
    if system.spec is not None:
        plan.tracker.register(registry_name(plan.eval_set.name), system.spec, run)


def _per_query_table(plan: _Plan, result: SystemResult, ranked: Rankings) -> list[dict[str, Any]]:
    return [
        {
            "query_id": query.query_id,
            "query": query.text,
            **{name: result.per_query[query.query_id][name] for name in DEFAULT_MEASURES},
            "n_relevant": sum(gain > 0 for gain in plan.eval_set.qrels[query.query_id].values()),
            "top_documents": ", ".join(ranked[query.query_id][:TOP_SHOWN]),
        }
        for query in plan.eval_set.queries
    ]

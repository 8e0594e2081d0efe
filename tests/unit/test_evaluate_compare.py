"""Verdicts, the champion, and a whole evaluation with a tracker that records nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workbench.errors import EvaluationError, UnknownName
from workbench.evaluate.compare import CompareResult, Promotion, compare, promote
from workbench.evaluate.eval_set import EvalSet
from workbench.evaluate.evaluate import EvaluateResult, System, evaluate_systems
from workbench.evaluate.measures import DEFAULT_MEASURES
from workbench.evaluate.significance import Interval
from workbench.evaluate.systems import SystemResult, registry_name
from workbench.records import Hit, Query, Run, Scalar
from workbench.results import text_table
from workbench.spec import EmbeddingSpec
from workbench.track import NullTracker, make_tracker

SPECS = {
    name: EmbeddingSpec("static", name, "0" * 64, 8, "mean", normalize=True, max_tokens=0)
    for name in ("a", "b", "c")
}
NAME = registry_name("set/en")


class Table:
    """A retriever that knows its answers."""

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        self.answers = answers

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        assert where is None
        return {
            query.query_id: [
                Hit(f"{doc}-0", doc, 0, 1, -float(rank))
                for rank, doc in enumerate(self.answers.get(query.query_id, [])[:k])
            ]
            for query in queries
        }


def tiny_set(n: int = 12) -> EvalSet:
    queries = tuple(Query(f"q{i}", f"question {i}") for i in range(n))
    qrels = {query.query_id: {f"d{i}": 1} for i, query in enumerate(queries)}
    return EvalSet("set/en", (), queries, qrels, ("loose",), "f" * 64, n)  # type: ignore[arg-type]


def system(model: str, answers: Mapping[str, Sequence[str]], reranker: str | None = None) -> System:
    facts = {"encoder_calls": 3, "cache_hits": 1, "docs_per_s": 2.5, "cost_usd": 0.0}
    spec = SPECS[model]
    return System(model, spec.fingerprint, "whole", reranker, Table(answers), spec, facts)


def evaluate(systems: Sequence[Any], **kwargs: Any) -> EvaluateResult:
    settings: dict[str, Any] = {
        "depth": 20, "resamples": 500, "seed": 1, "confidence": 0.95, "tracker": NullTracker(),
    }  # fmt: skip
    return evaluate_systems(tiny_set(), systems, **{**settings, **kwargs})


def measured(model: str, values: np.ndarray, reranker: str | None = None) -> SystemResult:
    rows = {
        f"q{i}": dict.fromkeys(DEFAULT_MEASURES, float(value)) for i, value in enumerate(values)
    }
    mean = Interval(float(values.mean()), 0.0, 1.0)
    fingerprint = SPECS[model].fingerprint
    found = dict.fromkeys(DEFAULT_MEASURES, mean)
    return SystemResult(model, fingerprint, "whole", reranker, found, {}, {}, rows)


def result_of(*systems: SystemResult) -> EvaluateResult:
    return EvaluateResult("set/en", "f" * 64, len(systems[0].per_query), (), 0.95, systems)


def compared(result: EvaluateResult, baseline: str, *candidates: str) -> CompareResult:
    return compare(result, baseline, candidates, resamples=999, seed=1)


BASE = np.random.default_rng(0).uniform(0.2, 0.6, 60)
BETTER = BASE + np.random.default_rng(1).uniform(0.0, 0.3, 60)
NOISE = BASE + np.random.default_rng(2).normal(0, 0.1, 60)


def tracker_with_versions() -> NullTracker:
    tracker = NullTracker()
    with tracker.run("e", "r") as run:
        for spec in SPECS.values():
            tracker.register(NAME, spec, run)
    return tracker


def move(tracker: NullTracker, baseline: SystemResult, *others: SystemResult) -> Promotion:
    result = result_of(baseline, *others)
    return promote(tracker, result, compared(result, baseline.key))


def test_a_shifted_candidate_is_better_worse_when_swapped_and_noise_is_not_separable() -> None:
    result = result_of(measured("a", BASE), measured("b", BETTER), measured("c", NOISE))
    verdicts = {row.candidate: row.verdict for row in compared(result, "a").tests}
    assert verdicts == {"b": "better", "c": "not separable"}
    assert {row.verdict for row in compared(result, "b", "a").tests} == {"worse"}


def test_rows_are_corrected_together_and_say_why() -> None:
    result = result_of(measured("a", BASE), measured("b", BETTER), measured("c", NOISE))
    rows = compared(result, "a").tests
    assert len(rows) == 2 * len(DEFAULT_MEASURES)
    best = rows[0]
    assert best.p == pytest.approx(1 / 1000)
    assert best.p_corrected == pytest.approx(8 / 1000)
    assert best.sentence.startswith("b is better: nDCG@10 0.1")
    assert "not separable from a" in rows[-1].sentence
    assert "95 % interval" in rows[-1].sentence


def test_few_resamples_are_raised_until_the_correction_can_be_passed() -> None:
    result = result_of(measured("a", BASE), measured("b", BETTER))
    rows = compare(result, "a", resamples=10, seed=1).tests
    assert {row.verdict for row in rows} == {"better"}


def test_a_comparison_has_its_public_shape_and_prints() -> None:
    found = compared(result_of(measured("a", BASE), measured("b", BETTER)), "a")
    shape = found.to_dict()
    assert shape["eval_set"] == "set/en"
    wanted = {"baseline", "candidate", "measure", "difference", "low", "high", "p"}
    assert wanted | {"p_corrected", "verdict", "sentence"} <= shape["rows"][0].keys()
    assert "better" in str(found)


def test_a_model_means_all_of_its_systems_and_a_key_means_one() -> None:
    result = result_of(
        measured("a", BASE), measured("a", NOISE, "r"), measured("b", BETTER),
        measured("b", BETTER, "r"),
    )  # fmt: skip
    names = lambda found: [row.candidate for row in found.tests[:: len(DEFAULT_MEASURES)]]  # noqa: E731
    assert names(compared(result, "a", "b")) == ["b", "b + r"]
    assert names(compared(result, "a", "b + r")) == ["b + r"]
    assert names(compared(result, "a + r")) == ["a", "b", "b + r"]


def test_names_that_are_not_in_the_result_are_refused() -> None:
    result = result_of(measured("a", BASE), measured("b", BETTER))
    with pytest.raises(UnknownName, match="unknown system 'x'"):
        compared(result, "x")
    with pytest.raises(UnknownName, match="Did you mean"):
        compared(result, "a", "bb")
    with pytest.raises(EvaluationError, match="nothing to compare"):
        compared(result, "a", "a")


def test_systems_measured_on_other_queries_are_refused() -> None:
    short = measured("b", BETTER[:50])
    with pytest.raises(UnknownName, match="Evaluate all systems together"):
        compared(result_of(measured("a", BASE), short), "a")


def test_the_first_baseline_becomes_champion_and_stays_without_a_separable_winner() -> None:
    tracker = tracker_with_versions()
    found = move(tracker, measured("a", BASE), measured("c", NOISE))
    assert tracker.alias(NAME, "champion") == SPECS["a"].fingerprint == found.champion
    assert tracker.alias(NAME, "previous") is None
    assert found.moved
    assert "no candidate is better" in found.reason


def test_a_separable_winner_takes_over_and_the_old_champion_is_previous() -> None:
    tracker = tracker_with_versions()
    found = move(tracker, measured("a", BASE), measured("b", BETTER), measured("c", NOISE))
    assert tracker.alias(NAME, "champion") == SPECS["b"].fingerprint == found.champion
    assert tracker.alias(NAME, "previous") == SPECS["a"].fingerprint == found.previous
    again = move(tracker, measured("a", BASE), measured("b", BETTER))
    assert not again.moved
    assert "champion already" in again.reason


def test_a_worse_candidate_and_one_helped_by_a_reranker_move_nothing() -> None:
    tracker = tracker_with_versions()
    move(tracker, measured("b", BETTER), measured("a", BASE))
    assert tracker.alias(NAME, "champion") == SPECS["b"].fingerprint
    best = BETTER + 0.2 + np.random.default_rng(4).uniform(0, 0.1, 60)
    found = move(tracker, measured("b", BETTER), measured("c", best, "r"))
    assert not found.moved
    assert tracker.alias(NAME, "champion") == SPECS["b"].fingerprint


def test_beating_a_model_that_is_not_champion_moves_nothing() -> None:
    tracker = tracker_with_versions()
    tracker.set_alias(NAME, "champion", SPECS["c"].fingerprint)
    found = move(tracker, measured("a", BASE), measured("b", BETTER))
    assert not found.moved
    assert "compare with that one" in found.reason
    assert tracker.alias(NAME, "champion") == SPECS["c"].fingerprint


def test_an_interval_that_touches_zero_moves_nothing() -> None:
    tracker = tracker_with_versions()
    result = result_of(measured("a", BASE), measured("b", BETTER))
    found = compared(result, "a")
    rows = tuple(replace(row, verdict="not separable", low=0.0) for row in found.tests)
    promote(tracker, result, replace(found, tests=rows))
    assert tracker.alias(NAME, "champion") == SPECS["a"].fingerprint


def test_a_baseline_without_vectors_can_not_be_champion() -> None:
    tracker = tracker_with_versions()
    plain = replace(measured("a", BASE), model="bm25", fingerprint="")
    found = move(tracker, plain, measured("b", BETTER))
    assert (found.champion, found.moved) == (None, False)


def test_systems_are_measured_with_intervals_per_query_values_and_facts() -> None:
    right = {f"q{i}": [f"d{i}"] for i in range(12)}
    half = {f"q{i}": [f"d{i}"] if i % 2 else ["d0", "d1"] for i in range(6)}
    done: list[tuple[str, int, int]] = []
    result = evaluate(
        [system("a", right), lambda: system("b", half)],
        progress=lambda *facts: done.append(facts),
    )
    shape = result.to_dict()
    assert (shape["eval_set"], shape["queries"], shape["unjudged"]) == ("set/en", 12, 1)
    first, second = shape["rows"]
    assert first["measures"]["nDCG@10"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    found = second["measures"]["Recall@10"]
    assert found["value"] == pytest.approx(4 / 12)
    assert found["low"] < found["value"] < found["high"]
    assert (first["encoder_calls"], first["cache_hits"], first["tokens"]) == (3, 1, 0)
    assert first["mlflow_run_id"] is None
    assert result.systems[1].per_query["q11"]["Recall@10"] == 0.0
    assert list(result.systems[0].recall_at) == [1, 2, 3, 5, 10, 20]
    assert done == [("evaluate", 1, 2), ("evaluate", 2, 2)]
    assert "1.0000 [1.0000, 1.0000]" in text_table(result.rows())


def test_the_same_seed_gives_the_same_intervals() -> None:
    half = {f"q{i}": [f"d{i}"] for i in range(6)}
    first, second = (evaluate([system("a", half)]).systems[0] for _ in range(2))
    assert first.measures == second.measures


def test_a_document_named_like_the_query_can_be_left_out() -> None:
    answers = {f"q{i}": [f"q{i}", f"d{i}"] for i in range(12)}
    kept, left_out = (
        evaluate([system("a", answers)], exclude_self=flag).systems[0].measures["MRR@10"].value
        for flag in (False, True)
    )
    assert (kept, left_out) == (0.5, 1.0)


def test_nothing_is_drawn_when_nothing_is_tracked_and_no_system_is_an_error() -> None:
    def draw(result: EvaluateResult) -> bytes:
        raise AssertionError

    evaluate([system("a", {})], figure=draw)
    with pytest.raises(EvaluationError, match="no system"):
        evaluate([])


def test_without_a_uri_nothing_is_tracked() -> None:
    assert isinstance(make_tracker(None), NullTracker)

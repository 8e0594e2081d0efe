"""Measures agree with trec_eval; ties, exclusions and missing results follow our rules."""

from __future__ import annotations

import random

import pytest
import pytrec_eval

from workbench.errors import EvaluationError, UnknownName
from workbench.evaluate.measures import document_ranking, per_query
from workbench.records import Hit, Run


def hit(document: str, score: float, chunk: str = "") -> Hit:
    return Hit(chunk or f"{document}-0", document, 0, 1, score)


def random_case(rng: random.Random, *, ties: bool) -> tuple[Run, dict[str, dict[str, int]]]:
    documents = [f"d{i}" for i in range(40)]
    qrels: dict[str, dict[str, int]] = {}
    run: Run = {}
    for q in range(6):
        judged = rng.sample(documents, rng.randint(1, 12))
        qrels[f"q{q}"] = {doc: rng.choice([0, 1, 1, 2, 3]) for doc in judged}
        if rng.random() < 0.8:
            found = rng.sample(documents, rng.randint(0, 30))
            levels = [round(rng.random(), 1) if ties else rng.random() for _ in found]
            run[f"q{q}"] = [hit(d, s) for d, s in zip(found, levels, strict=True)]
    run["unjudged"] = [hit("d0", 1.0)]
    return run, qrels


def reference(run: Run, qrels: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
    scores = {q: {h.document_id: h.score for h in hits} for q, hits in run.items()}
    wanted = {"ndcg_cut.10", "recall.10,100"}
    values = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(scores)
    short = {
        q: dict(sorted(found.items(), key=lambda pair: -pair[1])[:10])
        for q, found in scores.items()
    }
    ranks = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(short)
    zero = {"nDCG@10": 0.0, "Recall@10": 0.0, "MRR@10": 0.0, "Recall@100": 0.0}
    answer = {q: dict(zero) for q in qrels}
    for q, row in values.items():
        answer[q] = {
            "nDCG@10": row["ndcg_cut_10"],
            "Recall@10": row["recall_10"],
            "MRR@10": ranks[q]["recip_rank"],
            "Recall@100": row["recall_100"],
        }
    return answer


def test_two_hundred_random_runs_agree_with_pytrec_eval() -> None:
    rng = random.Random(7)
    for _ in range(200):
        run, qrels = random_case(rng, ties=False)
        ours, theirs = per_query(run, qrels), reference(run, qrels)
        assert ours.keys() == theirs.keys()
        for q, row in theirs.items():
            assert ours[q] == pytest.approx(row, abs=1e-9), q


def test_with_ties_a_run_scores_as_if_sorted_by_ascending_id() -> None:
    rng = random.Random(8)
    differs = 0
    for _ in range(50):
        run, qrels = random_case(rng, ties=True)
        untied = {
            q: [
                hit(doc, -float(rank))
                for rank, doc in enumerate(
                    h.document_id for h in sorted(hits, key=lambda h: (-h.score, h.document_id))
                )
            ]
            for q, hits in run.items()
        }
        ours = per_query(run, qrels)
        assert ours == reference(untied, qrels)
        differs += ours != reference(run, qrels)
    assert differs > 5  # trec_eval's own rule for ties is another one


def test_one_of_five_relevant_documents_found_first_gives_an_ndcg_of_0_339() -> None:
    qrels = {"q": dict.fromkeys("abcde", 1)}
    row = per_query({"q": [hit("a", 1.0)]}, qrels)["q"]
    assert row["nDCG@10"] == pytest.approx(0.339, abs=5e-4)
    assert row["Recall@10"] == pytest.approx(0.2)
    assert row["MRR@10"] == 1.0


def test_gains_are_graded_and_negative_ones_count_as_not_relevant() -> None:
    run = {"q": [hit("low", 2.0), hit("high", 1.0)]}
    graded = per_query(run, {"q": {"low": 1, "high": 3}})["q"]["nDCG@10"]
    assert graded == pytest.approx((1 + 3 / 1.5849625) / (3 + 1 / 1.5849625), abs=1e-6)
    negative = per_query(run, {"q": {"low": -2, "high": 3}})["q"]
    assert negative == per_query(run, {"q": {"low": 0, "high": 3}})["q"]


def test_a_relevant_document_at_rank_eleven_gives_no_mrr_at_ten() -> None:
    run = {"q": [hit(f"d{i:02}", -float(i)) for i in range(12)]}
    row = per_query(run, {"q": {"d10": 1}}, ("MRR@10", "RR@20"))["q"]
    assert row == {"MRR@10": 0.0, "MRR@20": pytest.approx(1 / 11)}


def test_a_document_ranks_by_its_best_chunk_and_ties_by_ascending_id() -> None:
    hits = [hit("b", 0.5, "b-1"), hit("c", 0.9, "c-0"), hit("a", 0.5), hit("b", 0.9, "b-0")]
    assert document_ranking(hits) == [("b", 0.9), ("c", 0.9), ("a", 0.5)]
    assert document_ranking(hits, exclude="b") == [("c", 0.9), ("a", 0.5)]


def test_scores_that_float32_can_not_tell_apart_keep_their_order() -> None:
    run = {"q": [hit("z", 1.0), hit("a", 1.0 + 1e-12)]}
    assert per_query(run, {"q": {"a": 1}}, ("MRR@10",))["q"]["MRR@10"] == 1.0


def test_excluding_self_drops_only_the_document_named_like_the_query() -> None:
    run = {"x": [hit("x", 1.0), hit("y", 0.5)]}
    qrels = {"x": {"y": 1}}
    assert per_query(run, qrels, ("MRR@10",))["x"]["MRR@10"] == 0.5
    assert per_query(run, qrels, ("MRR@10",), exclude_self=True)["x"]["MRR@10"] == 1.0


def test_queries_without_results_count_zero_and_unjudged_ones_are_left_out() -> None:
    values = per_query({"other": [hit("a", 1.0)]}, {"q": {"a": 1}})
    assert values == {"q": dict.fromkeys(("nDCG@10", "Recall@10", "MRR@10", "Recall@100"), 0.0)}


def test_both_spellings_of_a_measure_answer_under_its_public_name() -> None:
    row = per_query({"q": []}, {"q": {"a": 1}}, ("ndcg@10", "R@5", "Recall@7", "RR@10", "P@3"))
    assert list(row["q"]) == ["nDCG@10", "Recall@5", "Recall@7", "MRR@10", "P@3"]


@pytest.mark.parametrize("name", ["nDCG", "nDGC@10", "Recall@0", "Recall@-1", ""])
def test_an_unknown_measure_is_refused(name: str) -> None:
    with pytest.raises(UnknownName, match="measure"):
        per_query({}, {"q": {"a": 1}}, (name,))


def test_no_judgement_and_scores_that_are_not_numbers_are_errors() -> None:
    with pytest.raises(EvaluationError, match="no query has a judgement"):
        per_query({}, {})
    with pytest.raises(EvaluationError, match="NaN"):
        document_ranking([hit("a", float("nan"))])

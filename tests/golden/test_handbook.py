"""The set that ships is what its card says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from workbench.evaluate.eval_set import load_eval_set

FOLDER = Path(__file__).parents[2] / "eval_sets" / "handbook"
LATER = FOLDER.with_name("handbook-later")
CARD = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())

Labels = dict[tuple[str, str], int]


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labels(name: str) -> Labels:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return {(query, document): int(score) for query, document, score in cells}


def test_it_loads_with_every_judgement_and_names_what_nobody_can_answer() -> None:
    found = load_eval_set("handbook", data_dirs=())
    assert (found.n_documents, len(found.queries), len(found.unjudged)) == (253, 124, 16)
    kinds = {row["_id"]: row["metadata"]["kind"] for row in rows(FOLDER / "queries.jsonl")}  # type: ignore[index]
    assert {kinds[query] for query in found.unjudged} == {"no-answer"}
    assert Counter(kinds.values()) == {
        "question": 36, "paraphrase": 36, "keyword": 32, "multi-document": 20, "no-answer": 16,
    }  # fmt: skip


def test_the_later_batch_is_later_and_of_its_own() -> None:
    first, later = rows(FOLDER / "corpus.jsonl"), rows(LATER / "corpus.jsonl")
    newest = max(row["metadata"]["date"] for row in first)  # type: ignore[index]
    oldest = min(row["metadata"]["date"] for row in later)  # type: ignore[index]
    assert newest < oldest
    assert {row["_id"] for row in first}.isdisjoint(row["_id"] for row in later)
    found = load_eval_set("handbook-later", data_dirs=())
    assert (found.n_documents, len(found.queries), found.unjudged) == (53, 24, ())


def test_short_and_long_documents_are_as_the_card_says() -> None:
    words: dict[str, list[int]] = {"short": [], "long": []}
    for row in rows(FOLDER / "corpus.jsonl"):
        words[row["metadata"]["length"]].append(len(row["text"].split()))  # type: ignore[index, attr-defined]
    assert (len(words["short"]), len(words["long"])) == (227, 26)
    assert 70 <= min(words["short"]) <= max(words["short"]) <= 170
    assert 880 <= min(words["long"]) <= max(words["long"]) <= 1160


def test_kappa_of_the_two_passes_is_what_the_card_says() -> None:
    one, other = labels("labels/pass-a.tsv"), labels("labels/pass-b.tsv")
    queries = [row["_id"] for row in rows(FOLDER / "queries.jsonl")]
    documents = [row["_id"] for row in rows(FOLDER / "corpus.jsonl")]
    pairs = [(str(query), str(document)) for query in queries for document in documents]
    either = sorted(one.keys() | other.keys())
    found = {
        "all": cohen_kappa_score(*graded(pairs, one, other)),
        "quadratic": cohen_kappa_score(*graded(pairs, one, other), weights="quadratic"),
        "either": cohen_kappa_score(*graded(either, one, other)),
    }
    same = sum(one.get(pair, 0) == other.get(pair, 0) for pair in either)
    print(found, f"{same} of {len(either)} pairs agree")
    said = re.search(
        r"over all pairs is (\.\d+) \(quadratic weights (\.\d+)\).*does not help, (\.\d+)", CARD
    )
    assert said is not None
    assert [float(value) for value in said.groups()] == pytest.approx(
        list(found.values()), abs=5e-4
    )
    assert f"agreed on {same} of the {len(either)} pairs" in CARD


def graded(pairs: list[tuple[str, str]], one: Labels, other: Labels) -> list[list[int]]:
    return [[labelled.get(pair, 0) for pair in pairs] for labelled in (one, other)]


def test_the_judgements_are_the_agreed_and_the_adjudicated_ones() -> None:
    one, other = labels("labels/pass-a.tsv"), labels("labels/pass-b.tsv")
    settled = labels("labels/adjudicated.tsv")
    disputed = {p for p in one.keys() | other.keys() if one.get(p, 0) != other.get(p, 0)}
    assert settled.keys() == disputed
    final = {pair: gain for pair, gain in {**one, **settled}.items() if gain}
    assert labels("qrels/test.tsv") == final
    assert Counter(final.values()) == {3: 154, 1: 20, 2: 7}

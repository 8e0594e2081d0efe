from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from workbench.data import dedup
from workbench.data.dedup import _jaccard, near_duplicates
from workbench.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDS = [f"word{i}" for i in range(400)]


def text_of(seed: int, words: int = 120) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def edited(words: list[str], changes: int, seed: int) -> str:
    draw = random.Random(seed)
    changed = list(words)
    for place in draw.sample(range(len(words)), changes):
        changed[place] = f"new{place}"
    return " ".join(changed)


def test_copies_with_a_few_edits_form_a_cluster_and_others_do_not() -> None:
    base = text_of(1)
    items = [
        ("original", " ".join(base)),
        *((f"other-{i}", " ".join(text_of(100 + i))) for i in range(50)),
        ("edited", edited(base, 2, seed=5)),
        ("shouted", " ".join(base).upper() + "!"),
    ]
    report = near_duplicates(items, name="c")
    (cluster,) = report.clusters
    assert cluster.document_ids == ("original", "edited", "shouted")
    assert 0.8 <= cluster.lowest < cluster.highest == 1.0
    assert not cluster.equal
    assert (report.documents, report.redundant) == (53, 2)
    assert "2 of 53 documents (3.8%) repeat another one" in str(report)


def test_similarities_are_exact() -> None:
    report = near_duplicates([("a", "a b c d e f"), ("b", "a b c d e g")], name="c", threshold=0.3)
    (cluster,) = report.clusters
    assert cluster.lowest == pytest.approx(2 / 4)


def test_equal_texts_in_any_script_are_equal() -> None:
    items = [
        ("a", "短い文章です。"),
        ("b", "短い文章です"),
        ("c", "別の文。"),
        ("d", ""),
        ("e", " "),
    ]
    (cluster,) = near_duplicates(items, name="c").clusters
    assert cluster.document_ids == ("a", "b")
    assert cluster.equal


def test_the_report_does_not_depend_on_the_order() -> None:
    base = text_of(7)
    items = [(f"d{i}", edited(base, 1, seed=i)) for i in range(8)]
    forwards = near_duplicates(items, name="c", threshold=0.7)
    backwards = near_duplicates(items[::-1], name="c", threshold=0.7)
    assert [set(c.document_ids) for c in forwards.clusters] == [
        set(c.document_ids) for c in backwards.clusters
    ]


@pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="more than 0 and at most 1"):
        near_duplicates([], name="c", threshold=threshold)


def test_a_large_cluster_is_not_compared_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def counted(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
        measured.append(1)
        return _jaccard(one, other)

    monkeypatch.setattr(dedup, "_jaccard", counted)
    base = " ".join(text_of(1))
    items = [(f"equal-{i}", base) for i in range(100)]
    items += [(f"numbered-{i}", f"{base} number{i}") for i in range(100)]
    (cluster,) = near_duplicates(items, name="c").clusters
    assert len(cluster.document_ids) == 200
    assert (cluster.equal, cluster.highest) == (False, 1.0)
    assert len(measured) <= 200

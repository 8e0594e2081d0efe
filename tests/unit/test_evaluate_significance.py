"""Intervals cover, tests keep their error rate, corrections are the textbook's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.errors import EvaluationError
from workbench.evaluate import significance
from workbench.evaluate.significance import (
    PairedTest,
    bootstrap_mean,
    bootstrap_means,
    holm,
    paired_test,
    verdict,
)


def test_the_null_hypothesis_is_rejected_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(11)
    false_alarms = 0
    for i in range(300):
        a, b = rng.random((2, 30))
        test = paired_test(a, b, resamples=199, seed=i)
        false_alarms += verdict(test, test.p, 0.05) != "not separable"
    assert 0.02 <= false_alarms / 300 <= 0.09


def test_p_matches_the_exact_permutation_distribution() -> None:
    rng = np.random.default_rng(5)
    differences = rng.normal(0.2, 0.4, size=10)
    signs = np.array(list(itertools.product([-1, 1], repeat=10)))
    exact = float(np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12))
    test = paired_test(np.zeros(10), differences, resamples=20_000, seed=1)
    assert test.p == pytest.approx(exact, abs=0.01)


def test_p_is_never_zero_and_one_when_nothing_differs() -> None:
    a = np.linspace(0, 0.5, 200)
    assert paired_test(a, a + 0.3, resamples=99, seed=1).p == pytest.approx(0.01)
    same = paired_test(a, a, resamples=99, seed=1)
    assert (same.p, same.difference, same.low, same.high) == (1.0, 0.0, 0.0, 0.0)


def test_swapping_the_sides_mirrors_the_difference_and_keeps_p() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 60))
    there, back = (paired_test(*pair, resamples=999, seed=3) for pair in ((a, b), (b, a)))
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p == back.p


def test_intervals_cover_the_true_mean_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for i in range(300):
        found = bootstrap_mean(rng.random(60), confidence=0.9, resamples=300, seed=i)
        covered += found.low <= 0.5 <= found.high
    assert 0.84 <= covered / 300 <= 0.95


def test_draws_depend_on_the_seed_and_not_on_the_size_of_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(1).random((70, 3))
    first = bootstrap_means(values, confidence=0.95, resamples=500, seed=9)
    other = bootstrap_means(values, confidence=0.95, resamples=500, seed=10)
    test = paired_test(values[:, 0], values[:, 1], resamples=500, seed=9)
    assert first != other
    monkeypatch.setattr(significance, "CHUNK_CELLS", 1000)
    assert bootstrap_means(values, confidence=0.95, resamples=500, seed=9) == first
    again = paired_test(values[:, 0], values[:, 1], resamples=500, seed=9)
    assert (again.low, again.high) == (test.low, test.high)
    assert again.p == pytest.approx(test.p, abs=0.06)


def test_one_query_gives_an_interval_without_width_and_no_verdict() -> None:
    found = bootstrap_mean([0.4], confidence=0.95, resamples=100, seed=1)
    assert (found.value, found.low, found.high) == (0.4, 0.4, 0.4)
    test = paired_test([0.1], [0.9], resamples=100, seed=1)
    assert verdict(test, 0.001, 0.05) == "not separable"


def test_holm_gives_the_corrected_values_worked_out_by_hand() -> None:
    # Sorted: .005 x 4, .01 x 3, .03 x 2, then .04 x 1 raised to the .06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(EvaluationError, match="p-value"):
        holm([float("nan")])


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.1, 0.3, 0.01, "better"),
        (-0.3, -0.1, 0.01, "worse"),
        (0.1, 0.3, 0.06, "not separable"),
        (-0.1, 0.3, 0.01, "not separable"),
        (0.0, 0.3, 0.01, "not separable"),
    ],
)
def test_a_verdict_needs_both_the_corrected_p_and_the_interval(
    low: float, high: float, p: float, expected: str
) -> None:
    assert verdict(PairedTest((low + high) / 2, low, high, p, 50), p, 0.05) == expected


def test_values_that_can_not_be_tested_are_refused() -> None:
    with pytest.raises(EvaluationError, match="same queries on both sides"):
        paired_test([0.1, 0.2], [0.1], resamples=100, seed=1)
    with pytest.raises(EvaluationError, match="at least one query"):
        bootstrap_mean([], confidence=0.95, resamples=100, seed=1)
    with pytest.raises(EvaluationError, match="not finite"):
        bootstrap_mean([float("nan")], confidence=0.95, resamples=100, seed=1)

"""Intervals and paired tests over queries. Every draw has a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.errors import EvaluationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

Verdict = Literal["better", "worse", "not separable"]

CHUNK_CELLS = 2_000_000
"""Random cells drawn at once (16 MB of indices), whatever the number of queries."""

MIN_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the ends of its confidence interval.

    Over a single value ``low == high == value``: nothing can be resampled, so the width says
    nothing about certainty; no verdict is ever built on it.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Mean of candidate - baseline over ``n`` queries, its interval and its p-value."""

    difference: float
    low: float
    high: float
    p: float
    n: int


def bootstrap_means(
    columns: ArrayLike, *, confidence: float, resamples: int, seed: int
) -> list[Interval]:
    """Percentile bootstrap of the mean of every column, all over the same resampled queries.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Args:
        columns: Shape (n, m): n queries, m measures.
        confidence: Coverage, e.g. 0.95.
        resamples: Samples of n queries drawn with replacement.
        seed: Of the draws.

    Returns:
        m intervals. With n = 1 every interval is its value alone.

    Raises:
        EvaluationError: There are no rows, or a value is not finite.
    """
    import numpy as np

    matrix = _finite(columns, 2)
    n = len(matrix)
    means = np.empty((resamples, matrix.shape[1]))
    generator = np.random.default_rng([seed, 0])
    rows = max(1, CHUNK_CELLS // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = generator.integers(0, n, size=(size, n)) + np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        means[start : start + size] = counts @ matrix / n
    tail = (1 - confidence) / 2
    lows, highs = np.quantile(means, [tail, 1 - tail], axis=0)
    values = matrix.mean(axis=0)
    return [
        Interval(float(v), min(float(v), float(lo)), max(float(v), float(hi)))
        for v, lo, hi in zip(values, lows, highs, strict=True)
    ]


def bootstrap_mean(values: ArrayLike, *, confidence: float, resamples: int, seed: int) -> Interval:
    """Percentile bootstrap interval of the mean of ``values``, shape (n,).

    Raises:
        EvaluationError: ``values`` is empty or not finite.
    """
    column = _finite(values, 1)[:, None]
    return bootstrap_means(column, confidence=confidence, resamples=resamples, seed=seed)[0]


def paired_test(
    baseline: ArrayLike,
    candidate: ArrayLike,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> PairedTest:
    """Two-sided paired randomisation test with a bootstrap interval of the mean difference.

    Under the null hypothesis the sign of every query's difference is a coin flip (Smucker, Allan
    and Carterette 2007). p = (k + 1) / (resamples + 1) where k random assignments are at least as
    extreme as the observed one (Phipson and Smyth 2010), so p is never 0.

    Args:
        baseline: Values per query, shape (n,).
        candidate: Values of the same queries in the same order, shape (n,).
        resamples: Random sign assignments, and bootstrap samples.
        seed: Of the draws.
        confidence: Coverage of the interval.

    Raises:
        EvaluationError: The lengths differ, nothing is given or a value is not finite.
    """
    before, after = _finite(baseline, 1), _finite(candidate, 1)
    if len(before) != len(after):
        raise EvaluationError(
            f"a paired test needs the same queries on both sides; found {len(before)} values for "
            f"the baseline and {len(after)} for the candidate. Evaluate both on one set."
        )
    differences = after - before
    interval = bootstrap_mean(differences, confidence=confidence, resamples=resamples, seed=seed)
    p = (_as_extreme(differences, resamples, seed) + 1) / (resamples + 1)
    return PairedTest(interval.value, interval.low, interval.high, p, len(differences))


def _as_extreme(differences: Floats, resamples: int, seed: int) -> int:
    """How many random sign assignments have a sum at least as far from 0 as the observed one."""
    import numpy as np

    moving = differences[differences != 0]  # the sign of 0 changes nothing
    if not len(moving):
        return resamples
    total = float(moving.sum())
    limit = abs(total) - 1e-12 * float(np.abs(moving).sum())
    generator = np.random.default_rng([seed, 1])
    rows = max(1, CHUNK_CELLS // len(moving))
    extreme = 0
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), len(moving))
        flipped = generator.integers(0, 2, size=size, dtype=np.int8) @ moving
        extreme += int(np.count_nonzero(np.abs(total - 2 * flipped) >= limit))
    return extreme


def holm(ps: Sequence[float]) -> list[float]:
    """Correct p-values for testing all of them at once (Holm 1979), in the given order.

    The smallest is multiplied by their number, the next by one less and so on; corrected values
    never fall and never exceed 1.

    Raises:
        EvaluationError: A p-value is outside of [0, 1].
    """
    for p in ps:
        if not 0 <= p <= 1:
            raise EvaluationError(f"found a p-value of {p}; expected a number from 0 to 1")
    corrected = [0.0] * len(ps)
    floor = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        floor = max(floor, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = floor
    return corrected


def verdict(test: PairedTest, p_corrected: float, alpha: float) -> Verdict:
    """What may be said of candidate against baseline.

    Separable only if the corrected p is below ``alpha`` *and* the interval excludes 0; over fewer
    than two queries nothing is separable.
    """
    excludes_zero = test.low > 0 or test.high < 0
    if test.n < MIN_PAIRS or p_corrected >= alpha or not excludes_zero:
        return "not separable"
    return "better" if test.low > 0 else "worse"


def _finite(values: ArrayLike, dimensions: int) -> Floats:
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or not len(array):
        raise EvaluationError(
            f"found values of shape {array.shape}; expected {dimensions} dimension(s) and at "
            "least one query. Is any query of the set judged?"
        )
    if not np.isfinite(array).all():
        raise EvaluationError("found a value that is not finite; expected numbers per query")
    return array

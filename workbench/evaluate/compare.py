"""Is a candidate better than the baseline, worse, or not separable? And who is champion?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from statistics import NormalDist
from typing import Any

from workbench.errors import EvaluationError, UnknownName
from workbench.evaluate.measures import DEFAULT_MEASURES, parse_measure
from workbench.evaluate.significance import MIN_PAIRS, PairedTest, Verdict, holm, paired_test
from workbench.evaluate.significance import verdict as verdict_of
from workbench.evaluate.systems import EvaluateResult, SystemResult, registry_name
from workbench.protocols import Tracker
from workbench.results import Result

CHAMPION = "champion"
PREVIOUS = "previous"
DECIDES = "nDCG@10"
POWER = 0.8


@dataclass(frozen=True, slots=True)
class CompareRow:
    """One candidate against the baseline in one measure.

    ``difference`` is candidate - baseline; ``sentence`` says why the verdict is what it is.
    """

    baseline: str
    candidate: str
    measure: str
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    verdict: Verdict
    n: int
    sentence: str


@dataclass(frozen=True, slots=True)
class CompareResult(Result):
    """Paired tests of candidates against one baseline, Holm-corrected over all rows."""

    eval_set: str
    baseline: str
    confidence: float
    tests: tuple[CompareRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "eval_set": self.eval_set,
            "baseline": self.baseline,
            "confidence": self.confidence,
            "rows": [asdict(row) for row in self.tests],
        }

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per candidate and measure."""
        return [
            {
                "candidate": row.candidate,
                "measure": row.measure,
                "difference": f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]",
                "p": row.p,
                "p corrected": row.p_corrected,
                "verdict": row.verdict,
            }
            for row in self.tests
        ]


@dataclass(frozen=True, slots=True)
class Promotion(Result):
    """What a comparison did to the aliases of a registered model.

    Attributes:
        registry_name: The registered model.
        champion: Fingerprint that ``champion`` points at now.
        previous: Fingerprint that ``previous`` points at now.
        moved: Whether ``champion`` points elsewhere than before.
        reason: Why it did or did not move.
    """

    registry_name: str
    champion: str | None
    previous: str | None
    moved: bool
    reason: str


def compare(
    result: EvaluateResult,
    baseline: str,
    candidates: Sequence[str] = (),
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> CompareResult:
    """Test candidates against a baseline over the queries of one evaluation.

    Args:
        result: Holds the baseline and the candidates.
        baseline: Key of a system: ``"minilm-l6"`` or ``"minilm-l6 + ms-marco-l12"``.
        candidates: Keys, or names of models (every system of that model, the baseline left out);
            none = every system but the baseline.
        measures: Measures to test; all tests are corrected together.
        resamples: Random sign assignments and bootstrap samples per test; raised where the
            correction for many tests could not reach alpha otherwise.
        seed: Of the draws.
        confidence: Coverage of the intervals; verdicts use alpha = 1 - confidence.

    Raises:
        UnknownName: A system or a measure is not in ``result``.
        EvaluationError: There is nothing to compare.
    """
    base = _baseline(result, baseline)
    others = _candidates(result, base, candidates)
    names = [str(parse_measure(name)) for name in measures]
    pairs = [(other, name) for other in others for name in names]
    if not pairs:
        raise EvaluationError(
            f"there is nothing to compare with {base.key!r}; give another candidate or a measure"
        )
    # Fewer draws could not bring a corrected p below alpha, whatever the difference.
    draws = max(resamples, ceil(len(pairs) / (1 - confidence)) + 1)
    tests = [
        paired_test(
            _column(result, base, name), _column(result, other, name),
            resamples=draws, seed=seed, confidence=confidence,
        )
        for other, name in pairs
    ]  # fmt: skip
    corrected = holm([test.p for test in tests])
    rows = tuple(
        _row((base.key, other.key, name), test, p, confidence)
        for (other, name), test, p in zip(pairs, tests, corrected, strict=True)
    )
    return CompareResult(result.eval_set, base.key, confidence, rows)


def promote(tracker: Tracker, result: EvaluateResult, compared: CompareResult) -> Promotion:
    """Move the alias ``champion`` if the comparison earned it; losers are left alone.

    Without a champion the baseline becomes it. Then the candidate with the largest difference
    takes over if its verdict in nDCG@10 is "better" (so its paired interval excludes 0), both
    sides used the same reranker, and the baseline is the champion: beating another model says
    nothing about the champion. ``previous`` then points at the old champion.
    """
    name = registry_name(result.eval_set)
    base = _baseline(result, compared.baseline)
    before = champion = tracker.alias(name, CHAMPION)
    reason = "the baseline has no vectors, so it can not be champion"
    if champion is None and base.fingerprint:
        tracker.set_alias(name, CHAMPION, base.fingerprint)
        champion = base.fingerprint
    winner = _winner(result, base, compared)
    if champion is None:
        pass
    elif winner is None:
        reason = f"no candidate is better than {base.key} in {DECIDES} with the same reranker"
    elif winner.fingerprint == champion:
        reason = f"{winner.model} is champion already"
    elif champion != base.fingerprint:
        reason = (
            f"{winner.key} beats {base.key}, but the champion is {champion}: compare with that one"
        )
    else:
        tracker.set_alias(name, PREVIOUS, champion)
        tracker.set_alias(name, CHAMPION, winner.fingerprint)
        champion = winner.fingerprint
        reason = f"{winner.key} is better than {base.key} in {DECIDES}"
    previous = tracker.alias(name, PREVIOUS)
    return Promotion(name, champion, previous, champion != before, reason)


def _winner(
    result: EvaluateResult, base: SystemResult, compared: CompareResult
) -> SystemResult | None:
    systems = {system.key: system for system in result.systems}
    better = [
        row
        for row in compared.tests
        if row.measure == DECIDES
        and row.verdict == "better"
        and systems[row.candidate].reranker == base.reranker
        and systems[row.candidate].fingerprint not in {"", base.fingerprint}
    ]
    best = max(better, key=lambda row: row.difference, default=None)
    return None if best is None else systems[best.candidate]


def _baseline(result: EvaluateResult, name: str) -> SystemResult:
    found = [system for system in result.systems if system.key == name]
    found = found or [system for system in result.systems if system.model == name]
    if not found:
        raise UnknownName.among("system", name, {system.key for system in result.systems})
    if len(found) > 1:
        keys = ", ".join(system.key for system in found)
        raise EvaluationError(f"baseline {name!r} means {len(found)} systems ({keys}); name one")
    return found[0]


def _candidates(
    result: EvaluateResult, base: SystemResult, names: Sequence[str]
) -> list[SystemResult]:
    others = [system for system in result.systems if system is not base]
    if not names:
        return others
    known = {word for system in result.systems for word in (system.key, system.model)}
    for name in names:
        if name not in known:
            raise UnknownName.among("system", name, known)
    return [system for system in others if system.key in names or system.model in names]


def _column(result: EvaluateResult, system: SystemResult, measure: str) -> list[float]:
    order = result.systems[0].per_query
    try:
        return [system.per_query[query_id][measure] for query_id in order]
    except KeyError as error:
        raise UnknownName(
            f"{system.key} has no value for {error.args[0]!r}; every system needs {measure} of the "
            f"same {len(order)} queries. Evaluate all systems together."
        ) from error


def _row(names: tuple[str, str, str], test: PairedTest, p: float, confidence: float) -> CompareRow:
    base, candidate, measure = names
    found = verdict_of(test, p, round(1 - confidence, 12))
    percent = f"{100 * confidence:g} % interval {test.low:+.4f} to {test.high:+.4f}"
    facts = f"{percent}, corrected p {p:.2g}, {test.n} queries"
    amount = f"{abs(test.difference):.4f} {'above' if test.difference > 0 else 'below'} {base}"
    if found == "not separable":
        sentence = f"{candidate} is not separable from {base} in {measure}: {facts}"
        sentence += _wanted(test, confidence)
    else:
        sentence = f"{candidate} is {found}: {measure} {amount}, {facts}"
    return CompareRow(
        *names, test.difference, test.low, test.high, test.p, p, found,
        test.n, sentence + ".",
    )  # fmt: skip


def _wanted(test: PairedTest, confidence: float) -> str:
    """Queries that show a difference of this size with 80 % power, by the normal approximation."""
    error = (test.high - test.low) / 2
    if test.n < MIN_PAIRS or not test.difference or not error:
        return ""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = (z + NormalDist().inv_cdf(POWER)) / z * error / abs(test.difference)
    needed = ceil(test.n * scale**2)
    if needed <= test.n:
        return ""
    return f"; a difference of this size needs about {needed:,} queries in a test of its own"

"""What a run will cost, from a sample of its documents and a measured speed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from workbench.config import BudgetConfig
from workbench.cost.levers import mostly_encoded
from workbench.cost.prices import Price
from workbench.results import Result
from workbench.state.runs import EncodingRun

SAMPLE_DOCUMENTS = 400
RESAMPLES = 2_000
CONFIDENCE = 0.95
SEED = 20_260_101
ENOUGH_RUNS = 3
"""Former runs from which their spread says how the next one may differ."""
ASSUMED_SPREAD = 0.25
"""Relative spread assumed of a speed that was measured fewer times than that."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the interval that holds it in 95 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """One sampled document: its size, its chunks, their tokens, and those not in the vault."""

    characters: int
    chunks: int
    tokens: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured speeds: tokens per second of encoding, seconds per chunk of writing.

    ``tokens_per_s`` has one entry per measurement; empty = not measured.
    """

    tokens_per_s: tuple[float, ...]
    seconds_per_chunk: float
    origin: str


@dataclass(frozen=True, slots=True)
class CostForecast(Result):
    """What a run will probably take; ``*_low`` and ``*_high`` bound it in 95 of 100 cases.

    ``tokens`` are those still to be encoded; ``cached_share`` is the part of all tokens whose
    vectors are kept already. Hours are None where no speed was measured.
    """

    source: str
    model: str
    fingerprint: str
    chunking: str
    documents: int
    sampled: int
    chunks: int
    all_tokens: int
    cached_share: float
    tokens: int
    tokens_low: int
    tokens_high: int
    dollars: float
    dollars_low: float
    dollars_high: float
    hours: float | None
    hours_low: float | None
    hours_high: float | None
    price: str
    speed: str
    within_budget: bool
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        exact = self.sampled == self.documents
        counted = "all were counted" if exact else f"{self.sampled:,} sampled"
        hours = "not measured here"
        if self.hours is not None:
            hours = f"{self.hours:.3f} ({self.hours_low:.3f} to {self.hours_high:.3f})"
        lines = [
            f"{self.source} with {self.model}, chunking {self.chunking}",
            f"documents  {self.documents:,} ({counted}), about {self.chunks:,} chunks",
            f"tokens     {self.tokens:,} to encode ({self.tokens_low:,} to {self.tokens_high:,})",
            f"vault      has {self.cached_share:.1%} of {self.all_tokens:,} tokens already",
            f"price      {self.price}",
            f"dollars    {self.dollars:.6f} ({self.dollars_low:.6f} to {self.dollars_high:.6f})",
            f"hours      {hours}; speed: {self.speed}",
        ]
        return "\n".join([*lines, *self.notes])


def reservoir(items: Iterable[T], size: int, seed: int = SEED) -> tuple[list[T], int]:
    """A uniform sample of ``size`` of ``items`` (all, if they are fewer) and how many there are."""
    chosen: list[T] = []
    generator = random.Random(seed)  # noqa: S311 (a sample, not a secret)
    count = 0
    for count, item in enumerate(items, 1):
        if count <= size:
            chosen.append(item)
        elif (place := generator.randrange(count)) < size:
            chosen[place] = item
    return chosen, count


def scaled(
    sample: Sequence[Sampled],
    characters: int,
    field: Callable[[Sampled], int],
    *,
    complete: bool,
    seed: int = SEED,
) -> tuple[Estimate, NDArray[np.float64]]:
    """The total of ``field`` over a source of so many characters, and its bootstrap draws.

    The ratio per character is resampled over documents; a complete sample is exact.
    """
    values = np.array([field(one) for one in sample], dtype=np.float64)
    sizes = np.array([one.characters for one in sample], dtype=np.float64)
    if complete or not sizes.sum():
        total = float(values.sum())
        return Estimate(total, total, total), np.full(RESAMPLES, total)
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(sample), size=(RESAMPLES, len(sample)))
    draws = values[picks].sum(axis=1) / np.maximum(sizes[picks].sum(axis=1), 1) * characters
    return _estimate(float(values.sum() / sizes.sum() * characters), draws), draws


def speed_of(runs: Sequence[EncodingRun], fingerprint: str) -> Speed:
    """Speeds of former runs: encoding those of this space, writing those of any."""
    own = [run for run in runs if run.fingerprint == fingerprint and mostly_encoded(run)]
    measured = tuple(run.tokens / (run.seconds - run.commit_seconds) for run in own)
    chunks = sum(run.chunks for run in runs)
    commit = sum(run.commit_seconds for run in runs) / chunks if chunks else 0.0
    plural = "s" if len(own) > 1 else ""
    return Speed(measured, commit, f"{len(own)} former run{plural} of this model here")


def hours_of(
    tokens: NDArray[np.float64], chunks: float, speed: Speed, seed: int = SEED
) -> Estimate | None:
    """Hours to encode ``tokens`` (draws) and to write ``chunks``, as one more run may take them."""
    if not speed.tokens_per_s:
        return None
    generator = np.random.default_rng(seed)
    logs = np.log(speed.tokens_per_s)
    n = len(logs)
    if n >= ENOUGH_RUNS:
        noise = generator.standard_t(n - 1, size=len(tokens)) * logs.std(ddof=1)
    else:
        noise = generator.normal(size=len(tokens)) * ASSUMED_SPREAD
    noise *= np.sqrt(1 + 1 / n)  # one more measurement around a mean that is uncertain itself
    draws = (tokens / np.exp(logs.mean() + noise) + chunks * speed.seconds_per_chunk) / 3600
    middle = float(tokens.mean() / np.exp(logs.mean()) + chunks * speed.seconds_per_chunk) / 3600
    return _estimate(middle, draws)


def dollars_of(
    tokens: Estimate, hours: Estimate | None, price: Price, settings: BudgetConfig
) -> Estimate:
    """Dollars for ``tokens``; a model that runs here costs the machine's hours instead."""
    if price.usd or hours is None:
        return Estimate(*(price.usd * n / price.per for n in _numbers(tokens)))
    return Estimate(*(settings.machine_usd_per_hour * n for n in _numbers(hours)))


def _numbers(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Estimate(value, min(value, float(low)), max(value, float(high)))

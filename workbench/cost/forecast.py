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
"""Relative spread assumed between runs, where fewer than that tell."""

ESTIMATE_EXCESS = 1.6
"""How many times too many tokens a counter may find that only estimates them."""
ASSUMED_CHUNKS_PER_S = 1_200.0
"""What one store commits per second, until that was measured here."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the interval that holds it in 95 of 100 cases."""

    value: float
    low: float
    high: float

    def times(self, factor: float, excess: float = 1.0) -> Estimate:
        """Scaled by ``factor``, and with a lower bound for a count up to ``excess`` times true."""
        return Estimate(self.value * factor, self.low * factor / excess, self.high * factor)


@dataclass(frozen=True, slots=True)
class Sampled:
    """One sampled document: its size, its chunks, their tokens, and those not in the vault."""

    characters: int
    chunks: int
    tokens: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured speeds, one entry per measurement; empty = not measured.

    Attributes:
        tokens_per_s: Tokens cut and encoded per second.
        chunks_per_s: Chunks written to store and registry per second.
        origin: Where the first comes from, for people.
        at_once: Whether they were measured in one moment: how busy the machine is later is not in
            their spread.
    """

    tokens_per_s: tuple[float, ...]
    chunks_per_s: tuple[float, ...]
    origin: str
    at_once: bool = False


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
            low, high = _words(self.hours_low), _words(self.hours_high)
            hours = f"{_words(self.hours)} ({low} to {high})"
        lines = [
            f"{self.source} with {self.model}, chunking {self.chunking}",
            f"documents  {self.documents:,} ({counted}), about {self.chunks:,} chunks",
            f"tokens     {self.tokens:,} to encode ({self.tokens_low:,} to {self.tokens_high:,})",
            f"vault      has {self.cached_share:.1%} of {self.all_tokens:,} tokens already",
            f"price      {self.price}",
            f"dollars    {self.dollars:.6f} ({self.dollars_low:.6f} to {self.dollars_high:.6f})",
            f"time       {hours}; speed: {self.speed}",
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
    written = tuple(
        run.chunks / run.commit_seconds for run in runs if run.chunks and run.commit_seconds
    )
    plural = "s" if len(own) > 1 else ""
    return Speed(measured, written, f"{len(own)} former run{plural} of this model here")


def hours_of(
    tokens: NDArray[np.float64], chunks: float, speed: Speed, seed: int = SEED
) -> Estimate | None:
    """Hours to encode ``tokens`` (draws) and to write ``chunks``, as one more run may take them."""
    if not speed.tokens_per_s:
        return None
    generator = np.random.default_rng(seed)
    encode, encode_noise = _next(speed.tokens_per_s, len(tokens), generator)
    if speed.at_once:
        encode_noise *= np.exp(generator.normal(size=len(tokens)) * ASSUMED_SPREAD)
    write, write_noise = _next(
        speed.chunks_per_s or (ASSUMED_CHUNKS_PER_S,), len(tokens), generator
    )
    draws = (tokens / encode / encode_noise + chunks / write / write_noise) / 3600
    return _estimate((float(tokens.mean()) / encode + chunks / write) / 3600, draws)


def _next(
    measured: Sequence[float], size: int, generator: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """The middle of the measured speeds, and factors by which one more may differ from it."""
    logs = np.log(measured)
    n = len(logs)
    if n >= ENOUGH_RUNS:
        noise = generator.standard_t(n - 1, size=size) * logs.std(ddof=1)
    else:
        noise = generator.normal(size=size) * ASSUMED_SPREAD
    # One more measurement around a mean that is uncertain itself.
    return float(np.exp(logs.mean())), np.exp(noise * np.sqrt(1 + 1 / n))


def dollars_of(
    tokens: Estimate, hours: Estimate | None, price: Price, settings: BudgetConfig
) -> Estimate:
    """Dollars for ``tokens``; a model that runs here costs the machine's hours instead."""
    if price.usd or hours is None:
        return Estimate(*(price.usd * n / price.per for n in _numbers(tokens)))
    return Estimate(*(settings.machine_usd_per_hour * n for n in _numbers(hours)))


def _words(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    return f"{hours:,.2f} h" if hours >= 1 else f"{hours * 3600:,.1f} s"


def _numbers(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _estimate(value: float, draws: NDArray[np.float64]) -> Estimate:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Estimate(value, min(value, float(low)), max(value, float(high)))

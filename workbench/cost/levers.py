"""The five ways to pay less, each with what it would save here and the arithmetic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from workbench.cost.prices import Price
from workbench.state.runs import EncodingRun

MILLION = 1_000_000
MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
"""Largest request of an OpenAI-compatible provider."""
GIGABYTE = 1e9
FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Lever:
    """One way to pay less.

    Attributes:
        name: What to pull.
        saves_usd: Dollars, over the same work once more (storage: over a year).
        saves_hours: Machine hours over the same work; None = not measured here.
        saves_bytes: Bytes of kept vectors.
        how: The arithmetic, and what it costs in quality.
    """

    name: str
    saves_usd: float
    saves_hours: float | None
    saves_bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class Used:
    """What one model was asked for; ``price`` is None for one that runs here."""

    model: str
    calls: int
    texts: int
    tokens: int
    dollars: float
    price: Price | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the levers are computed from.

    Attributes:
        used: What was asked, per model.
        runs: Finished runs.
        avoided: Per model the texts, tokens and dollars served from kept vectors.
        vectors: Number of kept vectors per dimension.
        prices: Known prices of paid embedding models.
        machine_usd_per_hour: What this machine costs.
        storage_usd_per_gb_month: What keeping a gigabyte costs.
    """

    used: Sequence[Used]
    runs: Sequence[EncodingRun]
    avoided: Mapping[str, tuple[int, float, float]]
    vectors: Mapping[int, int]
    prices: Mapping[str, Price] = field(default_factory=dict)
    machine_usd_per_hour: float = 0.0
    storage_usd_per_gb_month: float = 0.0


def levers(facts: Facts) -> tuple[Lever, ...]:
    """The five levers, the one that saves most first: by dollars, then hours, then bytes."""
    found = (_cache(facts), _smaller(facts), _batching(facts), _quantise(facts), _truncate(facts))
    return tuple(
        sorted(found, key=lambda x: (-x.saves_usd, -(x.saves_hours or 0.0), -x.saves_bytes, x.name))
    )


def rates(runs: Sequence[EncodingRun]) -> dict[str, float]:
    """Tokens per second of encoding per model, over the runs that mostly encoded."""
    tokens: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for run in runs:
        if mostly_encoded(run):
            tokens[run.model] += run.tokens
            seconds[run.model] += run.seconds - run.commit_seconds
    return {model: tokens[model] / seconds[model] for model in tokens}


def mostly_encoded(run: EncodingRun) -> bool:
    """Whether the speed of ``run`` says something about its encoder."""
    return run.encoded > run.hits and run.tokens > 0 and run.seconds > run.commit_seconds


def _cache(facts: Facts) -> Lever:
    dollars = hours = 0.0
    rate = rates(facts.runs)
    parts = []
    for model, (texts, tokens, usd) in facts.avoided.items():
        dollars += usd
        hours += tokens / rate[model] / 3600 if model in rate else 0.0
        per_text = f" x {tokens / texts:,.0f} tokens" if tokens else " (length unknown)"
        parts.append(f"{texts:,} texts{per_text} = ${usd:,.6f} with {model}")
    how = "; ".join(parts) or "no text was asked for a second time yet"
    return Lever(
        "cache", dollars + _machine(facts, hours), hours, 0,
        f"already saved, as long as the vault is kept: {how}",
    )  # fmt: skip


def _smaller(facts: Facts) -> Lever:
    dollars = hours = 0.0
    parts = []
    rate = rates(facts.runs)
    for used in facts.used:
        if used.price is None:
            faster = max(rate, key=lambda model: rate[model], default=None)
            if used.model in rate and faster not in {None, used.model}:
                saved = used.tokens / rate[used.model] - used.tokens / rate[str(faster)]
                hours += saved / 3600
                parts.append(
                    f"{used.tokens:,} tokens / {rate[used.model]:,.0f} per s, less the same at "
                    f"{rate[str(faster)]:,.0f} per s with {faster}"
                )
            continue
        cheaper = _cheaper(used.price, facts.prices)
        if cheaper is None:
            parts.append(f"nothing in the list is cheaper than {used.model}")
            continue
        saved = used.tokens * (used.price.usd / used.price.per - cheaper.usd / cheaper.per)
        dollars += saved
        parts.append(
            f"{used.tokens:,} tokens x (${used.price.usd:g} - ${cheaper.usd:g})/M with "
            f"{cheaper.model} = ${saved:,.6f}; a local model would charge nothing"
        )
    how = "; ".join(parts) or "no second model was measured here"
    return Lever(
        "smaller model", dollars + _machine(facts, hours), hours or None, 0,
        f"{how}. Another space: `workbench compare` first says what it loses",
    )  # fmt: skip


def _cheaper(price: Price, known: Mapping[str, Price]) -> Price | None:
    """The cheapest embedding model of the same provider, else of any, if it is cheaper."""
    provider = price.model.partition(":")[0]
    below = [
        other
        for other in known.values()
        if other.unit == "tokens" and other.usd / other.per < price.usd / price.per
    ]
    same = [other for other in below if other.model.partition(":")[0] == provider]
    return min(same or below, key=lambda other: (other.usd / other.per, other.model), default=None)


def _batching(facts: Facts) -> Lever:
    parts = []
    for used in facts.used:
        if used.price is None or not used.calls:
            continue
        least = max(ceil(used.texts / MAX_INPUTS), ceil(used.tokens / MAX_REQUEST_TOKENS))
        parts.append(
            f"{used.calls:,} calls of {used.texts / used.calls:,.0f} texts with {used.model}; "
            f"{least:,} would do ({MAX_INPUTS:,} texts or {MAX_REQUEST_TOKENS:,} tokens each)"
        )
    how = "; ".join(parts) or "no provider was called"
    return Lever(
        "batching", 0.0, None, 0,
        f"providers charge by token, so $0: it saves the wait for a call, not its price. {how}",
    )  # fmt: skip


def _quantise(facts: Facts) -> Lever:
    rate = rates(facts.runs)
    hours = 0.0
    parts = []
    for used in facts.used:
        quantised = f"{used.model}@int8"
        if used.price is None and used.model in rate and rate.get(quantised, 0) > rate[used.model]:
            saved = used.tokens / rate[used.model] - used.tokens / rate[quantised]
            hours += saved / 3600
            parts.append(
                f"{used.tokens:,} tokens at {rate[quantised]:,.0f} instead of "
                f"{rate[used.model]:,.0f} per s with {quantised}"
            )
    kept = sum(n * dimension for dimension, n in facts.vectors.items())
    saved_bytes = kept * (FLOAT32_BYTES - 1)
    parts.append(
        f"stored as int8: {kept:,} numbers x (4 - 1) bytes = {saved_bytes:,} bytes"
        f"{_storage_words(facts)}; encoding by a provider costs the same"
    )
    return Lever(
        "quantisation", _machine(facts, hours) + _storage(facts, saved_bytes),
        hours or None, saved_bytes, "; ".join(parts),
    )  # fmt: skip


def _truncate(facts: Facts) -> Lever:
    numbers = sum(n * (dimension - dimension // 2) for dimension, n in facts.vectors.items())
    saved = numbers * FLOAT32_BYTES
    return Lever(
        "truncation", _storage(facts, saved), None, saved,
        f"half of each vector: {numbers:,} numbers x 4 bytes = {saved:,} bytes"
        f"{_storage_words(facts)}. Only for models made for it (Matryoshka); encoding costs the "
        "same",
    )  # fmt: skip


def _machine(facts: Facts, hours: float) -> float:
    return hours * facts.machine_usd_per_hour


def _storage(facts: Facts, size: int) -> float:
    return size / GIGABYTE * facts.storage_usd_per_gb_month * 12


def _storage_words(facts: Facts) -> str:
    if not facts.storage_usd_per_gb_month:
        return " (no price of storage is configured)"
    return f" x ${facts.storage_usd_per_gb_month:g} per GB and month x 12"

"""How fast a model encodes here: a few batches of real texts, measured and thrown away."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from workbench.cost.forecast import SEED, Speed
from workbench.models.stages import EncodeStage
from workbench.spec import EmbeddingSpec

TRIAL_TEXTS = 16
TRIAL_BATCHES = 8
TRIAL_SECONDS = 10.0
"""A trial ends after so many batches of so many texts, or so much time."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who will encode: ``count`` workers of ``threads`` CPU threads each."""

    count: int
    threads: int


def tried(
    embedding: EmbeddingSpec,
    texts: list[str],
    workers: Workers,
    known: Speed,
    seconds_per_token: float,
) -> Speed:
    """``known`` with the speed of encoding some of ``texts`` in this process.

    Args:
        embedding: A model that runs here.
        texts: What would be encoded; at least one.
        workers: Who will; they are taken to be as fast together as apart.
        known: What is known of writing.
        seconds_per_token: What cutting the texts takes.
    """
    encode = EncodeStage(embedding, "document").build(workers.threads)
    batches = _trial(texts)
    encode(batches[0])  # the first batch pays for what is loaded lazily
    began = time.perf_counter()
    rates: list[float] = []
    for batch in batches:
        started = time.perf_counter()
        tokens = encode(batch).tokens
        seconds = time.perf_counter() - started + tokens * seconds_per_token
        rates.append(tokens * workers.count / seconds)
        if time.perf_counter() - began > TRIAL_SECONDS:
            break
    encoded = sum(map(len, batches[: len(rates)]))
    more = f", times {workers.count} workers" if workers.count > 1 else ""
    origin = f"{encoded} texts encoded just now{more}"
    return Speed(tuple(rates), known.chunks_per_s, origin, at_once=True)


def _trial(texts: list[str]) -> list[tuple[str, ...]]:
    """Batches of texts of like length, as a run sends them, in random order."""
    generator = random.Random(SEED)  # noqa: S311 (a sample, not a secret)
    chosen = generator.sample(texts, min(len(texts), TRIAL_TEXTS * TRIAL_BATCHES))
    chosen.sort(key=len)
    starts = range(0, len(chosen), TRIAL_TEXTS)
    batches = [tuple(chosen[at : at + TRIAL_TEXTS]) for at in starts]
    generator.shuffle(batches)
    return batches

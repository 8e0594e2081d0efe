"""A forecast is a sample, a ratio and an interval that means what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import BudgetConfig
from workbench.cost.forecast import (
    Estimate,
    Sampled,
    Speed,
    dollars_of,
    hours_of,
    reservoir,
    scaled,
    speed_of,
)
from workbench.cost.prices import Price
from workbench.state.runs import EncodingRun


def new_tokens(one: Sampled) -> int:
    return one.new_tokens


def document(characters: int, tokens: int) -> Sampled:
    return Sampled(characters, 1, tokens, tokens)


@given(st.integers(0, 50), st.integers(1, 20), st.integers())
def test_every_sample_is_of_the_items_without_repeats(n: int, size: int, seed: int) -> None:
    chosen, count = reservoir(range(n), size, seed)
    assert count == n
    assert len(chosen) == len(set(chosen)) == min(n, size)
    assert set(chosen) <= set(range(n))


def test_every_item_is_sampled_as_often_as_any_other() -> None:
    seen = np.zeros(20)
    for seed in range(4_000):
        seen[reservoir(range(20), 5, seed)[0]] += 1
    assert abs(seen / 4_000 - 0.25).max() < 0.03


def test_a_complete_sample_is_exact() -> None:
    sample = [document(100, 30), document(50, 20)]
    total, draws = scaled(sample, 150, new_tokens, complete=True)
    assert (total.value, total.low, total.high) == (50, 50, 50)
    assert set(draws) == {50}


def test_the_interval_holds_the_true_total_in_about_95_of_100_samples() -> None:
    generator = np.random.default_rng(7)
    sizes = generator.lognormal(6, 1, size=3_000).astype(int) + 1
    tokens = (sizes * generator.normal(0.25, 0.05, size=3_000).clip(0.05)).astype(int)
    truth, characters = tokens.sum(), int(sizes.sum())
    held = 0
    for seed in range(200):
        chosen, _ = reservoir(zip(sizes, tokens, strict=True), 150, seed)
        sample = [document(int(size), int(count)) for size, count in chosen]
        found, _ = scaled(sample, characters, new_tokens, complete=False, seed=seed)
        assert found.low <= found.value <= found.high
        held += found.low <= truth <= found.high
    assert 0.88 <= held / 200 <= 0.99


def run(seconds: float, *, model: str = "m", encoded: int = 100, hits: int = 0) -> EncodingRun:
    return EncodingRun(
        f"{model}{seconds}{hits}", model, model, "c", chunks=encoded + hits, encoded=encoded,
        hits=hits, tokens=10_000, seconds=seconds, commit_seconds=1.0,
    )  # fmt: skip


def test_the_speed_is_that_of_runs_of_this_model_that_mostly_encoded() -> None:
    runs = [run(11), run(21), run(3, model="other"), run(2, encoded=1, hits=900)]
    speed = speed_of(runs, "m")
    assert speed.tokens_per_s == pytest.approx((1_000, 500))
    assert speed.chunks_per_s == pytest.approx((100, 100, 100, 901))
    assert speed.origin == "2 former runs of this model here"


def test_no_speed_means_no_hours() -> None:
    assert hours_of(np.full(10, 1e6), 10, Speed((), (), "nothing")) is None


def test_hours_are_wider_the_more_the_measurements_disagree() -> None:
    tokens = np.full(2_000, 3_600_000.0)
    widths = []
    for rates in ((1_000, 1_001, 999, 1_000), (800, 1_000, 1_200, 1_050), (400, 1_000, 2_500, 900)):
        hours = hours_of(tokens, 0, Speed(rates, (), "runs"))
        assert hours is not None
        assert hours.low <= hours.value <= hours.high
        assert hours.value == pytest.approx(1, rel=0.1)
        widths.append(hours.high - hours.low)
    assert widths == sorted(widths)
    assert widths[0] < 0.02


def test_a_speed_of_one_moment_is_trusted_less_than_that_of_several_runs() -> None:
    tokens, rates = np.full(2_000, 3_600_000.0), (1_000.0, 1_010.0, 990.0)
    runs = hours_of(tokens, 0, Speed(rates, (), "runs"))
    trial = hours_of(tokens, 0, Speed(rates, (), "trial", at_once=True))
    assert runs is not None
    assert trial is not None
    assert trial.value == runs.value
    assert trial.high - trial.low > 0.8
    assert runs.high - runs.low < 0.2


def test_the_next_run_is_within_the_interval_in_about_95_of_100_cases() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        rates = 1_000 * np.exp(generator.normal(0, 0.2, size=6))
        hours = hours_of(np.full(2_000, 1e6), 0, Speed(tuple(rates[:5]), (), "runs"))
        assert hours is not None
        held += hours.low <= 1e6 / rates[5] / 3600 <= hours.high
    assert 0.90 <= held / 300 <= 0.99


def test_writing_takes_its_time_too() -> None:
    hours = hours_of(np.full(100, 0.0), 3_600, Speed((1_000,), (10, 10, 10), "runs"))
    assert hours is not None
    assert hours.value == pytest.approx(0.1)


def test_dollars_are_the_providers_or_those_of_the_machine() -> None:
    tokens, hours = Estimate(2e6, 1e6, 3e6), Estimate(2, 1, 4)
    paid, local = Price("openai:m", 0.13), Price("m", 0.0)
    machine = BudgetConfig(machine_usd_per_hour=0.5)
    assert dollars_of(tokens, hours, paid, machine).value == pytest.approx(0.26)
    assert dollars_of(tokens, None, paid, machine).high == pytest.approx(0.39)
    assert dollars_of(tokens, hours, local, machine) == Estimate(1.0, 0.5, 2.0)
    assert dollars_of(tokens, None, local, machine) == Estimate(0, 0, 0)

"""Prices are known with date and source, or the model is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.config import Config, OwnPrice
from workbench.cost.prices import Price, price_named, price_of, prices
from workbench.errors import ConfigError, UnknownPrice
from workbench.models.api.catalogue import spec_of_remote
from workbench.spec import EmbeddingSpec

LOCAL = EmbeddingSpec("onnx", "mine", "d", 8, "mean", normalize=True, max_tokens=16)


@pytest.mark.parametrize(
    ("model", "dollars_per_million"),
    [
        ("openai:text-embedding-3-small", 0.02),
        ("openai:text-embedding-3-large", 0.13),
        ("openai:text-embedding-3-small/512", 0.02),
        ("openai:text-embedding-ada-002", 0.10),
        ("voyage:voyage-3-large", 0.18),
        ("voyage:voyage-3.5", 0.06),
        ("voyage:voyage-3.5-lite", 0.02),
        ("cohere:embed-v4.0", 0.12),
    ],
)
def test_a_remote_model_costs_what_its_provider_asks(
    model: str, dollars_per_million: float
) -> None:
    spec = spec_of_remote(model)
    assert price_of(spec).dollars(1_000_000) == pytest.approx(dollars_per_million)
    assert price_of(replace(spec, model=spec.model.partition(":")[2])) == price_of(spec)


def test_ten_million_documents_of_500_tokens_cost_what_the_arithmetic_says() -> None:
    tokens = 10_000_000 * 500
    assert price_named("openai:text-embedding-3-small").dollars(tokens) == pytest.approx(100)
    assert price_named("openai:text-embedding-3-large").dollars(tokens) == pytest.approx(650)


def test_a_search_is_priced_by_the_thousand() -> None:
    assert price_named("cohere:rerank-v4.0-fast").dollars(500) == pytest.approx(1.0)


def test_every_price_has_a_date_and_a_source() -> None:
    assert prices()
    for name, price in prices().items():
        assert price.usd > 0
        assert price.as_of[:2] == "20"
        assert price.source.startswith("https://")
        assert name.partition(":")[2]


def test_a_model_that_runs_here_is_free() -> None:
    assert price_of(LOCAL).dollars(10**9) == 0


@pytest.mark.parametrize("provider", ["openai", "voyage", "somebody"])
def test_a_paid_model_without_a_price_is_refused_and_the_file_named(provider: str) -> None:
    with pytest.raises(UnknownPrice, match=r"not taken to be free.*prices\.yaml") as caught:
        price_of(replace(LOCAL, provider=provider, model="new-model"))
    assert isinstance(caught.value, ConfigError)


def test_an_own_price_wins_and_fills_a_gap() -> None:
    own = {"openai:mine": OwnPrice(usd=1.5), "openai:text-embedding-3-small": OwnPrice(usd=0.01)}
    assert price_named("openai:mine", own).dollars(2_000_000) == pytest.approx(3.0)
    assert price_named("openai:text-embedding-3-small/256", own).usd == pytest.approx(0.01)
    assert price_named("openai:text-embedding-3-large", own).usd == pytest.approx(0.13)


def test_own_prices_come_from_the_configuration(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.yaml"
    path.write_text('budget: {run: 0, prices: {"openai:mine": {usd: 0.5}}}\n')
    settings = Config.load(path, env={}).budget
    assert settings.run == 0
    assert price_named("openai:mine", settings.prices).usd == pytest.approx(0.5)


@pytest.mark.parametrize("tokens", [0, 1, 7, 10**12])
def test_dollars_are_in_proportion(tokens: int) -> None:
    assert Price("m", 0.13).dollars(tokens) == pytest.approx(0.13 * tokens / 1e6)

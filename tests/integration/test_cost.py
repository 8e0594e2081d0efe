"""Costs through the command line: forecast, ingest, report, and limits, on a home of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from embedding_server import KEY, EmbeddingServer

from workbench import Workbench
from workbench.cli.common import run_app
from workbench.cli.main import app
from workbench.errors import BudgetExceeded

pytestmark = [pytest.mark.chroma, pytest.mark.models]

Run = Callable[..., tuple[int, dict[str, Any]]]
DOCUMENTS = 60
REMOTE = "openai:text-embedding-3-small"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*argv: object) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run_app(app, [*map(str, argv), "--home", str(tmp_path / "home"), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for number in range(DOCUMENTS):
        words = " ".join(f"word{number * i % 97}" for i in range(20 + number * 3))
        (folder / f"{number}.txt").write_text(f"Page {number} about {words}.", encoding="utf-8")
    return folder


def test_a_forecast_of_everything_counted_is_the_number_of_tokens_that_are_then_encoded(
    run: Run, source: Path
) -> None:
    code, forecast = run("cost", "forecast", source, "--model", "wordllama")
    assert code == 0
    assert forecast["documents"] == forecast["sampled"] == DOCUMENTS
    assert forecast["hours_low"] <= forecast["hours"] <= forecast["hours_high"]
    _, ingested = run("ingest", source, "--corpus", "c", "--model", "wordllama")
    assert ingested["tokens"] == forecast["tokens"]
    assert ingested["cost_usd"] == 0
    _, report = run("cost", "report", "--by", "corpus")
    compared = report["forecasts"][0]
    assert compared["tokens_actual"] == compared["tokens_forecast"] == forecast["tokens"]
    assert compared["hours_actual"] > 0
    assert report["total_cost_usd"] == 0
    assert {one["name"] for one in report["levers"]} == {
        "cache", "smaller model", "batching", "quantisation", "truncation",
    }  # fmt: skip
    assert all(one["how"] for one in report["levers"])


def test_a_forecast_leaves_out_what_the_vault_has(run: Run, source: Path) -> None:
    run("ingest", source, "--corpus", "c", "--model", "wordllama")
    _, again = run("cost", "forecast", source, "--model", "wordllama")
    assert (again["tokens"], again["cached_share"]) == (0, 1.0)
    (source / "new.txt").write_text("A page that nobody has seen before.", encoding="utf-8")
    _, more = run("cost", "forecast", source, "--model", "wordllama")
    assert 0 < more["tokens"] < 20
    _, other = run("cost", "forecast", source, "--model", "wordllama", "--tenant", "acme")
    assert other["cached_share"] == 0
    assert other["speed"] == "1 former run of this model here"


def test_a_sampled_forecast_bounds_the_tokens_that_are_then_encoded(
    source: Path, tmp_path: Path
) -> None:
    with Workbench.open(home=tmp_path / "home") as bench:
        found = bench.costs.forecast(str(source), model="wordllama", sample=30)
        assert found.sampled == 30
        assert found.tokens_low < found.tokens < found.tokens_high
        done = bench.corpus("c").ingest(str(source), model="wordllama")
        assert found.tokens_low <= done.tokens <= found.tokens_high
        assert "30 sampled" in str(found)


def test_the_second_ingest_of_the_same_texts_is_avoided_cost(run: Run, source: Path) -> None:
    _, first = run("ingest", source, "--corpus", "a", "--model", "wordllama")
    _, second = run("ingest", source, "--corpus", "b", "--model", "wordllama")
    assert second["encoder_calls"] == 0
    _, report = run("cost", "report")
    assert report["avoided_texts"] == second["cache_hits"] == first["chunks"]


def test_a_forecast_of_a_paid_model_calls_nobody_and_knows_its_price(
    run: Run, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    code, found = run("cost", "forecast", source, "--model", REMOTE)
    assert code == 0, found
    assert found["dollars"] == pytest.approx(found["tokens"] * 0.02 / 1e6, rel=1e-3)
    assert found["hours"] is None
    assert "2026" in found["price"]
    assert found["within_budget"]
    monkeypatch.setenv("WORKBENCH_BUDGET__RUN", "0")
    _, broke = run("cost", "forecast", source, "--model", REMOTE)
    assert not broke["within_budget"]
    assert any("would be stopped" in note for note in broke["notes"])


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    """A provider on this machine that takes 10 texts a call, and the key for it."""
    with EmbeddingServer() as server:
        prefix = "WORKBENCH_PROVIDERS__OPENAI__"
        monkeypatch.setenv(f"{prefix}BASE_URL", server.url)
        monkeypatch.setenv(f"{prefix}MAX_INPUTS", "10")
        monkeypatch.setenv(f"{prefix}CONCURRENCY", "3")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


def test_what_a_provider_charged_is_in_the_report_by_every_key(
    run: Run, source: Path, provider: EmbeddingServer
) -> None:
    _, forecast = run("cost", "forecast", source, "--model", REMOTE)
    assert provider.calls == 0
    code, ingested = run("ingest", source, "--corpus", "c", "--model", REMOTE)
    assert code == 0, ingested
    charged = provider.tokens * 0.02 / 1e6
    assert ingested["cost_usd"] == pytest.approx(charged)
    assert forecast["dollars_low"] <= charged <= forecast["dollars_high"]
    for key, name in (("model", REMOTE), ("corpus", "c"), ("tenant", "default")):
        _, report = run("cost", "report", "--by", key)
        assert report["total_cost_usd"] == pytest.approx(charged)
        assert [(row[key], row["calls"]) for row in report["groups"]] == [(name, provider.calls)]
    assert report["cost_by_model"] == {REMOTE: pytest.approx(charged)}
    assert report["tokens_by_model"] == {REMOTE: provider.tokens}
    _, second = run("ingest", source, "--corpus", "d", "--model", REMOTE)
    assert (second["encoder_calls"], second["cost_usd"]) == (0, 0)
    _, report = run("cost", "report")
    assert report["avoided_usd"] == pytest.approx(charged, rel=0.01)
    assert KEY not in json.dumps(report)


def test_a_second_forecast_knows_what_the_provider_really_counts(
    run: Run, source: Path, provider: EmbeddingServer
) -> None:
    run("ingest", source, "--corpus", "c", "--model", REMOTE)
    _, found = run("cost", "forecast", source, "--model", REMOTE, "--tenant", "acme")
    assert found["tokens"] == pytest.approx(provider.tokens, rel=0.02)
    assert found["hours"] > 0


def test_a_run_stops_before_the_call_that_would_exceed_its_budget(
    run: Run, source: Path, provider: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, forecast = run("cost", "forecast", source, "--model", REMOTE)
    limit = forecast["dollars"] / 2
    monkeypatch.setenv("WORKBENCH_BUDGET__RUN", f"{limit:.12f}")
    code, stopped = run("ingest", source, "--corpus", "c", "--model", REMOTE)
    assert (code, stopped["type"]) == (1, "BudgetExceeded")
    assert 0 < provider.tokens * 0.02 / 1e6 <= limit
    _, report = run("cost", "report")
    assert sum(row["calls"] for row in report["groups"]) == provider.calls
    monkeypatch.setenv("WORKBENCH_BUDGET__RUN", "1")
    code, finished = run("ingest", source, "--corpus", "c", "--model", REMOTE)
    assert code == 0, finished
    assert max(provider.texts.values()) == 1


def test_nothing_is_sent_when_nothing_may_be_spent_or_no_price_is_known(
    run: Run, source: Path, provider: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_BUDGET__RUN", "0")
    code, stopped = run("ingest", source, "--corpus", "c", "--model", REMOTE)
    assert (code, stopped["type"]) == (1, "BudgetExceeded")
    code, unknown = run("ingest", source, "--corpus", "d", "--model", "openai:brand-new/64")
    assert (code, unknown["type"]) == (2, "UnknownPrice")
    assert "prices.yaml" in unknown["error"]
    assert provider.calls == 0


def test_a_budget_of_nothing_stops_a_paid_call_and_lets_local_models_run(
    run: Run, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_BUDGET__MONTH", "0")
    code, ingested = run("ingest", source, "--corpus", "c", "--model", "wordllama")
    assert (code, ingested["added"]) == (0, DOCUMENTS)
    with Workbench.open(home=tmp_path / "home") as bench:
        for work in (bench.workspace, bench.temporary_workspace()):
            with pytest.raises(BudgetExceeded, match="per month"):
                work.registry.ledger.intend("r", "f", "document", 1, tokens=9, dollars=1e-6)


def test_what_an_evaluation_in_memory_spends_is_in_the_ledger_of_the_home(tmp_path: Path) -> None:
    with Workbench.open(home=tmp_path / "home") as bench:
        work = bench.temporary_workspace()
        entry = work.registry.ledger.intend("r", "f", "query", 1, tokens=5, dollars=0.25)
        work.registry.ledger.settle(entry, 5, 0.25)
        bench.discard(work)
        assert bench.costs.report().total_cost_usd == pytest.approx(0.25)


@pytest.mark.mlflow
def test_an_evaluation_says_in_mlflow_what_its_index_cost(
    run: Run, provider: EmbeddingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_PROVIDERS__OPENAI__MAX_INPUTS", "500")
    argv = ("evaluate", "handbook", "--model", REMOTE, "--store", "memory", "--chunking", "whole")
    code, found = run(*argv)
    assert code == 0, found
    row = found["rows"][0]
    _, report = run("cost", "report", "--by", "day")
    assert report["total_cost_usd"] == pytest.approx(provider.tokens * 0.02 / 1e6)
    assert 0.9 * report["total_cost_usd"] < row["cost_usd"] < report["total_cost_usd"]
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    logged = client.get_run(row["mlflow_run_id"]).data.metrics
    assert logged["cost_usd"] == pytest.approx(row["cost_usd"])


@pytest.mark.parametrize("argv", [("--by", "moon"), ("--corpus", "nowhere")])
def test_a_wrong_key_or_corpus_of_a_report_is_refused(run: Run, argv: tuple[str, str]) -> None:
    code, found = run("cost", "report", *argv)
    assert code == 2
    assert argv[1] in found["error"]


def test_a_source_without_documents_can_not_be_forecast(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text('{"_id": "a", "text": ["no text"]}\n', encoding="utf-8")
    code, found = run("cost", "forecast", tmp_path / "empty.jsonl", "--model", "wordllama")
    assert code == 1
    assert "no readable document" in found["error"]

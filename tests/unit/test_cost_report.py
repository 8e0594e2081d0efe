"""The report says what was spent, what was not, and what would save most, with the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.config import BudgetConfig
from workbench.cost.levers import Lever
from workbench.cost.report import CostReport, cost_report
from workbench.records import Document
from workbench.spec import ChunkingSpec, EmbeddingSpec
from workbench.state.documents import Write
from workbench.state.registry import Registry
from workbench.state.runs import EncodingRun

LARGE, SMALL = "openai:text-embedding-3-large", "openai:text-embedding-3-small"
LEVERS = {"cache", "smaller model", "batching", "quantisation", "truncation"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "registry.sqlite")
    yield registry
    registry.close()


def called(registry: Registry, model: str, tokens: int, dollars: float, **facts: Any) -> None:
    texts = facts.pop("texts", 100)
    entry = registry.ledger.intend(
        "r", model, "document", texts, model=model, tokens=tokens, dollars=dollars, **facts
    )
    registry.ledger.settle(entry, tokens, dollars)


def ran(registry: Registry, model: str, **facts: Any) -> None:
    run = f"run{len(registry.runs.all())}"
    registry.runs.finish(EncodingRun(run, model, model, facts.pop("chunking_id", "c"), **facts))


def lever(report: CostReport, name: str) -> Lever:
    return next(one for one in report.levers if one.name == name)


def report_of(registry: Registry, **settings: Any) -> CostReport:
    return cost_report(registry, BudgetConfig(**settings))


def test_an_empty_ledger_makes_a_report_with_all_five_levers(registry: Registry) -> None:
    report = report_of(registry)
    assert report.total_cost_usd == report.avoided_usd == 0
    assert {one.name for one in report.levers} == LEVERS
    assert "what would save most" in str(report)


def test_the_cache_avoided_hits_times_mean_tokens_times_the_price_paid(registry: Registry) -> None:
    called(registry, LARGE, 1_000_000, 0.13, texts=2_000)
    ran(registry, LARGE, encoded=2_000, tokens=1_000_000, seconds=5)
    ran(registry, LARGE, hits=4_000, seconds=1)
    report = report_of(registry)
    assert report.avoided_texts == 4_000
    assert report.avoided_usd == pytest.approx(0.26)
    assert lever(report, "cache").saves_usd == pytest.approx(0.26)
    assert "4,000 texts x 500 tokens" in lever(report, "cache").how
    assert report.levers[0].name == "cache"


def test_texts_of_a_model_that_was_never_called_here_are_said_to_be_unknown(
    registry: Registry,
) -> None:
    ran(registry, LARGE, hits=7, seconds=1)
    report = report_of(registry)
    assert (report.avoided_texts, report.avoided_usd) == (7, 0)
    assert report.notes[0].startswith("7 texts came from the vault")


def test_the_mean_length_is_that_of_the_same_chunking(registry: Registry) -> None:
    called(registry, LARGE, 120_000, 0.0156)
    ran(registry, LARGE, encoded=100, tokens=100_000, seconds=5, chunking_id="1024")
    ran(registry, LARGE, encoded=100, tokens=20_000, seconds=5, chunking_id="256")
    ran(registry, LARGE, hits=100, seconds=1, chunking_id="256")
    assert report_of(registry).avoided_usd == pytest.approx(20_000 * 0.13 / 1e6)


def test_a_smaller_model_saves_the_difference_of_the_prices(registry: Registry) -> None:
    called(registry, LARGE, 3_000_000, 0.39)
    called(registry, SMALL, 1_000_000, 0.02)
    found = lever(report_of(registry), "smaller model")
    assert found.saves_usd == pytest.approx(3 * (0.13 - 0.02))
    assert f"with {SMALL}" in found.how
    assert f"nothing in the list is cheaper than {SMALL}" in found.how


def test_a_faster_model_here_saves_machine_hours_at_the_price_of_the_machine(
    registry: Registry,
) -> None:
    for model, seconds in (("mpnet-base", 7_200.0), ("minilm-l6", 3_600.0)):
        called(registry, model, 1_000_000, 0.0)
        ran(registry, model, encoded=100, tokens=1_000_000, seconds=seconds)
    report = report_of(registry, machine_usd_per_hour=2.0)
    found = lever(report, "smaller model")
    assert found.saves_hours == pytest.approx(1.0)
    assert found.saves_usd == pytest.approx(2.0)
    assert report.machine_usd == pytest.approx(6.0)
    assert report.total_cost_usd == 0


def test_batching_says_how_many_calls_would_do_and_claims_no_dollar(registry: Registry) -> None:
    for _ in range(5):
        called(registry, SMALL, 500, 0.00001, texts=1)
    found = lever(report_of(registry), "batching")
    assert found.saves_usd == 0
    assert "5 calls of 1 texts" in found.how
    assert "1 would do" in found.how


def index_some(registry: Registry, corpus: str, chunks: int) -> None:
    embedding = EmbeddingSpec("onnx", "m", "d", 384, "mean", normalize=True, max_tokens=9)
    corpus_id = registry.documents.corpus(corpus, create=True)
    document = Document("d", "text")
    registry.documents.log(corpus_id, [Write(document, "s", b"0" * 32)])
    index = registry.indexes.ensure(corpus_id, embedding, ChunkingSpec("whole", "whole"))
    with registry.indexes._db.write() as connection:
        for number in range(chunks):
            connection.exec_driver_sql(
                "INSERT INTO index_chunks VALUES (?, ?, 'default', 'd', 0, 0, 1, x'00')",
                (index.index_id, str(number)),
            )


def test_storage_levers_count_the_bytes_of_the_vectors_that_are_kept(registry: Registry) -> None:
    index_some(registry, "wiki", 10)
    index_some(registry, "faq", 5)
    report = report_of(registry, storage_usd_per_gb_month=1_000.0)
    assert lever(report, "quantisation").saves_bytes == 15 * 384 * 3
    assert lever(report, "truncation").saves_bytes == 15 * 192 * 4
    yearly = 15 * 384 * 3 / 1e9 * 1_000 * 12
    assert lever(report, "quantisation").saves_usd == pytest.approx(yearly)
    one = cost_report(registry, BudgetConfig(), corpus="faq")
    assert lever(one, "quantisation").saves_bytes == 5 * 384 * 3
    assert "no price of storage" in lever(one, "quantisation").how


def test_the_levers_stand_in_the_order_of_what_they_save(registry: Registry) -> None:
    index_some(registry, "wiki", 10)
    called(registry, LARGE, 1_000_000, 0.13, corpus="wiki")
    ran(registry, LARGE, encoded=100, tokens=1_000_000, seconds=5, corpus="wiki")
    ran(registry, LARGE, hits=50, seconds=1, corpus="wiki")
    saved = [one.saves_usd for one in report_of(registry).levers]
    assert saved == sorted(saved, reverse=True)
    assert report_of(registry).levers[0].name == "smaller model"


def test_a_report_of_one_corpus_leaves_the_others_out(registry: Registry) -> None:
    called(registry, LARGE, 100, 0.5, corpus="wiki")
    called(registry, LARGE, 100, 0.25, corpus="faq")
    report = cost_report(registry, BudgetConfig(), by="tenant", corpus="faq")
    assert report.total_cost_usd == pytest.approx(0.25)
    assert report.cost_by_model == {LARGE: pytest.approx(0.25)}
    assert [row["tenant"] for row in report.rows()] == ["default"]


def facts(tokens: int) -> dict[str, Any]:
    return {
        "tokens": tokens, "dollars": 0.5, "dollars_low": 0.4, "dollars_high": 0.6, "hours": None,
    }  # fmt: skip


def test_the_newest_open_forecast_of_the_same_work_is_compared_with_the_run(
    registry: Registry,
) -> None:
    registry.runs.forecast("wiki.jsonl", LARGE, LARGE, "c", facts(1))
    registry.runs.forecast("wiki.jsonl", LARGE, LARGE, "c", facts(100))
    registry.runs.forecast("wiki.jsonl", LARGE, LARGE, "other", facts(7))
    ran(registry, LARGE, source="elsewhere", encoded=1, tokens=5, seconds=1)
    ran(registry, LARGE, source="wiki.jsonl", encoded=9, tokens=104, dollars=0.52, seconds=1)
    compared = report_of(registry).forecasts
    assert [one["tokens_actual"] for one in compared] == [None, 104, None]
    assert compared[1]["usd_actual"] == pytest.approx(0.52)
    assert "forecast and actual" in str(report_of(registry))

"""The ledger keeps a budget strictly, and adds up to the same whatever it is added up by."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import BudgetConfig, Config
from workbench.cost.budget import Budget
from workbench.errors import BudgetExceeded, ConfigError, StateError
from workbench.state.db import Database
from workbench.state.ledger import By, Ledger, Limits, month_start
from workbench.state.registry import Registry
from workbench.state.schema import MIGRATIONS

KEYS: tuple[By, ...] = ("model", "corpus", "tenant", "day")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "registry.sqlite")
    yield registry
    registry.close()


def intend(ledger: Ledger, dollars: float, run: str = "r", **facts: str) -> int:
    return ledger.intend(run, "f", "document", 3, tokens=30, dollars=dollars, **facts)


def seconds(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()  # type: ignore[misc]


def test_a_registry_of_the_first_version_keeps_its_rows_and_learns_their_model(
    tmp_path: Path,
) -> None:
    path = tmp_path / "registry.sqlite"
    Database(path, MIGRATIONS[:1]).close()
    with sqlite3.connect(path) as old:
        old.execute(
            "INSERT INTO indexes (corpus_id, fingerprint, chunking_id, embedding, chunking) "
            "VALUES (1, 'f', 'c', '{\"model\": \"minilm-l6\"}', '{}')"
        )
        for fingerprint, state in (("f", "settled"), ("f", "intended"), ("gone", "settled")):
            old.execute(
                "INSERT INTO ledger (at, run, fingerprint, role, texts, tokens, dollars, state) "
                "VALUES (1e9, 'r', ?, 'document', 4, 40, 0.5, ?)",
                (fingerprint, state),
            )
    old.close()
    registry = Registry(path)
    groups = {row["model"]: row for row in registry.ledger.grouped("model")}
    assert {name: row["tokens"] for name, row in groups.items()} == {"minilm-l6": 80, "unknown": 40}
    assert registry.ledger.totals("r")["dollars"] == pytest.approx(1.5)
    assert [row["tenant"] for row in registry.ledger.grouped("tenant")] == ["default"]
    registry.ledger.settle(intend(registry.ledger, 0.1), 5, 0.1)
    assert registry.runs.all() == []
    registry.close()


def test_the_migrated_schema_is_the_one_of_a_new_registry(tmp_path: Path) -> None:
    Database(tmp_path / "old.sqlite", MIGRATIONS[:1]).close()
    layouts = []
    for name in ("old.sqlite", "new.sqlite"):
        Registry(tmp_path / name).close()
        with sqlite3.connect(tmp_path / name) as found:
            layouts.append(
                found.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
            )
        found.close()
    assert layouts[0] == layouts[1]


def test_a_call_on_its_way_counts_as_spent_until_it_is_settled_or_failed(
    registry: Registry,
) -> None:
    ledger = registry.ledger
    ledger.limits = Limits(run=1.0)
    first = intend(ledger, 0.7)
    with pytest.raises(BudgetExceeded, match=r"\$1 allowed per run.*Nothing was sent"):
        intend(ledger, 0.7)
    assert ledger.totals()["calls"] == 1
    ledger.settle(first, 20, 0.2)
    second = intend(ledger, 0.7)
    ledger.fail(second, "status 500")
    assert ledger.spent("r") == pytest.approx(0.2)
    third = intend(ledger, 0.8)
    ledger.fail(third, "answered with NaN", tokens=30, dollars=0.8)
    with pytest.raises(BudgetExceeded):
        intend(ledger, 0.01)
    assert intend(ledger, 0.7, run="another")


def test_a_budget_of_nothing_lets_only_what_is_free_pass(registry: Registry) -> None:
    Budget.of(registry.ledger, BudgetConfig(run=0)).enforce()
    intend(registry.ledger, 0.0)
    with pytest.raises(BudgetExceeded, match=r"\$0 allowed per run"):
        intend(registry.ledger, 1e-12)


def test_the_month_is_that_of_the_calendar_in_utc(tmp_path: Path) -> None:
    now = [seconds(2026, 2, 28, 23, 59, 59)]
    registry = Registry(tmp_path / "registry.sqlite", clock=lambda: now[0])
    budget = Budget(registry.ledger, month=1.0)
    budget.enforce()
    intend(registry.ledger, 0.9)
    with pytest.raises(BudgetExceeded, match="per month"):
        intend(registry.ledger, 0.2, run="other")
    with pytest.raises(BudgetExceeded, match="per month"):
        budget.admit("other", 0.2)
    assert budget.left("other") == pytest.approx(0.1)
    now[0] += 1
    assert month_start(now[0]) == now[0]
    assert budget.left("other") == pytest.approx(1.0)
    intend(registry.ledger, 1.0)
    assert registry.ledger.spent() == pytest.approx(1.0)
    registry.close()


def test_no_limit_means_any_amount(registry: Registry) -> None:
    budget = Budget(registry.ledger)
    budget.enforce()
    budget.admit("r", 1e9)
    assert budget.left("r") is None


@pytest.mark.parametrize("dollars", [-0.1, float("nan"), float("inf")])
def test_an_amount_that_is_none_is_refused(registry: Registry, dollars: float) -> None:
    with pytest.raises(StateError, match="finite"):
        intend(registry.ledger, dollars)
    with pytest.raises(StateError, match="finite"):
        registry.ledger.admit("r", dollars)


@pytest.mark.parametrize("key", ["run", "month", "machine_usd_per_hour"])
def test_a_negative_budget_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigError, match=f"budget.{key}"):
        Config.load(env={f"WORKBENCH_BUDGET__{key.upper()}": "-1"})


def test_threads_of_several_sessions_never_spend_more_than_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    sessions = [Registry(path) for _ in range(4)]
    for session in sessions:
        session.ledger.limits = Limits(month=1.0)
    start = threading.Barrier(8)
    admitted: list[int] = []
    refused: list[BudgetExceeded] = []

    def spend(ledger: Ledger, name: str) -> None:
        start.wait()
        for _ in range(5):
            try:
                admitted.append(intend(ledger, 0.1, run=name))
            except BudgetExceeded as error:
                refused.append(error)

    threads = [
        threading.Thread(target=spend, args=(sessions[i % 4].ledger, str(i))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(admitted), len(refused)) == (10, 30)
    assert sessions[0].ledger.spent() == pytest.approx(1.0)
    for session in sessions:
        session.close()


calls = st.tuples(
    st.sampled_from(["a", "openai:b", ""]),
    st.sampled_from(["wiki", "faq", ""]),
    st.sampled_from(["default", "acme"]),
    st.integers(0, 80),
    st.integers(0, 10_000),
    st.floats(0, 2, allow_subnormal=False),
    st.sampled_from(["intended", "settled", "failed"]),
)


@given(st.lists(calls, max_size=12), st.floats(0, 4))
def test_every_row_is_in_exactly_one_group_and_never_is_more_admitted_than_allowed(
    rows: list[tuple[str, str, str, int, int, float, str]], limit: float
) -> None:
    now = [seconds(2026, 3, 1)]
    registry = Registry(None, clock=lambda: now[0])
    ledger = registry.ledger
    ledger.limits = Limits(month=limit)
    for model, corpus, tenant, days, tokens, dollars, state in rows:
        now[0] = seconds(2026, 3, 1) + days * 86_400 / 3
        before = ledger.spent()
        facts = {"model": model, "corpus": corpus, "tenant": tenant}
        try:
            entry = ledger.intend("r", "f", "document", 1, tokens=tokens, dollars=dollars, **facts)
        except BudgetExceeded:
            assert before + dollars > limit
            continue
        assert dollars == 0 or ledger.spent() <= limit * (1 + 1e-6)
        if state == "settled":
            ledger.settle(entry, tokens // 2, dollars / 2)
        elif state == "failed":
            ledger.fail(entry, "status 500")
    totals = ledger.totals()
    for key in KEYS:
        groups = ledger.grouped(key)
        assert len({row[key] for row in groups}) == len(groups)
        for name in ("calls", "settled", "texts", "tokens", "dollars"):
            assert sum(row[name] for row in groups) == pytest.approx(totals[name])
        assert all(0 <= row["on_the_way"] <= row["dollars"] + 1e-12 for row in groups)
    registry.close()

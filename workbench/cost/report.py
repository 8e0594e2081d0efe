"""What was spent, what was not, and what would save most: read from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.config import BudgetConfig, OwnPrice
from workbench.cost.levers import Facts, Lever, Used, levers
from workbench.cost.prices import Price, prices
from workbench.results import Result, text_table
from workbench.state.ledger import By
from workbench.state.registry import Registry
from workbench.state.runs import EncodingRun, Forecasted

SHOWN_FORECASTS = 10


@dataclass(frozen=True, slots=True)
class CostReport(Result):
    """What encoding cost.

    Attributes:
        by: Key of ``groups``.
        total_cost_usd: Charged by providers, or expected of calls that are not settled.
        on_the_way_usd: The part of it that is expected and not settled.
        machine_usd: Hours of local encoding times the configured price of the machine.
        groups: Ledger rows added up by ``by``; their dollars are the total.
        tokens_by_model: Tokens per model.
        cost_by_model: Dollars per model.
        avoided_usd: What texts served from kept vectors would have cost while indexing: their
            number times the mean tokens of a text times the price paid. Queries are not in it.
        avoided_texts: How many they were.
        levers: What would save most, first.
        forecasts: Former forecasts with what the run then took.
        notes: What a reader should know.
    """

    by: By
    total_cost_usd: float
    on_the_way_usd: float
    machine_usd: float
    groups: tuple[dict[str, Any], ...]
    tokens_by_model: Mapping[str, int]
    cost_by_model: Mapping[str, float]
    avoided_usd: float
    avoided_texts: int
    levers: tuple[Lever, ...]
    forecasts: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per group."""
        names = (self.by, "calls", "settled", "failed", "texts", "tokens", "dollars")
        return [{name: group[name] for name in names} for group in self.groups]

    def _totals(self) -> str:
        return (
            f"total ${self.total_cost_usd:,.6f}, of which ${self.on_the_way_usd:,.6f} not settled; "
            f"this machine ${self.machine_usd:,.4f}; avoided ${self.avoided_usd:,.6f} "
            f"({self.avoided_texts:,} texts from the vault)"
        )

    def __str__(self) -> str:
        lines = [
            Result.__str__(self),
            "",
            self._totals(),
            "",
            "what would save most:",
            *(
                f"{place}. {lever.name}: ${lever.saves_usd:,.6f}. {lever.how}"
                for place, lever in enumerate(self.levers, 1)
            ),
        ]
        if self.forecasts:
            lines += ["", "forecast and actual:", text_table(self.forecasts[-SHOWN_FORECASTS:])]
        return "\n".join([*lines, *self.notes])


def cost_report(
    registry: Registry, settings: BudgetConfig, *, by: By = "model", corpus: str | None = None
) -> CostReport:
    """Add the ledger up.

    Args:
        registry: Whose ledger, runs and indexes.
        settings: Prices of machine and storage, and own prices.
        by: Key of the groups.
        corpus: Only this one; None = all.
    """
    ledger = registry.ledger
    runs = [run for run in registry.runs.all() if corpus in {None, run.corpus}]
    models = ledger.grouped("model", corpus=corpus)
    groups = models if by == "model" else ledger.grouped(by, corpus=corpus)
    avoided, unknown = _avoided(runs, ledger.tokens_per_text(), models)
    known = _known(settings.prices)
    used = tuple(
        Used(
            row["model"], row["calls"], row["texts"], row["tokens"], row["dollars"],
            known.get(row["model"].partition("/")[0]),
        )
        for row in models
    )  # fmt: skip
    embedders = {name: price for name, price in known.items() if "rerank" not in name}
    facts = Facts(
        used, runs, avoided, _vectors(registry, corpus), embedders,
        settings.machine_usd_per_hour, settings.storage_usd_per_gb_month,
    )  # fmt: skip
    local = {one.model for one in used if one.price is None}
    hours = sum(run.seconds for run in runs if run.model in local) / 3600
    return CostReport(
        by=by,
        total_cost_usd=sum(row["dollars"] for row in groups),
        on_the_way_usd=sum(row["on_the_way"] for row in groups),
        machine_usd=hours * settings.machine_usd_per_hour,
        groups=tuple(groups),
        tokens_by_model={row["model"]: row["tokens"] for row in models},
        cost_by_model={row["model"]: row["dollars"] for row in models},
        avoided_usd=sum(usd for _, _, usd in avoided.values()),
        avoided_texts=sum(texts for texts, _, _ in avoided.values()),
        levers=levers(facts),
        forecasts=tuple(_compared(one) for one in registry.runs.forecasts()),
        notes=_notes(unknown),
    )


def _known(own: Mapping[str, OwnPrice]) -> dict[str, Price]:
    mine = {n: Price(n, p.usd, as_of=p.as_of, source=p.source) for n, p in own.items()}
    return prices() | mine


def _avoided(
    runs: Sequence[EncodingRun], means: Mapping[str, float], models: Sequence[dict[str, Any]]
) -> tuple[dict[str, tuple[int, float, float]], int]:
    """Per model texts, tokens and dollars that kept vectors avoided; texts of unknown length."""
    tokens: dict[tuple[str, str], int] = defaultdict(int)
    texts: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs:
        tokens[run.fingerprint, run.chunking_id] += run.tokens
        texts[run.fingerprint, run.chunking_id] += run.encoded
    per_token = {row["model"]: row["dollars"] / row["tokens"] for row in models if row["tokens"]}
    found: dict[str, tuple[int, float, float]] = {}
    unknown = 0
    for run in (run for run in runs if run.hits):
        key = (run.fingerprint, run.chunking_id)
        mean = tokens[key] / texts[key] if texts[key] else means.get(run.fingerprint, 0.0)
        unknown += 0 if mean else run.hits
        avoided = run.hits * mean
        before = found.get(run.model, (0, 0.0, 0.0))
        usd = avoided * per_token.get(run.model, 0.0)
        found[run.model] = (before[0] + run.hits, before[1] + avoided, before[2] + usd)
    return found, unknown


def _vectors(registry: Registry, corpus: str | None) -> dict[int, int]:
    """Number of chunks in the indexes, per dimension."""
    documents = registry.documents
    corpora = None if corpus is None else documents.find(corpus)
    found: dict[int, int] = defaultdict(int)
    for index in registry.indexes.all():
        if corpus is None or index.corpus_id == corpora:
            found[index.embedding.dimension] += registry.indexes.counts(index)[1]
    return dict(found)


def _compared(one: Forecasted) -> dict[str, Any]:
    """A forecast beside what the run took; a run that is not done has no figures."""
    facts, run = one.facts, one.run
    return {
        "source": one.source,
        "model": one.model,
        "tokens_forecast": facts["tokens"],
        "tokens_actual": None if run is None else run.tokens,
        "usd_forecast": facts["dollars"],
        "usd_low": facts["dollars_low"],
        "usd_high": facts["dollars_high"],
        "usd_actual": None if run is None else run.dollars,
        "hours_forecast": facts["hours"],
        "hours_actual": None if run is None else run.seconds / 3600,
    }


def _notes(unknown: int) -> tuple[str, ...]:
    note = (
        f"{unknown:,} texts came from the vault, but no call of their model is in this ledger: "
        "their tokens are not known and count as 0"
    )
    return (note,) if unknown else ()

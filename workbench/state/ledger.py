"""What the encoders were asked for: one intent per attempt, settled when the answer is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Integer, case, cast, func, insert, select, update

from workbench.errors import BudgetExceeded, StateError
from workbench.records import DEFAULT_TENANT, Role
from workbench.state.db import Database
from workbench.state.schema import ledger

By = Literal["model", "corpus", "tenant", "day"]
SHOWN_REASON = 300
UNKNOWN = "unknown"
"""Group of the rows that were written before a ledger had such a column."""
ROUNDING = 1e-9
"""Relative: sums of dollars are floats, and a limit may be used up to its last cent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Dollars that one run, and one calendar month (UTC), may cost; None = no limit."""

    run: float | None = None
    month: float | None = None


class Ledger:
    """Rows of encoder calls: ``intended``, then ``settled`` or ``failed``.

    ``tokens`` and ``dollars`` of a row are what is expected until it is settled, so a call on its
    way counts as spent, and so does one whose process died: the provider may have charged it.

    Attributes:
        limits: What ``intend`` enforces; the session sets it from the configuration.
    """

    def __init__(
        self, db: Database, clock: Callable[[], float] = time.time, limits: Limits | None = None
    ) -> None:
        """Keep the rows in ``db``."""
        self._db = db
        self._clock = clock
        self.limits = limits or Limits()

    def intend(
        self,
        run: str,
        fingerprint: str,
        role: Role,
        texts: int,
        *,
        model: str = "",
        corpus: str = "",
        tenant: str = DEFAULT_TENANT,
        tokens: int = 0,
        dollars: float = 0.0,
        limits: Limits | None = None,
    ) -> int:
        """Record that ``texts`` are about to be sent; returns the entry's id.

        The check and the row are one transaction: however many threads and processes intend at
        once, what they intend together stays within the limits. What is free is always allowed.

        Args:
            run: Id of the run.
            fingerprint: The space.
            role: Of the texts.
            texts: How many.
            model: Name of the model.
            corpus: What the texts are of.
            tenant: Whose they are.
            tokens: Expected, all texts together.
            dollars: Expected; an upper bound keeps the limits strictly.
            limits: Instead of the ledger's own.

        Raises:
            BudgetExceeded: The call would exceed a limit; there is no row, and it must not be made.
        """
        _check(tokens, dollars)
        with self._db.write() as connection:
            self._admit(connection, run, dollars, limits or self.limits)
            row = connection.execute(
                insert(ledger)
                .values(
                    at=self._clock(), run=run, fingerprint=fingerprint, role=role, texts=texts,
                    model=model, corpus=corpus, tenant=tenant, tokens=tokens, dollars=dollars,
                    expected_tokens=tokens, expected_dollars=dollars, reason="", state="intended",
                )
                .returning(ledger.c.entry_id)
            )  # fmt: skip
            return int(row.scalar_one())

    def settle(self, entry_id: int, tokens: int, dollars: float = 0.0) -> None:
        """Record that the answer of ``entry_id`` is in the vault, and what it cost."""
        _check(tokens, dollars)
        self._close(entry_id, tokens=tokens, dollars=dollars, state="settled")

    def fail(self, entry_id: int, reason: str, tokens: int = 0, dollars: float = 0.0) -> None:
        """Record that ``entry_id`` gave nothing, and why (no secrets).

        ``tokens`` and ``dollars`` are what was charged all the same. A call whose charge is not
        known (it timed out) is better left as intended.
        """
        _check(tokens, dollars)
        self._close(
            entry_id, tokens=tokens, dollars=dollars, state="failed", reason=reason[:SHOWN_REASON]
        )

    def admit(self, run: str, dollars: float, limits: Limits | None = None) -> None:
        """Raise as ``intend`` would, and record nothing.

        Raises:
            BudgetExceeded: A call of ``dollars`` would exceed a limit now.
        """
        _check(0, dollars)
        with self._db.read() as connection:
            self._admit(connection, run, dollars, limits or self.limits)

    def spent(self, run: str | None = None) -> float:
        """Dollars of ``run``, or of this calendar month (UTC); calls on their way included."""
        with self._db.read() as connection:
            return self._spent(connection, run)

    def totals(self, run: str | None = None) -> dict[str, float]:
        """Calls, settled calls, texts, tokens and dollars, of one run or of all."""
        query = select(
            func.count(),
            func.coalesce(func.sum(cast(ledger.c.state == "settled", Integer)), 0),
            func.coalesce(func.sum(ledger.c.texts), 0),
            func.coalesce(func.sum(ledger.c.tokens), 0),
            func.coalesce(func.sum(ledger.c.dollars), 0.0),
        )
        if run is not None:
            query = query.where(ledger.c.run == run)
        with self._db.read() as connection:
            row = connection.execute(query).one()
        names = ("calls", "settled", "texts", "tokens", "dollars")
        return dict(zip(names, (float(value) for value in row), strict=True))

    def grouped(self, by: By, *, corpus: str | None = None) -> list[dict[str, Any]]:
        """Rows added up by model, corpus, tenant or day (UTC), the dearest first.

        Every ledger row is in exactly one group, whatever the key; ``on_the_way`` is the part of
        ``dollars`` that is expected and not settled.
        """
        day = func.strftime("%Y-%m-%d", ledger.c.at, "unixepoch")
        key = day if by == "day" else func.coalesce(func.nullif(ledger.c[by], ""), UNKNOWN)
        on_the_way = case((ledger.c.state == "intended", ledger.c.dollars), else_=0.0)
        query = select(
            key.label(by),
            func.count().label("calls"),
            *(
                func.sum(cast(ledger.c.state == state, Integer)).label(state)
                for state in ("settled", "failed")
            ),
            func.sum(ledger.c.texts).label("texts"),
            func.sum(ledger.c.tokens).label("tokens"),
            func.sum(ledger.c.dollars).label("dollars"),
            func.sum(on_the_way).label("on_the_way"),
        ).group_by(key)
        if corpus is not None:
            query = query.where(ledger.c.corpus == corpus)
        with self._db.read() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return sorted(rows, key=lambda row: (-row["dollars"], -row["tokens"], row[by]))

    def charged_per_expected(self, fingerprint: str) -> float | None:
        """Tokens charged for each that was expected, over settled calls; None without any."""
        mine = (ledger.c.fingerprint == fingerprint) & (ledger.c.state == "settled")
        query = select(func.sum(ledger.c.tokens), func.sum(ledger.c.expected_tokens)).where(
            mine & (ledger.c.expected_tokens > 0)
        )
        with self._db.read() as connection:
            charged, expected = connection.execute(query).one()
        return charged / expected if expected else None

    def tokens_per_text(self) -> dict[str, float]:
        """Per fingerprint the mean tokens of a document text, over its settled calls."""
        settled = (ledger.c.state == "settled") & (ledger.c.role == "document")
        query = (
            select(ledger.c.fingerprint, func.sum(ledger.c.tokens) * 1.0 / func.sum(ledger.c.texts))
            .where(settled & (ledger.c.texts > 0))
            .group_by(ledger.c.fingerprint)
        )
        with self._db.read() as connection:
            return {name: float(mean) for name, mean in connection.execute(query)}

    def _close(self, entry_id: int, **facts: object) -> None:
        with self._db.write() as connection:
            connection.execute(update(ledger).where(ledger.c.entry_id == entry_id).values(**facts))

    def _admit(self, connection: Connection, run: str, dollars: float, limits: Limits) -> None:
        if not dollars:
            return
        for name, limit, key in (("run", limits.run, run), ("month", limits.month, None)):
            if limit is None:
                continue
            spent = self._spent(connection, key)
            if spent + dollars > limit * (1 + ROUNDING):
                raise BudgetExceeded(
                    f"this call would cost up to ${dollars:.6f}; of the ${limit:g} allowed per "
                    f"{name}, ${spent:.6f} are spent or on their way. Nothing was sent. Raise "
                    f"budget.{name} in the configuration, or use a local model."
                )

    def _spent(self, connection: Connection, run: str | None) -> float:
        mine = ledger.c.at >= month_start(self._clock()) if run is None else ledger.c.run == run
        query = select(func.coalesce(func.sum(ledger.c.dollars), 0.0)).where(mine)
        # The constant lets SQLite use the index of paid calls: free ones may be millions.
        return float(connection.execute(query.where(ledger.c.dollars > 0)).scalar_one())


def month_start(now: float) -> float:
    """First instant of the calendar month (UTC) of ``now``, in seconds since the epoch."""
    day = datetime.fromtimestamp(now, UTC)
    return datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()


def _check(tokens: int, dollars: float) -> None:
    if tokens < 0 or not (math.isfinite(dollars) and dollars >= 0):
        raise StateError(
            f"a call took {tokens} tokens and ${dollars}; expected finite numbers from 0 up"
        )

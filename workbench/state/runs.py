"""Finished encoding runs, and the forecasts that were made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import insert, select, update

from workbench.records import DEFAULT_TENANT
from workbench.state.db import Database
from workbench.state.schema import encoding_runs, forecasts


@dataclass(frozen=True, slots=True)
class EncodingRun:
    """What one indexing run took.

    Attributes:
        run: Id, as in the ledger.
        model: Name of the model.
        fingerprint: Its space.
        chunking_id: How the documents were cut.
        source: Name of the source; empty where none was read.
        corpus: Name of the corpus.
        tenant: Whose documents they are.
        chunks: Chunks that were indexed.
        calls: Batches sent to the encoder, retries included.
        encoded: Texts encoded.
        hits: Texts whose vector was already kept.
        tokens: Tokens encoded.
        truncated: Texts that the encoder cut.
        dollars: Charged by the provider.
        seconds: Of indexing, as the driver saw it.
        commit_seconds: Of those, spent writing to store and registry.
        at: When it ended, seconds since the epoch.
    """

    run: str
    model: str
    fingerprint: str
    chunking_id: str
    source: str = ""
    corpus: str = ""
    tenant: str = DEFAULT_TENANT
    chunks: int = 0
    calls: int = 0
    encoded: int = 0
    hits: int = 0
    tokens: int = 0
    truncated: int = 0
    dollars: float = 0.0
    seconds: float = 0.0
    commit_seconds: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecasted:
    """A forecast as it was written down; ``run`` is None until that was done."""

    at: float
    source: str
    model: str
    facts: dict[str, Any]
    run: EncodingRun | None


class EncodingRuns:
    """Rows of runs and forecasts."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time) -> None:
        """Keep the rows in ``db``."""
        self._db = db
        self._clock = clock

    def finish(self, run: EncodingRun) -> None:
        """Record ``run`` (``at`` is now) and settle the newest open forecast of the same work."""
        same = (
            (forecasts.c.source == run.source)
            & (forecasts.c.fingerprint == run.fingerprint)
            & (forecasts.c.chunking_id == run.chunking_id)
        )
        newest = (
            select(forecasts.c.forecast_id)
            .where(same & forecasts.c.run.is_(None))
            .order_by(forecasts.c.forecast_id.desc())
            .limit(1)
        )
        with self._db.write() as connection:
            connection.execute(insert(encoding_runs).values({**asdict(run), "at": self._clock()}))
            found = connection.execute(newest).scalar_one_or_none()
            if run.source and found is not None:
                mine = forecasts.c.forecast_id == found
                connection.execute(update(forecasts).where(mine).values(run=run.run))

    def forecast(
        self, source: str, model: str, fingerprint: str, chunking_id: str, facts: Mapping[str, Any]
    ) -> None:
        """Write a forecast down; the next run of the same work is compared with it."""
        with self._db.write() as connection:
            connection.execute(
                insert(forecasts).values(
                    at=self._clock(), source=source, model=model, fingerprint=fingerprint,
                    chunking_id=chunking_id, forecast=json.dumps(dict(facts)),
                )
            )  # fmt: skip

    def all(self, fingerprint: str | None = None) -> list[EncodingRun]:
        """Runs of a space or of all, oldest first."""
        query = select(encoding_runs).order_by(encoding_runs.c.at, encoding_runs.c.run)
        if fingerprint is not None:
            query = query.where(encoding_runs.c.fingerprint == fingerprint)
        with self._db.read() as connection:
            return [EncodingRun(**row) for row in connection.execute(query).mappings()]

    def forecasts(self) -> list[Forecasted]:
        """Every forecast, oldest first, with the run that followed."""
        runs = {run.run: run for run in self.all()}
        with self._db.read() as connection:
            rows = connection.execute(select(forecasts).order_by(forecasts.c.forecast_id))
            return [
                Forecasted(
                    row.at, row.source, row.model, json.loads(row.forecast), runs.get(row.run)
                )
                for row in rows
            ]

"""What the encoders were asked for: one intent per attempt, settled when the answer is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Integer, cast, func, insert, select, update

from workbench.records import Role
from workbench.state.db import Database
from workbench.state.schema import ledger


class Ledger:
    """Rows of encoder calls."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time) -> None:
        """Keep the rows in ``db``."""
        self._db = db
        self._clock = clock

    def intend(self, run: str, fingerprint: str, role: Role, texts: int) -> int:
        """Record that ``texts`` are about to be sent; returns the entry's id."""
        with self._db.write() as connection:
            row = connection.execute(
                insert(ledger)
                .values(
                    at=self._clock(),
                    run=run,
                    fingerprint=fingerprint,
                    role=role,
                    texts=texts,
                    state="intended",
                )
                .returning(ledger.c.entry_id)
            )
            return int(row.scalar_one())

    def settle(self, entry_id: int, tokens: int, dollars: float = 0.0) -> None:
        """Record that the answer of ``entry_id`` is in the vault, and what it cost."""
        with self._db.write() as connection:
            connection.execute(
                update(ledger)
                .where(ledger.c.entry_id == entry_id)
                .values(tokens=tokens, dollars=dollars, state="settled")
            )

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

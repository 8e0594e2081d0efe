"""The registry: one database that says what should exist and what does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from workbench.state.cache_use import CacheUse
from workbench.state.db import Database
from workbench.state.documents import Documents
from workbench.state.indexes import Indexes
from workbench.state.leases import Leases
from workbench.state.ledger import Ledger
from workbench.state.routes import Routes
from workbench.state.runs import EncodingRuns
from workbench.state.schema import MIGRATIONS


class Registry:
    """Documents, indexes, routes, leases, ledger and runs over one database."""

    def __init__(
        self,
        path: Path | None,
        clock: Callable[[], float] = time.time,
        *,
        accounts: Path | None = None,
    ) -> None:
        """Open the registry at ``path``; None keeps it in memory.

        What was spent is real even where an index is not: ``accounts`` is the registry file that
        keeps ledger and runs of one in memory.
        """
        self._db = Database(path, MIGRATIONS)
        self._accounts = self._db if accounts is None else Database(accounts, MIGRATIONS)
        self.documents = Documents(self._db)
        self.leases = Leases(self._db, clock)
        self.indexes = Indexes(self._db, self.leases)
        self.routes = Routes(self._db)
        self.use = CacheUse(self._db, self._accounts)
        self.ledger = Ledger(self._accounts, clock)
        self.runs = EncodingRuns(self._accounts, clock)

    def close(self) -> None:
        """Close the databases."""
        self._db.close()
        self._accounts.close()

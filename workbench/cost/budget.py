"""Limits per run and per month, kept before a call is made."""

from __future__ import annotations

from typing import Self

from workbench.config import BudgetConfig
from workbench.state.ledger import Ledger, Limits


class Budget:
    """What may be spent, over the rows of a ledger and by its clock.

    Binding it to a ledger (``enforce``) makes every ``Ledger.intend`` of anybody check it in the
    transaction that writes the row; ``admit`` alone only asks.
    """

    def __init__(
        self, ledger: Ledger, run: float | None = None, month: float | None = None
    ) -> None:
        """Allow ``run`` dollars per run and ``month`` per calendar month (UTC); None = any."""
        self._ledger = ledger
        self.limits = Limits(run, month)

    @classmethod
    def of(cls, ledger: Ledger, config: BudgetConfig) -> Self:
        """The budget of a configuration."""
        return cls(ledger, config.run, config.month)

    def enforce(self) -> None:
        """Make the ledger refuse every intent beyond this budget."""
        self._ledger.limits = self.limits

    def admit(self, run_id: str, dollars: float) -> None:
        """Raise if a call of ``dollars`` would exceed a limit now; nothing is reserved.

        Between this answer and the intent another thread may spend: only ``Ledger.intend`` is
        final. It raises the same error.

        Raises:
            BudgetExceeded: The call must not be made.
        """
        self._ledger.admit(run_id, dollars, self.limits)

    def left(self, run_id: str) -> float | None:
        """Dollars that ``run_id`` may still spend under both limits; None = no limit."""
        asked = ((self.limits.run, run_id), (self.limits.month, None))
        left = [limit - self._ledger.spent(key) for limit, key in asked if limit is not None]
        return max(0.0, min(left)) if left else None

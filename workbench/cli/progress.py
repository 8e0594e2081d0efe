"""Progress on stderr: bars on a terminal, a line per stage elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Shows (stage, done, total) and sentences; silent when not enabled."""

    def __init__(self, *, enabled: bool) -> None:
        """Write to stderr only, so that stdout stays for results."""
        self._enabled = enabled
        self._console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not (enabled and self._console.is_terminal),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` (0 = unknown) are through ``stage``."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total or None)
            if self._enabled and not self._console.is_terminal:
                self._console.print(f"{stage} ...", style="dim")
        self._bars.update(self._tasks[stage], completed=done, total=total or None)

    def say(self, message: str) -> None:
        """Print a sentence a person should see."""
        if self._enabled:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)

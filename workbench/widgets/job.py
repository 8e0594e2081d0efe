"""Work in a thread of its own: one at a time, told about at a bearable rate, cancellable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SECONDS_BETWEEN_UPDATES = 0.5
"""Every update crosses to the browser: at most two a second."""

Tell = Callable[[str, int, int], None]
"""Called with (stage, done, total); total 0 = unknown."""


class Cancelled(BaseException):
    """The person pressed Cancel.

    Like ``KeyboardInterrupt`` it is no ``Exception``, so that nothing on its way takes it for a
    failure: a tracked run ends as killed, not as failed.
    """


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is: ``done`` of ``total`` (0 = unknown), ``seconds`` after its start."""

    stage: str
    done: int
    total: int
    seconds: float

    def __str__(self) -> str:
        of = f" of {self.total:,}" if self.total else ""
        return f"{self.stage}: {self.done:,}{of}, {self.seconds:.0f} s"


class Job:
    """Runs one piece of work at a time.

    Args:
        on_progress: Shows how far the work is; called at most twice a second.
        on_end: Called in the work's thread with what it raised, or None.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        on_progress: Callable[[Progress], None],
        on_end: Callable[[BaseException | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_progress = on_progress
        self._on_end = on_end
        self._clock = clock
        self._free = threading.Lock()
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = 0.0
        self._shown = 0.0

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self._free.locked()

    def start(self, work: Callable[[Tell], None]) -> bool:
        """Start ``work``, which is given a function to tell its progress to.

        Returns:
            False when other work is under way; then nothing happens.
        """
        if not self._free.acquire(blocking=False):
            return False
        self._cancelled.clear()
        self._started = self._clock()
        self._shown = self._started - SECONDS_BETWEEN_UPDATES
        # A daemon: a kernel that is shut down does not wait. What was committed stays.
        self._thread = threading.Thread(
            target=self._run, args=(work,), name="workbench-panel", daemon=True
        )
        self._thread.start()
        return True

    def cancel(self) -> None:
        """Ask the work to end: it does when it next tells its progress."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds; whether the work has ended, with all that follows it."""
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def _run(self, work: Callable[[Tell], None]) -> None:
        raised: BaseException | None = None
        try:
            work(self._tell)
        except BaseException as error:  # noqa: BLE001 (nobody else sees what a thread raises)
            raised = error
        try:
            self._on_end(raised)
        finally:
            self._free.release()

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        now = self._clock()
        if now - self._shown >= SECONDS_BETWEEN_UPDATES:
            self._shown = now
            self._on_progress(Progress(stage, done, total, now - self._started))

"""Stops asking a server that does not answer, and tries it again now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

FAILURES = 3
REST_S = 30.0


class Breaker:
    """Closed at first; opens after failures in a row; lets one call through after a rest.

    A success closes it again, a failure of that one call makes it rest once more.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open after ``failures`` in a row, for ``rest_s`` seconds."""
        self._limit = failures
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at: float | None = None
        self._trying = False

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """Closed: calls go through; open: none does; half-open: one is on its way."""
        if self._retry_at is None:
            return "closed"
        return "half-open" if self._trying else "open"

    def allows(self) -> bool:
        """Whether the caller may call now; if so, ``succeeded`` or ``failed`` must follow."""
        with self._lock:
            if self._retry_at is None:
                return True
            if self._trying or self._clock() < self._retry_at:
                return False
            self._trying = True
            return True

    def succeeded(self) -> None:
        """The call was answered."""
        with self._lock:
            self._failures, self._retry_at, self._trying = 0, None, False

    def failed(self) -> bool:
        """The call was not answered; returns whether that has opened the breaker just now."""
        with self._lock:
            self._failures += 1
            was_closed = self._retry_at is None
            if self._failures < self._limit:
                return False
            self._retry_at = self._clock() + self._rest_s
            self._trying = False
            return was_closed

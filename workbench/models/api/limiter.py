"""Tokens per minute: a request waits until the last minute has room for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

WINDOW = 60.0


class TokenLimiter:
    """Lets at most ``per_minute`` tokens pass in any 60 seconds; 0 = any number.

    Requests pass in the order they came. One larger than the limit waits for an empty minute.
    """

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Measure by ``clock`` (seconds, rising)."""
        self._limit = per_minute
        self._clock = clock
        self._sleep = sleep
        self._passed: deque[tuple[float, int]] = deque()
        self._turn = asyncio.Lock()

    async def take(self, tokens: int) -> None:
        """Wait for room for ``tokens`` and use it."""
        if not self._limit:
            return
        async with self._turn:
            while self._used() and self._used() + tokens > self._limit:
                await self._sleep(max(0.001, self._passed[0][0] + WINDOW - self._clock()))
            self._passed.append((self._clock(), tokens))

    def _used(self) -> int:
        start = self._clock() - WINDOW
        while self._passed and self._passed[0][0] <= start:
            self._passed.popleft()
        return sum(tokens for _, tokens in self._passed)

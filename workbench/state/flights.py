"""One encoding of one text at a time, whoever asks for it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SingleFlight:
    """Lets one thread at a time work on a key, and different keys side by side.

    Who had to wait looks into the vault again and finds what the first one put there. When the
    first one failed there is nothing to find: failures are not remembered, the next one tries.
    """

    def __init__(self) -> None:
        """Nobody works on anything yet."""
        self._condition = threading.Condition()
        self._held: set[bytes] = set()

    @contextmanager
    def hold(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Wait until no other thread holds any of ``keys``, then hold all of them.

        All or none are taken, so two threads with overlapping keys never wait for each other. A
        thread must not hold twice.
        """
        mine = set(keys)
        with self._condition:
            self._condition.wait_for(lambda: self._held.isdisjoint(mine))
            self._held |= mine
        try:
            yield
        finally:
            with self._condition:
                self._held -= mine
                self._condition.notify_all()

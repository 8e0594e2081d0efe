"""Many small requests, few large batches: a front for whatever encodes texts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.closing import Closing
from workbench.errors import ExecutionError

if TYPE_CHECKING:
    from workbench.protocols import Vectors


@dataclass(slots=True)
class _Request:
    texts: tuple[str, ...]
    future: Future[Vectors]
    arrived: float


class MicroBatcher(Closing):
    """Gathers concurrent requests until a batch is full or its oldest request has waited enough.

    One thread encodes; any number may submit. A request that makes its batch fail is found by
    encoding the requests of that batch one by one, so that it fails alone.

    Args:
        encode: Turns distinct texts into vectors of shape (n, dimension).
        max_texts: Texts of a batch; a larger request is cut into several calls.
        max_wait: Seconds a request waits for others.
        max_pending: Texts that may wait; then ``submit`` blocks.
        clock: Rising seconds.
    """

    def __init__(
        self,
        encode: Callable[[list[str]], Vectors],
        *,
        max_texts: int = 256,
        max_wait: float = 0.1,
        max_pending: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_texts < 1 or max_pending < 1 or max_wait < 0:
            raise ValueError(
                f"found max_texts {max_texts}, max_pending {max_pending}, max_wait {max_wait}; "
                "expected at least 1, 1 and 0"
            )
        self._encode = encode
        self._max_texts = max_texts
        self._max_wait = max_wait
        self._max_pending = max_pending
        self._clock = clock
        self._queue: deque[_Request] = deque()
        self._queued = 0  # texts in the queue
        self._pending = 0  # and those being encoded
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="microbatch", daemon=True)
        self._thread.start()

    def submit(self, texts: Sequence[str], timeout: float | None = None) -> Future[Vectors]:
        """Ask for the vectors of ``texts``, shape (len(texts), dimension), in order.

        Blocks while too much is waiting. The future fails as encoding these texts alone fails.

        Args:
            texts: One request; it is answered as a whole.
            timeout: Seconds to wait for room; None = as long as it takes.

        Raises:
            ExecutionError: There was no room in time, or the front is closed.
        """
        future: Future[Vectors] = Future()
        with self._changed:
            free = self._changed.wait_for(lambda: self._closing or self._has_room(texts), timeout)
            if self._closing:
                raise ExecutionError("the front is closed; it takes no more texts")
            if not free:
                raise ExecutionError(
                    f"{self._pending} texts are waiting already and {timeout} s brought no room "
                    f"for {len(texts)} more; submit less at a time, or wait longer"
                )
            self._queue.append(_Request(tuple(texts), future, self._clock()))
            self._queued += len(texts)
            self._pending += len(texts)
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Answer everything that was accepted, then end; may be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _has_room(self, texts: Sequence[str]) -> bool:
        # A request larger than the bound is let in alone: it could never be otherwise.
        return not self._pending or self._pending + len(texts) <= self._max_pending

    def _work(self) -> None:
        while batch := self._next():
            self._answer(batch)
            with self._changed:
                self._pending -= sum(len(request.texts) for request in batch)
                self._changed.notify_all()

    def _next(self) -> list[_Request]:
        """The requests of the next batch; empty when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return []
            due = self._queue[0].arrived + self._max_wait
            while not self._closing and self._queued < self._max_texts:
                left = due - self._clock()
                if left <= 0 or not self._changed.wait(left):
                    break
            batch = [self._queue.popleft()]
            size = len(batch[0].texts)
            while self._queue and size + len(self._queue[0].texts) <= self._max_texts:
                batch.append(self._queue.popleft())
                size += len(batch[-1].texts)
            self._queued -= size
            return batch

    def _answer(self, batch: list[_Request]) -> None:
        # From here on a request can not be cancelled any more.
        live = [request for request in batch if request.future.set_running_or_notify_cancel()]
        if not live:
            return
        try:
            self._deliver(live, self._vectors([t for request in live for t in request.texts]))
        except Exception as error:  # noqa: BLE001 (whatever it is belongs to the one who asked)
            if len(live) == 1:
                live[0].future.set_exception(error)
                return
            for request in live:
                try:
                    self._deliver([request], self._vectors(request.texts))
                except Exception as alone:  # noqa: BLE001 (as above)
                    request.future.set_exception(alone)

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        """Vectors of ``texts``, each distinct one encoded once, in calls of at most a batch."""
        unique = list(dict.fromkeys(texts))
        parts = [
            self._encode(unique[start : start + self._max_texts])
            for start in range(0, len(unique), self._max_texts)
        ]
        if not parts:
            return np.empty((0, 0), dtype=np.float32)
        rows = {text: row for row, text in enumerate(unique)}
        found: Vectors = np.concatenate(parts)[[rows[text] for text in texts]]
        return found

    @staticmethod
    def _deliver(requests: list[_Request], vectors: Vectors) -> None:
        start = 0
        for request in requests:
            request.future.set_result(vectors[start : start + len(request.texts)])
            start += len(request.texts)

"""An event loop in a thread of its own, so that synchronous callers (and notebooks) can use it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_LOOK_SECONDS = 5.0
_CLOSE_SECONDS = 10.0


class LoopThread:
    """Starts its loop on first use and ends it with ``close``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def soon(self, call: Callable[[], object]) -> None:
        """Run ``call`` on the loop; nothing happens once it is closed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread is not None and self._thread.is_alive()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Await ``last`` on the loop, if it was ever started, then end it."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return

        async def finish() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await last()

        try:
            asyncio.run_coroutine_threadsafe(finish(), loop).result(_CLOSE_SECONDS)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_CLOSE_SECONDS)
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="embedding-calls", daemon=True
                )
                self._thread.start()
            return self._loop


def _give(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


class Desk:
    """Where coroutines ask the driver's thread to do something and wait for its answer.

    State (ledger, vault) is only touched by the thread that drives.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()

    async def ask(self, work: Callable[[], T]) -> T:
        """Have ``work`` done by the driver; raises what it raises."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def serve() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 (handed to whoever asked)
                self._loop.soon(partial(_fail, answer, error))
            else:
                self._loop.soon(partial(_give, answer, result))

        self._asked.put(serve)
        return await answer

    def tell(self, work: Callable[[], None]) -> None:
        """Have ``work`` done by the driver without waiting."""
        self._asked.put(work)

    def serve(self) -> None:
        """Do one thing that was asked for, waiting for it."""
        while True:
            try:
                work = self._asked.get(timeout=_LOOK_SECONDS)
            except Empty:
                if self._loop.alive:
                    continue
                raise RuntimeError("the thread that calls providers has died") from None
            work()
            return

"""The worker that runs on Ray, the pool of them, and one map over the pool.

Actors are pure: they build stages from frozen specs and compute. Ray's own retries are off; the
driver re-dispatches, so it can write an intent before every attempt.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

from workbench.errors import ExecutionError
from workbench.protocols import Carrier, In, OnAttempt, Out, Stage
from workbench.run.inline import BuiltStages, failed

IN_FLIGHT = 2
"""Batches sent to one actor by one map: one that runs, one that waits behind it."""
WINDOW = 4
"""Batches per actor that one map has taken but not yet given back as results."""
RESOLVE_SECONDS = 60.0
"""How long the calls of a killed actor may take to report their fate."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Worker:
    """What an actor runs. Every stage of every map shares it, so a model loads once per actor.

    Args:
        threads: CPUs the actor was given.
    """

    def __init__(self, threads: int) -> None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self._threads = threads
        self._stages = BuiltStages(threads)

    def pid(self) -> int:
        """Process id of the actor."""
        return os.getpid()

    def run(self, stage: Stage[In, Out], batch: In, cargo: Any = None) -> Out:
        """The result of one batch; builds the stage the first time it is seen.

        ``cargo`` is a list of one reference: Ray would fetch a bare one before every call.
        """
        if cargo is not None and isinstance(stage, Carrier) and not self._stages.knows(stage):
            import ray

            stage.unload(ray.get(cargo[0]))
        torch = sys.modules.get("torch")
        if torch is not None and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        return self._stages.function(stage)(batch)


class Pool:
    """A fixed number of ``Worker`` actors; a dead one is replaced.

    Args:
        count: Number of actors.
        threads: CPUs each one gets.
    """

    def __init__(self, count: int, threads: int) -> None:
        import ray

        self._ray = ray
        self._threads = threads
        self._lock = threading.Lock()
        self._actor = ray.remote(num_cpus=threads, max_restarts=0, max_task_retries=0)(Worker)
        self._cargo: dict[Any, Any] = {}
        self.closed = False
        self.workers: list[Any] = [self._actor.remote(threads) for _ in range(count)]

    def pids(self, timeout: float) -> list[int]:
        """Process ids of all actors, once they run.

        Raises:
            ExecutionError: Some did not start within ``timeout`` seconds.
        """
        calls = [worker.pid.remote() for worker in self.workers]
        ready, waiting = self._ray.wait(calls, num_returns=len(calls), timeout=timeout)
        if waiting:
            raise ExecutionError(
                f"{len(ready)} of {len(calls)} Ray actors of {self._threads} CPU(s) started within "
                f"{timeout:.0f} s; the others wait for CPUs that something else holds. Stop that, "
                "or ask for fewer actors."
            )
        return list(self._ray.get(calls))

    def cargo_of(self, stage: Stage[In, Out]) -> Any:
        """Reference, in a list, to what ``stage`` carries, put into Ray once; None = nothing."""
        if not isinstance(stage, Carrier):
            return None
        with self._lock:
            if stage not in self._cargo:
                cargo = stage.cargo()
                self._cargo[stage] = None if cargo is None else [self._ray.put(cargo)]
            return self._cargo[stage]

    def replace(self, worker: Any) -> None:
        """Put a new actor in the place of ``worker``; nothing happens if that was done before."""
        with self._lock:
            if self.closed or worker not in self.workers:
                return
            self._ray.kill(worker)
            self.workers[self.workers.index(worker)] = self._actor.remote(self._threads)

    def close(self) -> None:
        """Kill the actors; maps that still run end with an error."""
        with self._lock:
            self.closed = True
            workers, self.workers = self.workers, []
        for worker in workers:
            self._ray.kill(worker)


@dataclass(frozen=True, slots=True)
class _Call:
    index: int
    worker: Any
    ref: Any


class MapRun(Generic[In, Out]):
    """One map over a pool. Several may be under way: each keeps its own calls and results.

    Args:
        pool: Where batches run.
        stage: What runs.
        batches: Consumed lazily, at most ``WINDOW`` per actor ahead of the results taken.
        on_attempt: Called before every dispatch.
        attempts: Tries of a batch in all.
    """

    def __init__(
        self,
        pool: Pool,
        stage: Stage[In, Out],
        batches: Iterable[In],
        on_attempt: OnAttempt | None,
        attempts: int,
    ) -> None:
        import ray

        self._ray = ray
        self._pool = pool
        self._stage = stage
        self._batches = iter(batches)
        self._on_attempt = on_attempt
        self._attempts = attempts
        self._cargo = pool.cargo_of(stage)
        self._window = WINDOW * len(pool.workers)
        self._taken = 0
        self._given = 0
        self._exhausted = False
        self._held: dict[int, In] = {}
        self._failures: dict[int, int] = {}
        self._again: list[int] = []
        self._calls: dict[Any, _Call] = {}
        self._results: dict[int, Out] = {}

    def results(self) -> Iterator[Out]:
        """The results in order; ends the calls still under way when it is closed early."""
        try:
            while True:
                self._fill()
                if self._given in self._results:
                    result = self._results.pop(self._given)
                    self._given += 1
                    yield result
                    self._collect(wait=False)
                elif self._calls:
                    self._collect(wait=True)
                else:
                    return
        finally:
            self._cancel()

    def _fill(self) -> None:
        while (worker := self._free_worker()) is not None:
            index = self._next_index()
            if index is None:
                return
            if self._on_attempt is not None:
                self._on_attempt(index, self._held[index])
            ref = worker.run.remote(self._stage, self._held[index], self._cargo)
            self._calls[ref] = _Call(index, worker, ref)

    def _free_worker(self) -> Any:
        if self._pool.closed:
            raise ExecutionError(
                f"the executor was closed while stage {self._stage.name!r} was running; "
                "start the map again"
            )
        busy = [call.worker for call in self._calls.values()]
        worker = min(self._pool.workers, key=busy.count)
        return worker if busy.count(worker) < IN_FLIGHT else None

    def _next_index(self) -> int | None:
        if self._again:
            return heapq.heappop(self._again)
        if self._exhausted or self._taken - self._given >= self._window:
            return None
        try:
            self._held[self._taken] = next(self._batches)
        except StopIteration:
            self._exhausted = True
            return None
        self._taken += 1
        return self._taken - 1

    def _collect(self, *, wait: bool) -> None:
        refs = list(self._calls)
        if not refs or self._pool.closed:
            return
        count = 1 if wait else len(refs)
        done, _ = self._ray.wait(refs, num_returns=count, timeout=None if wait else 0)
        for ref in done:
            if ref in self._calls:
                self._settle(self._calls[ref])

    def _settle(self, call: _Call) -> None:
        lost = self._outcome(call)
        if lost is None:
            return
        self._pool.replace(call.worker)
        # Calls run in the order they were sent: the oldest lost one was running, it counts as
        # failed; those behind it never started.
        mates = [mate for mate in self._calls.values() if mate.worker == call.worker]
        blamed = False
        for mate in mates:
            error = self._outcome(mate)
            if error is None:
                continue
            del self._calls[mate.ref]
            if blamed:
                heapq.heappush(self._again, mate.index)
            else:
                self._retry(mate.index, error)
            blamed = True

    def _outcome(self, call: _Call) -> Exception | None:
        """Store the result or the failure of ``call``; the error if its actor was lost."""
        from ray.exceptions import RayError, RayTaskError

        try:
            self._results[call.index] = self._ray.get(call.ref, timeout=RESOLVE_SECONDS)
        except RayTaskError as error:
            del self._calls[call.ref]
            self._retry(call.index, error.cause or error)
        except RayError as error:
            lost: Exception = error
            return lost
        else:
            del self._calls[call.ref]
            del self._held[call.index]
        return None

    def _retry(self, index: int, cause: Exception) -> None:
        failures = self._failures.get(index, 0) + 1
        self._failures[index] = failures
        if failures >= self._attempts:
            raise failed(self._stage.name, index, failures, cause) from cause
        heapq.heappush(self._again, index)

    def _cancel(self) -> None:
        calls, self._calls = self._calls, {}
        if self._pool.closed or not self._ray.is_initialized():
            return
        for ref in calls:
            # A call that has just ended or whose actor has died needs no cancelling.
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(ref)

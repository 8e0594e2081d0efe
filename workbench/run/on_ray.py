"""The executor on Ray: a pool of actors on this machine or on a cluster."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.protocols import In, OnAttempt, Out, Stage
from workbench.run.cluster import Cluster, check_room, room_for
from workbench.run.inline import usable_cpus

if TYPE_CHECKING:
    from workbench.run.actors import Pool

START_SECONDS = 120.0
"""How long actors may wait for CPUs before the pool is given up."""


class RayExecutor:
    """Runs stages in a pool of equal actors, started at the first ``map``.

    All stages of all maps share the actors, so a model is loaded once in each. Several maps may
    be under way at once, and one may feed another. Arrays in results are read-only.

    Args:
        actors: Actors in the pool; 0 = as many as the CPUs allow.
        threads: CPUs of each actor.
        attempts: Tries of a batch in all; an exception and the loss of the actor that ran the
            batch both count, waiting behind a batch that lost its actor does not.
        address: ``host:port`` of a running cluster; None uses ``RAY_ADDRESS`` (set in Ray jobs),
            else starts a private cluster that ends with ``close`` or with this process.
        token_path: File with the cluster's token.
    """

    def __init__(
        self,
        actors: int = 0,
        threads: int = 1,
        attempts: int = 3,
        address: str | None = None,
        token_path: Path | None = None,
    ) -> None:
        self._actors = actors
        self._threads = threads
        self._attempts = attempts
        self._address = address or os.environ.get("RAY_ADDRESS") or None
        self._token_path = token_path
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._pool: Pool | None = None

    @property
    def parallelism(self) -> int:
        """Actors in the pool; joins the cluster when only that can tell."""
        if self._actors:
            return self._actors
        if self._address is None and self._pool is None:
            return max(1, usable_cpus() // self._threads)
        return len(self._started().workers)

    def pids(self) -> list[int]:
        """Process ids of the actors; starts them when needed."""
        return self._started().pids(START_SECONDS)

    def map(
        self, stage: Stage[In, Out], batches: Iterable[In], on_attempt: OnAttempt | None = None
    ) -> Iterator[Out]:
        """Results in the order of ``batches``, of which a bounded number is taken ahead.

        ``on_attempt`` is called here, in the driver, before every dispatch. A dead actor is
        replaced and its batches are sent again. Ctrl-C closes the executor and passes through.

        Raises:
            ExecutionError: A batch failed on every attempt (names stage, batch, attempts and
                cause), the CPUs asked for do not exist, or the executor was closed meanwhile.
            ServiceError: The cluster can not be reached or started.
        """
        from workbench.run.actors import MapRun

        try:
            run = MapRun(self._started(), stage, batches, on_attempt, self._attempts)
            yield from run.results()
        except KeyboardInterrupt:
            self.close()
            raise

    def close(self) -> None:
        """Kill the actors and leave Ray, ending it if it was started here; may be called twice.

        A later ``map`` starts again.
        """
        with self._lock:
            pool, self._pool = self._pool, None
            cluster, self._cluster = self._cluster, None
        atexit.unregister(self.close)
        try:
            if pool is not None:
                pool.close()
        finally:
            if cluster is not None:
                cluster.leave()

    def _started(self) -> Pool:
        with self._lock:
            if self._pool is None:
                self._pool = self._start()
            return self._pool

    def _start(self) -> Pool:
        import ray

        from workbench.run.actors import Pool

        if self._address is None and not ray.is_initialized():
            cpus = usable_cpus()
            check_room(self._actors, self._threads, cpus // self._threads, "this machine")
        cluster = Cluster(usable_cpus(), self._address, self._token_path)
        cluster.join()
        try:
            room = room_for(self._threads)
            check_room(self._actors, self._threads, room, "the Ray cluster")
            pool = Pool(self._actors or room, self._threads)
            try:
                pool.pids(START_SECONDS)
            except BaseException:
                pool.close()
                raise
        except BaseException:
            cluster.leave()
            raise
        self._cluster = cluster
        atexit.register(self.close)
        return pool

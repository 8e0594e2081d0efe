"""The plain executor: every batch in this process, in order, one at a time."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from workbench.errors import ExecutionError
from workbench.protocols import In, OnAttempt, Out, Stage


def usable_cpus() -> int:
    """CPUs that this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class BuiltStages:
    """Builds each stage once and keeps its function; equal stages share one.

    Args:
        threads: CPU threads that every stage is built for.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._functions: dict[Hashable, Callable[[Any], Any]] = {}

    def function(self, stage: Stage[In, Out]) -> Callable[[In], Out]:
        """The function of one batch of ``stage``, built on first use.

        A stage that can not be hashed is known by its pickled bytes instead.
        """
        key = self._key(stage)
        if key not in self._functions:
            self._functions[key] = stage.build(self._threads)
        return self._functions[key]

    def knows(self, stage: Stage[In, Out]) -> bool:
        """Whether ``stage`` is built."""
        return self._key(stage) in self._functions

    def forget(self) -> None:
        """Drop every function, so that models can be freed."""
        self._functions.clear()

    @staticmethod
    def _key(stage: Stage[In, Out]) -> Hashable:
        try:
            hash(stage)
        except TypeError:
            return type(stage), pickle.dumps(stage)
        return type(stage), stage


class InlineExecutor:
    """Runs stages in this process.

    Args:
        threads: CPU threads a stage may use; 0 = all CPUs of this process.
        attempts: Tries of a batch in all before its exception ends the run.
    """

    def __init__(self, threads: int = 0, attempts: int = 1) -> None:
        self._attempts = attempts
        self._stages = BuiltStages(threads or usable_cpus())

    @property
    def parallelism(self) -> int:
        """One batch runs at a time."""
        return 1

    def map(
        self, stage: Stage[In, Out], batches: Iterable[In], on_attempt: OnAttempt | None = None
    ) -> Iterator[Out]:
        """Results in the order of ``batches``; a batch is taken when its result is asked for.

        Raises:
            ExecutionError: A batch raised on every attempt; names stage and batch, the cause is
                chained. What ``batches`` or ``on_attempt`` raise passes through unchanged.
        """
        for index, batch in enumerate(batches):
            yield self._run(stage, index, batch, on_attempt)

    def _run(
        self, stage: Stage[In, Out], index: int, batch: In, on_attempt: OnAttempt | None
    ) -> Out:
        attempt = 1
        while True:
            if on_attempt is not None:
                on_attempt(index, batch)
            try:
                return self._stages.function(stage)(batch)
            except Exception as error:
                if attempt >= self._attempts:
                    raise failed(stage.name, index, attempt, error) from error
            attempt += 1

    def close(self) -> None:
        """Forget the built stages; a later ``map`` builds them again."""
        self._stages.forget()


def failed(stage: str, index: int, attempts: int, cause: BaseException) -> ExecutionError:
    """The error of a batch that failed for good, to be raised from ``cause``."""
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    reason = f"{type(cause).__name__}: {cause}".strip().removesuffix(".")
    return ExecutionError(
        f"stage {stage!r} failed on batch {index} (counted from 0) after {tries}: {reason}. "
        "Mend the cause and run again."
    )

"""The inline executor: order, laziness, attempts, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from workbench.errors import ExecutionError, UnknownName
from workbench.run import make_executor
from workbench.run.inline import InlineExecutor, usable_cpus

BUILT: list[int] = []


@dataclass(frozen=True)
class Double:
    name: str = "double"

    def build(self, threads: int) -> Callable[[int], int]:
        BUILT.append(threads)
        return lambda batch: batch * 2


@dataclass(frozen=True)
class Fragile:
    """Raises on batch 3 as often as it is told to."""

    failures: int
    kind: type[BaseException] = ValueError
    name: str = "fragile"

    def build(self, threads: int) -> Callable[[int], int]:  # noqa: ARG002
        left = [self.failures]

        def work(batch: int) -> int:
            if batch == 3 and left[0] > 0:
                left[0] -= 1
                raise self.kind("three is not welcome")
            return batch

        return work


@dataclass
class Unhashable:
    items: list[int] = field(default_factory=lambda: [1])
    name: str = "unhashable"

    def build(self, threads: int) -> Callable[[int], int]:
        BUILT.append(threads)
        return lambda batch: batch + len(self.items)


@pytest.fixture(autouse=True)
def _nothing_built() -> None:
    BUILT.clear()


def test_results_come_in_order() -> None:
    assert list(InlineExecutor().map(Double(), range(5))) == [0, 2, 4, 6, 8]


def test_equal_stages_are_built_once_with_the_threads_asked_for() -> None:
    executor = InlineExecutor(threads=3)
    list(executor.map(Double(), [1, 2]))
    list(executor.map(Double(), [3]))
    assert BUILT == [3]


def test_zero_threads_means_every_cpu() -> None:
    list(InlineExecutor().map(Double(), [1]))
    assert [usable_cpus()] == BUILT


def test_a_stage_that_cannot_be_hashed_is_known_by_its_contents() -> None:
    executor = InlineExecutor()
    assert list(executor.map(Unhashable(), [1])) == [2]
    assert list(executor.map(Unhashable(), [1])) == [2]
    assert list(executor.map(Unhashable([1, 2]), [1])) == [3]
    assert len(BUILT) == 2


def test_a_batch_is_taken_only_when_its_result_is_asked_for() -> None:
    taken: list[int] = []

    def batches() -> Iterator[int]:
        for i in range(10):
            taken.append(i)
            yield i

    results = InlineExecutor().map(Double(), batches())
    assert taken == []
    next(results)
    assert taken == [0]


def test_an_exception_ends_the_run_and_names_stage_and_batch() -> None:
    results = InlineExecutor().map(Fragile(failures=1), range(1, 5))
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ExecutionError, match=r"'fragile' failed on batch 2 .* 1 attempt: Value"):
        next(results)


def test_the_cause_is_chained() -> None:
    with pytest.raises(ExecutionError) as caught:
        list(InlineExecutor().map(Fragile(failures=1), [3]))
    assert isinstance(caught.value.__cause__, ValueError)


def test_every_attempt_is_announced_before_it_is_made() -> None:
    announced: list[tuple[int, int]] = []
    executor = InlineExecutor(attempts=3)
    results = executor.map(Fragile(failures=2), [1, 3], lambda i, b: announced.append((i, b)))
    assert list(results) == [1, 3]
    assert announced == [(0, 1), (1, 3), (1, 3), (1, 3)]


def test_ctrl_c_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(InlineExecutor(attempts=3).map(Fragile(1, KeyboardInterrupt), [3]))


def test_closing_forgets_the_models() -> None:
    executor = InlineExecutor()
    list(executor.map(Double(), [1]))
    executor.close()
    list(executor.map(Double(), [1]))
    assert len(BUILT) == 2


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="inline"):
        make_executor("inlin")


def test_making_a_ray_executor_starts_nothing() -> None:
    executor = make_executor("ray", actors=2)
    assert executor.parallelism == 2
    executor.close()

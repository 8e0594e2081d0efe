"""The Ray executor on a real private cluster of two one-thread actors."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from workbench.errors import ExecutionError, ServiceError
from workbench.run.actors import IN_FLIGHT
from workbench.run.jobs import Jobs
from workbench.run.on_ray import RayExecutor

pytestmark = pytest.mark.ray


@dataclass(frozen=True)
class Slowly:
    """Later batches finish sooner, so order is not given for free."""

    name: str = "slowly"

    def build(self, threads: int) -> Callable[[int], tuple[int, int]]:  # noqa: ARG002
        def work(batch: int) -> tuple[int, int]:
            time.sleep(0.03 if batch % 2 == 0 else 0.0)
            return batch * batch, os.getpid()

        return work


@dataclass(frozen=True)
class Fragile:
    """Raises on batch ``bad`` until ``marker`` has as many lines as ``failures``."""

    marker: str
    failures: int
    bad: int = 3
    name: str = "fragile"

    def build(self, threads: int) -> Callable[[int], int]:  # noqa: ARG002
        def work(batch: int) -> int:
            path = Path(self.marker)
            tries = path.read_text().count("x") if path.exists() else 0
            if batch == self.bad and tries < self.failures:
                path.write_text("x" * (tries + 1))
                raise ValueError("three is not welcome")
            return batch

        return work


@dataclass(frozen=True)
class Carrying:
    """Can be built only where its cargo was unloaded; every unloading leaves a line."""

    folder: str
    name: str = "carrying"

    def cargo(self) -> bytes:
        return b"weights"

    def unload(self, cargo: bytes) -> None:
        with (Path(self.folder) / str(os.getpid())).open("ab") as file:
            file.write(cargo + b"\n")

    def build(self, threads: int) -> Callable[[int], str]:  # noqa: ARG002
        carried = (Path(self.folder) / str(os.getpid())).read_text()
        return lambda _batch: carried


@dataclass(frozen=True)
class Deadly:
    """Ends its own process on batch ``bad``, always."""

    bad: int = 2
    name: str = "deadly"

    def build(self, threads: int) -> Callable[[int], int]:  # noqa: ARG002
        def work(batch: int) -> int:
            if batch == self.bad:
                os._exit(1)
            return batch

        return work


@dataclass(frozen=True)
class Threads:
    name: str = "threads"

    def build(self, threads: int) -> Callable[[int], tuple[int, str, int]]:
        import torch

        return lambda _: (threads, os.environ["OMP_NUM_THREADS"], torch.get_num_threads())


@dataclass(frozen=True)
class Add:
    amount: int
    name: str = "add"

    def build(self, threads: int) -> Callable[[int], int]:  # noqa: ARG002
        return lambda batch: batch + self.amount


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    from ray import cloudpickle

    # Actors can not import a test module: its stages travel by value.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    executor = RayExecutor(actors=2, threads=1)
    # Started in a thread that ends at once, as a notebook's panels do: Ray must outlive it.
    thread = threading.Thread(target=executor.pids)
    thread.start()
    thread.join()
    yield executor
    executor.close()


def ray_processes() -> list[str]:
    """Command lines of Ray servers and workers below this process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        if child.status() == psutil.STATUS_ZOMBIE:
            continue
        line = " ".join(child.cmdline())
        if any(word in line for word in ("raylet", "gcs_server", "ray::")):
            found.append(line)
    return found


def test_results_come_in_order_from_two_processes(executor: RayExecutor) -> None:
    results = list(executor.map(Slowly(), range(30)))
    assert [square for square, _ in results] == [i * i for i in range(30)]
    assert {pid for _, pid in results} == set(executor.pids())


def test_only_a_window_of_batches_is_taken_ahead(executor: RayExecutor) -> None:
    taken: list[int] = []

    def batches() -> Iterator[int]:
        for i in range(200):
            taken.append(i)
            yield i

    results = executor.map(Slowly(), batches())
    assert taken == []
    for given in range(1, 40):
        next(results)
        assert len(taken) <= given + 4 * 2
    results.close()


def test_a_raised_exception_is_tried_again(executor: RayExecutor, tmp_path: Path) -> None:
    announced: list[int] = []
    stage = Fragile(str(tmp_path / "tries"), failures=2)
    results = executor.map(stage, range(8), lambda i, _: announced.append(i))
    assert list(results) == list(range(8))
    # Cancelling the map before may still take an actor with it: its batches are sent once more.
    assert 3 <= announced.count(3) <= 4
    assert 8 + 2 <= len(announced) <= 8 + 2 + IN_FLIGHT


def test_the_last_attempt_names_stage_batch_attempts_and_cause(
    executor: RayExecutor, tmp_path: Path
) -> None:
    stage = Fragile(str(tmp_path / "tries"), failures=99)
    with pytest.raises(ExecutionError, match=r"'fragile' .* batch 3 .* 3 attempts: Val") as caught:
        list(executor.map(stage, range(8)))
    assert isinstance(caught.value.__cause__, ValueError)
    assert list(executor.map(Add(1), range(4))) == [1, 2, 3, 4]


def test_a_batch_that_kills_every_actor_is_the_one_blamed(executor: RayExecutor) -> None:
    with pytest.raises(ExecutionError, match=r"'deadly' .* batch 2 .* 3 attempts"):
        list(executor.map(Deadly(), range(12)))


def test_one_map_feeds_another(executor: RayExecutor) -> None:
    inner = executor.map(Add(1), range(40))
    assert list(executor.map(Add(100), inner)) == [i + 101 for i in range(40)]


def test_a_suspended_map_does_not_block_another(executor: RayExecutor) -> None:
    first = executor.map(Add(1), range(40))
    assert [next(first) for _ in range(3)] == [1, 2, 3]
    assert list(executor.map(Add(2), range(40))) == list(range(2, 42))
    assert list(first) == list(range(4, 41))


def test_actors_compute_with_the_threads_they_were_given(executor: RayExecutor) -> None:
    assert set(executor.map(Threads(), range(4))) == {(1, "1", 1)}


def test_the_token_is_private_and_in_no_variable(executor: RayExecutor) -> None:
    executor.pids()
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() not in os.environ.values()


def test_closing_leaves_no_process_no_file_and_no_variable(executor: RayExecutor) -> None:
    executor.pids()
    folder = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).parent
    assert ray_processes() != []
    executor.close()
    assert ray_processes() == []
    assert not folder.exists()
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


def test_more_cpus_than_exist_are_refused_before_anything_starts() -> None:
    with pytest.raises(ExecutionError, match=r"4096 CPU\(s\) each .* lower executor"):
        list(RayExecutor(actors=1, threads=4096).map(Add(1), [1]))
    assert ray_processes() == []


def test_a_cluster_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9 .*`workbench up`"):
        list(RayExecutor(address="127.0.0.1:9").map(Add(1), [1]))


def test_a_job_server_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="workbench up"):
        Jobs("http://127.0.0.1:9").list_jobs()
    with pytest.raises(ServiceError, match="token file"):
        Jobs("http://127.0.0.1:9", tmp_path / "none").list_jobs()


def test_what_a_stage_carries_reaches_every_actor_once(
    executor: RayExecutor, tmp_path: Path
) -> None:
    stage = Carrying(str(tmp_path))
    assert set(executor.map(stage, range(12))) == {"weights\n"}
    assert set(executor.map(stage, range(12))) == {"weights\n"}
    assert {file.read_text() for file in tmp_path.iterdir()} == {"weights\n"}

"""Actors and drivers killed at random instants: results stay right, no Ray is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from workbench.run.on_ray import RayExecutor

pytestmark = [pytest.mark.ray, pytest.mark.chaos]

NIGHTLY = os.environ.get("WORKBENCH_NIGHTLY") == "1"
KILLS = 60 if NIGHTLY else 6
BATCHES = 40
DRIVER = """
import sys, time
from dataclasses import dataclass
from ray import cloudpickle
from workbench.run.on_ray import RayExecutor

@dataclass(frozen=True)
class Sleep:
    name: str = "sleep"
    def build(self, threads):
        return lambda batch: time.sleep(0.2)

executor = RayExecutor(actors=2, threads=1)
for i, _ in enumerate(executor.map(Sleep(), range(10_000))):
    if i == 3:
        print("running", flush=True)
"""


@dataclass(frozen=True)
class Square:
    name: str = "square"

    def build(self, threads: int) -> Callable[[int], tuple[int, int]]:  # noqa: ARG002
        def work(batch: int) -> tuple[int, int]:
            time.sleep(0.02)
            return batch * batch, os.getpid()

        return work


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    from ray import cloudpickle

    # Actors can not import a test module: its stages travel by value.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    executor = RayExecutor(actors=2, threads=1)
    yield executor
    executor.close()


def test_an_actor_killed_between_results_costs_at_most_the_batches_in_flight(
    executor: RayExecutor,
) -> None:
    announced: list[int] = []
    results = executor.map(Square(), range(BATCHES), lambda i, _: announced.append(i))
    squares: list[int] = []
    for square, pid in results:
        squares.append(square)
        if len(squares) == 5:
            os.kill(pid, signal.SIGKILL)
    assert squares == [i * i for i in range(BATCHES)]
    again = Counter(announced)
    assert set(again) == set(range(BATCHES))
    assert 1 <= len(announced) - BATCHES <= 2
    assert max(again.values()) == 2


@pytest.mark.parametrize("seed", range(KILLS))
def test_an_actor_killed_at_any_instant_loses_and_repeats_nothing(
    executor: RayExecutor, seed: int
) -> None:
    draw = random.Random(seed)
    delay = draw.uniform(0.0, 0.45)
    victim = draw.choice(executor.pids())
    print(f"seed {seed}: SIGKILL of {victim} after {delay:.3f} s")
    killer = threading.Timer(delay, os.kill, (victim, signal.SIGKILL))
    announced: list[int] = []
    killer.start()
    inner = executor.map(Square(), range(BATCHES), lambda i, _: announced.append(i))
    squares = [square for square, _ in inner]
    killer.join()
    assert squares == [i * i for i in range(BATCHES)]
    assert set(announced) == set(range(BATCHES))
    assert len(announced) <= BATCHES + 2
    deadline = time.monotonic() + 30
    while psutil.pid_exists(victim) and time.monotonic() < deadline:
        time.sleep(0.05)
    # An actor that died after its last batch is found dead by the next map.
    assert [square for square, _ in executor.map(Square(), range(4))] == [0, 1, 4, 9]
    assert victim not in executor.pids()


def started_below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)],
)
def test_a_driver_that_is_stopped_leaves_no_ray(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "running\n"
        below = started_below(driver.pid)
        names = {process.pid: process.name() for process in below}
        assert "raylet" in names.values()
        if number == signal.SIGINT:
            os.killpg(driver.pid, number)  # a terminal sends Ctrl-C to the whole group
        else:
            driver.send_signal(number)
        _, errors = driver.communicate(timeout=60)
    assert driver.returncode != 0
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    # After a SIGKILL Ray's two agents look for their server for a while before they give up.
    agents = [p for p in below if number == signal.SIGKILL and names[p.pid].endswith("Agent")]
    _, alive = psutil.wait_procs([p for p in below if p not in agents], timeout=30)
    if not NIGHTLY:
        for agent in agents:
            with contextlib.suppress(psutil.NoSuchProcess):
                agent.kill()
    alive += psutil.wait_procs(agents, timeout=150)[1]
    assert [names[process.pid] for process in alive] == []

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from workbench.errors import ExecutionError
from workbench.models.microbatch import MicroBatcher


class Recorder:
    """Encodes a text to its length and number; remembers its calls; can be held and can fail."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()

    def __call__(self, texts: list[str]) -> Any:
        self.calls.append(texts)
        self.entered.set()
        assert self.free.wait(30)
        if "poison" in texts:
            raise ValueError("poisoned")
        return np.array([[len(text), hash(text) % 1000] for text in texts], dtype=np.float32)


def expected(texts: list[str]) -> Any:
    return Recorder()(texts)


def test_requests_that_come_together_are_encoded_together() -> None:
    recorder = Recorder()
    recorder.free.clear()
    with MicroBatcher(recorder, max_texts=100, max_wait=0.0) as front:
        first = front.submit(["held"])
        assert recorder.entered.wait(30)
        others = [front.submit([f"text {i}", "shared"]) for i in range(20)]
        recorder.free.set()
        for i, future in enumerate(others):
            assert np.array_equal(future.result(30), expected([f"text {i}", "shared"]))
        assert np.array_equal(first.result(30), expected(["held"]))
    assert len(recorder.calls) == 2
    assert sorted(recorder.calls[1]) == sorted({"shared", *(f"text {i}" for i in range(20))})


def test_a_lone_request_is_answered_after_its_wait() -> None:
    with MicroBatcher(Recorder(), max_wait=0.01) as front:
        assert front.submit(["alone"]).result(30).shape == (1, 2)
        assert front.submit([]).result(30).shape[0] == 0


def test_no_batch_is_larger_than_asked_and_a_large_request_comes_back_whole() -> None:
    recorder = Recorder()
    texts = [f"t{i}" for i in range(95)]
    with MicroBatcher(recorder, max_texts=10, max_wait=0.0) as front:
        futures = [front.submit(texts[i : i + 4]) for i in range(0, 40, 4)]
        large = front.submit(texts)
        assert np.array_equal(large.result(30), expected(texts))
        for i, future in enumerate(futures):
            assert np.array_equal(future.result(30), expected(texts[4 * i : 4 * i + 4]))
    assert max(map(len, recorder.calls)) <= 10


def test_a_poisoned_request_fails_alone() -> None:
    recorder = Recorder()
    recorder.free.clear()
    with MicroBatcher(recorder, max_wait=0.0) as front:
        front.submit(["held"])
        assert recorder.entered.wait(30)
        good, bad, fine = (front.submit([t]) for t in ("good", "poison", "fine"))
        recorder.free.set()
        assert np.array_equal(good.result(30), expected(["good"]))
        assert np.array_equal(fine.result(30), expected(["fine"]))
        with pytest.raises(ValueError, match="poisoned"):
            bad.result(30)


def test_a_full_queue_makes_callers_wait_and_tells_those_who_can_not() -> None:
    recorder = Recorder()
    recorder.free.clear()
    with MicroBatcher(recorder, max_pending=3, max_wait=0.0) as front:
        front.submit(["held"])
        assert recorder.entered.wait(30)
        front.submit(["a", "b"])
        with pytest.raises(ExecutionError, match="3 texts are waiting already"):
            front.submit(["c"], timeout=0.05)
        with ThreadPoolExecutor(1) as pool:
            waiting: Future[Any] = pool.submit(front.submit, ["d"])
            assert not waiting.done()
            recorder.free.set()
            assert waiting.result(30).result(30).shape == (1, 2)


def test_nothing_accepted_is_lost_when_it_closes_and_nothing_is_accepted_after() -> None:
    recorder = Recorder()
    front = MicroBatcher(recorder, max_texts=7, max_wait=60.0)
    accepted: list[tuple[str, Future[Any]]] = []
    lock = threading.Lock()

    def submit(name: str) -> None:
        for i in range(200):
            try:
                future = front.submit([f"{name}{i}"])
            except ExecutionError:
                return
            with lock:
                accepted.append((f"{name}{i}", future))

    threads = [threading.Thread(target=submit, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    front.close()
    for thread in threads:
        thread.join()
    for text, future in accepted:
        assert np.array_equal(future.result(0), expected([text]))
    front.close()
    with pytest.raises(ExecutionError, match="closed"):
        front.submit(["late"])


def test_a_cancelled_request_is_not_encoded() -> None:
    recorder = Recorder()
    recorder.free.clear()
    with MicroBatcher(recorder, max_wait=0.0) as front:
        front.submit(["held"])
        assert recorder.entered.wait(30)
        unwanted = front.submit(["unwanted"])
        assert unwanted.cancel()
        recorder.free.set()
    assert ["unwanted"] not in recorder.calls


def test_sizes_that_can_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="found max_texts 0"):
        MicroBatcher(Recorder(), max_texts=0)

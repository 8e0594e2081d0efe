import itertools
import threading

import pytest

from workbench.widgets.job import Cancelled, Job


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def ended():
    return []


@pytest.fixture
def shown():
    return []


def run(job, work):
    assert job.start(work)
    assert job.wait(30)


def test_progress_is_shown_at_most_twice_a_second(ended, shown):
    clock = Clock()
    job = Job(shown.append, ended.append, clock)

    def work(tell):
        for done in range(1, 101):
            clock.now += 0.1
            tell("encode", done, 100)

    run(job, work)
    assert len(shown) <= 21
    assert len(shown) >= 10
    gaps = [b.seconds - a.seconds for a, b in itertools.pairwise(shown)]
    assert min(gaps) >= 0.5 - 1e-6
    assert str(shown[-1]).startswith("encode: ")


def test_progress_reads_as_stage_done_total_and_time(ended, shown):
    clock = Clock()
    job = Job(shown.append, ended.append, clock)

    def work(tell):
        clock.now += 61
        tell("index", 1200, 3600)
        clock.now += 1
        tell("read", 1300, 0)

    run(job, work)
    assert [str(one) for one in shown] == ["index: 1,200 of 3,600, 61 s", "read: 1,300, 62 s"]


def test_a_second_start_does_nothing_while_the_first_is_under_way(ended, shown):
    job = Job(shown.append, ended.append)
    gate, calls = threading.Event(), []

    def work(_tell):
        calls.append(1)
        gate.wait(30)

    assert job.start(work)
    assert job.running
    assert not job.start(work)
    gate.set()
    assert job.wait(30)
    assert (calls, ended, job.running) == ([1], [None], False)


def test_cancel_ends_the_work_where_it_tells_and_the_next_one_runs(ended, shown):
    job = Job(shown.append, ended.append)
    reached = []

    def work(tell):
        job.cancel()
        try:
            tell("encode", 1, 2)
        except Exception:  # noqa: BLE001 (nothing on the way may take it for a failure)
            reached.append("swallowed")
        reached.append("after")

    run(job, work)
    assert reached == []
    assert isinstance(ended[0], Cancelled)
    run(job, lambda tell: tell("encode", 1, 2))
    assert ended[1] is None


def test_whatever_the_work_raises_reaches_the_end(ended, shown):
    job = Job(shown.append, ended.append)

    def work(_tell):
        raise SystemExit(3)

    run(job, work)
    assert isinstance(ended[0], SystemExit)
    assert not job.running


def test_waiting_for_nothing_returns_at_once(ended, shown):
    assert Job(shown.append, ended.append).wait()

from contextlib import suppress
from dataclasses import dataclass

import pytest

from workbench.run import make_executor
from workbench.run.telling import TellingExecutor


@dataclass(frozen=True)
class Doubled:
    name: str = "double"

    def build(self, threads):  # noqa: ARG002 (the protocol names it)
        return lambda batch: [2 * one for one in batch]


class Enough(BaseException):
    pass


def test_it_gives_the_same_results_and_tells_after_each_of_them():
    told = []
    executor = TellingExecutor(make_executor("inline"), lambda *what: told.append(what))
    assert list(executor.map(Doubled(), [[1], [2, 3]])) == [[2], [4, 6]]
    assert told == [("double", 1, 0), ("double", 2, 0)]


def test_what_the_listener_raises_ends_the_map_after_the_batch_was_taken():
    taken, sent = [], []

    def listen(_stage, done, _total):
        if done == 2:
            raise Enough

    def batches():
        for number in range(5):
            sent.append(number)
            yield [number]

    executor = TellingExecutor(make_executor("inline"), listen)
    with suppress(Enough):
        taken.extend(executor.map(Doubled(), batches()))
        pytest.fail("the listener's exception was lost")
    assert (taken, sent) == ([[0], [2]], [0, 1])
    assert list(executor.map(Doubled(), [[1]])) == [[2]]

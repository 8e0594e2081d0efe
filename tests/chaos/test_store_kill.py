"""SIGKILL of the owner of an embedded store: it opens with everything acknowledged, or says so."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import StoreDamaged
from workbench.stores import discard, open_store, was_unclean

KILLS = 60 if os.environ.get("WORKBENCH_NIGHTLY") == "1" else 6
SEED = int(os.environ.get("WORKBENCH_CHAOS_SEED", "20260101"))
INDEX = "handbook"
SPACE = (64, "f" * 16)
BATCH = 100
START_SECONDS = 90

WRITER = """
import sys
from pathlib import Path
import numpy as np
from workbench.stores import open_store

path, batch = Path(sys.argv[1]), int(sys.argv[2])
with open_store("chroma", path=path) as store:
    store.create("handbook", 64, "f" * 16)
    print("ready", flush=True)
    while True:
        ids = [f"c{batch}-{i}" for i in range(100)]
        vectors = np.random.default_rng(batch).normal(size=(100, 64)).astype(np.float32)
        store.upsert("handbook", ids, vectors, [{"batch": batch}] * 100)
        print(batch, flush=True)
        batch += 1
"""


def killed_after(path: Path, first: int, seconds: float) -> list[int]:
    """Run the writer, kill it; return the batches it acknowledged."""
    log = path.with_name("acknowledged")
    with log.open("wb") as out:
        child = subprocess.Popen([sys.executable, "-c", WRITER, path, str(first)], stdout=out)
        try:
            wait_until_ready(child, log)
            time.sleep(seconds)
        finally:
            child.kill()
            assert child.wait(timeout=30) == -signal.SIGKILL
    # The last line may be cut: what was not fully said was not acknowledged.
    return [int(line) for line in log.read_text().split("\n")[1:-1]]


def wait_until_ready(child: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(START_SECONDS * 50):
        if log.read_text().startswith("ready\n"):
            return
        if child.poll() is not None:
            pytest.fail(f"the writer ended with {child.returncode}")
        time.sleep(0.02)
    pytest.fail(f"the writer was not ready after {START_SECONDS} s")


def lost(path: Path, batches: set[int]) -> list[str]:
    """Ids of acknowledged batches that the store does not list, or not find by their vectors."""
    with open_store("chroma", path=path) as store:
        store.create(INDEX, *SPACE)
        listed = set(store.ids(INDEX))
        missing: list[str] = []
        for batch in batches:
            vectors = np.random.default_rng(batch).normal(size=(BATCH, SPACE[0])).astype(np.float32)
            for i, ranking in enumerate(store.query(INDEX, vectors, 10)):
                name = f"c{batch}-{i}"
                if name not in listed or name not in dict(ranking):
                    missing.append(name)
    return missing


@pytest.mark.chroma
@pytest.mark.chaos
def test_a_killed_writer_leaves_everything_it_acknowledged_or_a_store_that_says_it_is_damaged(
    tmp_path: Path,
) -> None:
    print(f"seed {SEED}, {KILLS} kills")
    instants = random.Random(SEED)
    path = tmp_path / "chroma"
    acknowledged: set[int] = set()
    first = 0
    for kill in range(KILLS):
        seconds = instants.uniform(0.05, 1.5)
        said = killed_after(path, first, seconds)
        acknowledged.update(said)
        first = max([first, *said]) + 2
        assert was_unclean(path)
        try:
            missing = lost(path, acknowledged)
        except StoreDamaged as error:
            print(f"kill {kill} at {seconds:.2f} s: {error}")
            discard(path)
            acknowledged.clear()
            missing = lost(path, acknowledged)
        print(f"kill {kill} at {seconds:.2f} s: {len(said)} batches, {len(missing)} ids lost")
        assert missing == []
        assert not was_unclean(path)

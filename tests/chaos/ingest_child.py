"""A driver that ends itself: ``ingest_child.py HOME SOURCE WHERE N``.

WHERE names a method (``vault.put``, ``indexes.intend``, ``store.upsert``, ``indexes.flip``,
``store.delete``, ``indexes.settle``) with ``before:`` or ``after:``; the N-th call ends in SIGKILL.
``never`` lets it run to its end.
"""

from __future__ import annotations

import os
import signal
import sys

from workbench import Workbench
from workbench.config import Config
from workbench.state.cache import CachedVault
from workbench.state.indexes import Indexes
from workbench.stores.chroma import ChromaStore

OWNERS = {"vault": CachedVault, "indexes": Indexes, "store": ChromaStore}


def arm(where: str, calls: int) -> None:
    moment, _, target = where.partition(":")
    owner, method = target.split(".")
    original = getattr(OWNERS[owner], method)
    left = [calls]

    def deadly(self, *args, **kwargs):
        left[0] -= 1
        if moment == "before" and left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *args, **kwargs)
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(OWNERS[owner], method, deadly)


def main() -> None:
    home, source, where, calls = sys.argv[1:5]
    if where != "never":
        arm(where, int(calls))
    config = Config.load(home=home, env={"WORKBENCH_INDEX__WINDOW_CHUNKS": "64"})
    with Workbench.open(config) as bench:
        print("open", flush=True)
        bench.corpus("med").ingest(source, model="wordllama", chunking="128")
    print("done", flush=True)


if __name__ == "__main__":
    main()

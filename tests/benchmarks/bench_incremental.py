"""An unchanged corpus of 3,000 documents: the second ingest against the first; cold search."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import row, write

from workbench import Workbench
from workbench.config import Config

SEARCHES = 5


def main() -> None:
    """Ingest ``python-docs`` twice with the standard model on Ray, then search from cold."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        config = Config.load(home=home, env={"WORKBENCH_EXECUTOR__KIND": "ray"})
        with Workbench.open(config) as bench:
            corpus = bench.corpus("docs")
            first = corpus.ingest("python-docs", model="wordllama")
            second = corpus.ingest("python-docs")
        spent = second.seconds - second.read_seconds
        base = first.seconds - first.read_seconds
        rows = [
            row("first ingest, without reading the source", base, "s"),
            row("second ingest, without reading the source", spent, "s", base),
            row("second ingest: encoder calls", second.encoder_calls, "calls"),
            row("second ingest: writes", second.writes, "writes"),
        ]
        times = []
        for _ in range(SEARCHES):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "workbench.cli.main", "search", "parse json",
                 "--corpus", "docs", "--home", home, "--json"],
                check=True, capture_output=True,
            )  # fmt: skip
            times.append(time.perf_counter() - started)
        rows.append(row("search from a cold start (median of 5)", statistics.median(times), "s"))
    write("incremental", rows)


if __name__ == "__main__":
    main()

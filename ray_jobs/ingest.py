"""Bring a corpus up to date as a Ray job.

    ray job submit --address http://127.0.0.1:8603 --working-dir . -- \
        python ray_jobs/ingest.py SOURCE --corpus NAME --model MODEL --home HOME

Killed or stopped? Submit it again: it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

from workbench import Workbench
from workbench.config import Config
from workbench.records import DEFAULT_TENANT


def main() -> None:
    """Parse, open a session that joins the cluster of the job, call one function."""
    parser = argparse.ArgumentParser(description="Ingest a source on Ray actors.")
    parser.add_argument("source")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model")
    parser.add_argument("--chunking")
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--config")
    given = parser.parse_args()
    if not given.home.is_absolute():
        parser.error("--home must be absolute: a job runs in a copy of its working directory")
    config = Config.load(given.config, home=given.home)
    joined = {"kind": "ray", "address": os.environ.get("RAY_ADDRESS")}
    executor = config.executor.model_copy(update=joined)
    config = config.model_copy(update={"executor": executor})
    with Workbench.open(config, notify=partial(print, file=sys.stderr)) as bench:
        corpus = bench.documents(given.corpus, tenant=given.tenant)
        result = corpus.ingest(given.source, model=given.model, chunking=given.chunking)
    print(json.dumps(result.to_dict(), ensure_ascii=False))


if __name__ == "__main__":
    main()

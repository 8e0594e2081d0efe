"""Two one-thread actors, and the whole way into Chroma, against the bare encoder.

Same-run ratio of medians: the ways alternate, so that a noisy machine slows both.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from report import ROOT, row, write

from workbench import Workbench
from workbench.models import resolve
from workbench.models.stages import EncodeStage
from workbench.protocols import Executor
from workbench.run.inline import InlineExecutor
from workbench.run.on_ray import RayExecutor

PASSAGES = 400
REPEATS = 3
BATCH = 32
MODEL = "minilm-l6"


def passages() -> list[str]:
    """The first passages of scifact, title and text."""
    data = Path(os.environ.get("WORKBENCH_DATA", ROOT.parent / "shared" / "data"))
    texts = []
    with (data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as lines:
        for _, line in zip(range(PASSAGES), lines, strict=False):
            facts = json.loads(line)
            texts.append(f"{facts['title']} {facts['text']}")
    return texts


def encode(executor: Executor, stage: EncodeStage, texts: list[str]) -> np.ndarray:
    batches = (tuple(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH))
    return np.concatenate([encoded.vectors for encoded in executor.map(stage, batches)])


def plain(texts: list[str]) -> Callable[[], None]:
    """``SentenceTransformer.encode`` as its documentation shows it, on two threads."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(resolve(MODEL).location, device="cpu")

    def run() -> None:
        torch.set_num_threads(2)
        model.encode(texts, batch_size=BATCH, show_progress_bar=False)

    return run


def end_to_end(texts: list[str], executor: Executor, folder: Path) -> Callable[[], None]:
    """A source file into an empty home: read, chunk, encode, vault, Chroma, registry."""
    source = folder / "corpus.jsonl"
    rows = ({"_id": str(i), "text": text} for i, text in enumerate(texts))
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    homes = (folder / f"home-{i}" for i in range(1000))

    def run() -> None:
        with Workbench.open(home=next(homes)) as bench:
            vars(bench)["executor"] = executor  # shared and warm: starting Ray is not measured
            bench.corpus("c").ingest(str(source), model=MODEL, chunking="whole")
            del vars(bench)["executor"]

    return run


def main() -> None:
    texts = passages()
    stage = EncodeStage(resolve(MODEL), "document")
    inline, ray = InlineExecutor(threads=2), RayExecutor(actors=2, threads=1)
    with tempfile.TemporaryDirectory() as folder, closing(inline), closing(ray):
        ways: dict[str, Callable[[], object]] = {
            "bare SentenceTransformer, 2 threads": plain(texts),
            "our encoder, 2 threads": lambda: encode(inline, stage, texts),
            "Ray, 2 actors of 1 thread": lambda: encode(ray, stage, texts),
            "source to Chroma committed, on Ray": end_to_end(texts, ray, Path(folder)),
        }
        for executor in (inline, ray):
            encode(executor, stage, texts[: 4 * BATCH])  # load the model everywhere
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(REPEATS):
            for way, run in ways.items():
                started = time.perf_counter()
                run()
                rates[way].append(len(texts) / (time.perf_counter() - started))
                print(f"{way}: {rates[way][-1]:.1f} passages/s", flush=True)
        difference = np.abs(encode(inline, stage, texts) - encode(ray, stage, texts)).max()
    medians = {way: statistics.median(found) for way, found in rates.items()}
    baseline = next(iter(medians.values()))
    rows = [row(way, rate, "passages/s", baseline) for way, rate in medians.items()]
    write("ray", [*rows, row("largest difference, inline and Ray", float(difference), "")])


if __name__ == "__main__":
    main()

"""The same job in LangChain and LlamaIndex: chunk, embed, cache; again; again after small edits."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import ROOT, calibrated, row, write

from workbench import Workbench
from workbench.config import Config
from workbench.data.load import data_dirs
from workbench.models import resolve

DOCUMENTS = 300
EDITED_SHARE = 0.01
RUNS = 3
PACKAGES = ["langchain-classic==1.0.8", "langchain-text-splitters", "llama-index-core==0.14.25"]
OURS = ("minilm-l6", "minilm-l6@int8")

Facts = list[dict[str, float]]


def main() -> None:
    """Alternate between the three, medians of the runs; every run starts with an empty cache."""
    python = environment()
    calibrated("minilm-l6")
    texts = documents()
    edited = list(texts)
    step = round(1 / EDITED_SHARE)
    for i in range(0, len(edited), step):
        edited[i] = f"An editor added this sentence. {edited[i]}"
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("first.json", "edited.json")]
        for path, content in zip(paths, (texts, edited), strict=True):
            path.write_text(json.dumps(content), encoding="utf-8")
        contenders: dict[str, Callable[[], Facts]] = {
            "LangChain CacheBackedEmbeddings": lambda: framework(python, "langchain", *paths),
            "LlamaIndex IngestionPipeline": lambda: framework(python, "llamaindex", *paths),
        }
        for model in OURS:
            contenders[f"workbench {model}"] = lambda model=model: ours(model, texts, edited)  # type: ignore[misc]
        runs: defaultdict[str, list[Facts]] = defaultdict(list)
        for _ in range(RUNS):
            for name, run in contenders.items():
                runs[name].append(run())
    write("frameworks", rows(runs))


def rows(runs: dict[str, list[Facts]]) -> list[dict[str, object]]:
    """Documents a second when cold against the faster framework; texts embedded after the edits."""
    cold = {
        name: DOCUMENTS / statistics.median(facts[0]["seconds"] for facts in found)
        for name, found in runs.items()
    }
    best = max(rate for name, rate in cold.items() if not name.startswith("workbench"))
    found = [row(f"cold: {name}", rate, "documents/s", best) for name, rate in cold.items()]
    for name, facts in runs.items():
        found.append(row(f"unchanged, texts embedded: {name}", facts[0][1]["texts"], "texts"))
        found.append(row(f"1 % edited, texts embedded: {name}", facts[0][2]["texts"], "texts"))
    return found


def environment() -> Path:
    """Python of an environment with the frameworks over the packages of this one."""
    folder = ROOT / ".bench" / "env"
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(PACKAGES)} into {folder}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        here = Path(json.__file__).parents[1]
        ours = next(Path(p) for p in sys.path if p.endswith("site-packages") and here != p)
        (site / "ours.pth").write_text(f"{ours}\n", encoding="utf-8")
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES],
            check=True,
        )
    return python


def documents() -> list[str]:
    """Abstracts of scifact: real texts of about 200 words."""
    path = next(root / "scifact" for root in data_dirs() if (root / "scifact").is_dir())
    lines = (path / "corpus.jsonl").read_text(encoding="utf-8").split("\n")[:DOCUMENTS]
    return [json.loads(line)["text"] for line in lines]


def framework(python: Path, which: str, first: Path, edited: Path) -> Facts:
    """Facts of the three runs of a framework, in a process of its own."""
    folder = resolve("minilm-l6").location
    done = subprocess.run(
        [python, Path(__file__).with_name("frameworks_child.py"), which, folder, first, edited],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: Facts = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(model: str, texts: list[str], edited: list[str]) -> Facts:
    """Facts of three ingests into the memory store, encoder loaded, vault empty."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"home": Path(folder, "home"), "store": {"kind": "memory"}, "tracking": False,
                    "executor": {"kind": "inline", "threads": 2}}  # fmt: skip
        with Workbench.open(Config.model_validate(settings)) as bench:
            source = Path(folder, "docs.jsonl")
            facts = []
            warm = Path(folder, "warm.jsonl")
            warm.write_text('{"_id": "w", "text": "warm up"}\n', encoding="utf-8")
            bench.corpus("warm").ingest(str(warm), model=model)
            for content in (texts, texts, edited):
                rows = ({"_id": str(i), "text": text} for i, text in enumerate(content))
                source.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
                started = time.perf_counter()
                result: Any = bench.corpus("c").ingest(str(source), model=model)
                seconds = time.perf_counter() - started
                encoded = result.chunks - result.cache_hits
                facts.append({"seconds": seconds, "chunks": result.chunks, "texts": encoded})
    return facts


if __name__ == "__main__":
    main()

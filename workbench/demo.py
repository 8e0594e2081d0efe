"""The main job on real input, told as one table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.results import Result, text_table

if TYPE_CHECKING:
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.systems import EvaluateResult
    from workbench.session import Workbench

DOCS = "python-docs"
HANDBOOK = "handbook"
CHEAP = "wordllama"
STANDARD = "minilm-l6"
KEYWORDS = "bm25"
RERANKER = "ms-marco-l12"


@dataclass(frozen=True, slots=True)
class Measured(Result):
    """One evaluation set with its comparison: quality, verdicts and what it took."""

    what: str
    evaluation: EvaluateResult
    comparison: CompareResult

    def to_dict(self) -> dict[str, Any]:
        """Evaluation and comparison in their public shapes."""
        return {
            "evaluation": self.evaluation.to_dict(),
            "comparison": self.comparison.to_dict(),
        }

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per system: measures with intervals, verdict, speed, work, cost."""
        verdicts = {
            row["candidate"]: row["verdict"]
            for row in self.comparison.to_dict()["rows"]
            if row["measure"] == "nDCG@10"
        }
        rows = []
        for row in self.evaluation.to_dict()["rows"]:
            name = " + ".join(part for part in (row["model"], row["reranker"]) if part)
            measures = {
                measure: f"{v['value']:.3f} [{v['low']:.3f}, {v['high']:.3f}]"
                for measure, v in row["measures"].items()
                if measure in {"nDCG@10", "Recall@10", "MRR@10"}
            }
            rows.append(
                {
                    "system": name, **measures,
                    "verdict": verdicts.get(name, "baseline"),
                }
            )  # fmt: skip
        return rows

    def work(self) -> Sequence[dict[str, Any]]:
        """One row per embedding model: what indexing took. A rate is empty if nothing was done."""
        return [
            {
                "model": row["model"],
                "plan, documents/s": _rate(row["read_docs_per_s"]),
                "index, documents/s": _rate(row["docs_per_s"]),
                "index, chunks/s": _rate(row["chunks_per_s"]),
                "of it commit, chunks/s": _rate(row["commit_chunks_per_s"]),
                "chunks": row["chunks"],
                "tokens": row["tokens"],
                "encoder calls": row["encoder_calls"],
                "cache hits": row["cache_hits"],
                "cost, $": f"{row['cost_usd']:.2f}",
            }
            for row in self.evaluation.to_dict()["rows"]
            if row["reranker"] is None and row["fingerprint"]
        ]

    def __str__(self) -> str:
        return f"{self.what}\n\n{text_table(self.rows())}\n\n{text_table(self.work())}"


@dataclass(frozen=True, slots=True)
class DemoResult(Result):
    """What the demo measured, set by set."""

    measured: tuple[Measured, ...]
    seconds: float
    home: str

    def to_dict(self) -> dict[str, Any]:
        """By set: evaluation and comparison in their public shapes."""
        return {
            "sets": {part.evaluation.eval_set: part.to_dict() for part in self.measured},
            "seconds": self.seconds,
        }

    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows of all sets."""
        return [
            {"set": part.evaluation.eval_set, **row}
            for part in self.measured
            for row in part.rows()
        ]

    def __str__(self) -> str:
        calls = sum(int(row["encoder calls"]) for part in self.measured for row in part.work())
        tracked = f"--home {self.home} " if self.home != str(Path(".workbench").absolute()) else ""
        return "\n".join(
            [
                "",
                *(f"{part}\n" for part in self.measured),
                "Means with 95 % intervals; verdict on nDCG@10 against the baseline: paired, Holm.",
                f"{calls} encoder calls for documents, {self.seconds:.0f} s of work in all",
                "",
                "Next (the command is .venv/bin/workbench):",
                f"  workbench {tracked}init FOLDER       # the same for your own documents",
                f'  workbench {tracked}search "read a file line by line" --corpus {DOCS}',
                f'  workbench {tracked}search "players who ignore the beat" --corpus {HANDBOOK}',
                f"  workbench {tracked}chunk {HANDBOOK} --id hb-251 --html chunks.html",
                f"  workbench {tracked}ui                # the runs in MLflow",
                f"  workbench {tracked}lab               # JupyterLab: notebooks/01_evaluate.ipynb",
            ]
        )


def _rate(value: float) -> int | None:
    return round(value) or None


def run_demo(bench: Workbench) -> DemoResult:
    """Compare models on ``python-docs``, with and without reranking, and on ``handbook``."""
    started = time.perf_counter()
    bench.notify(
        f"indexing {DOCS} on Ray actors, then comparing {CHEAP} and {STANDARD} with and without "
        f"{RERANKER} (3 to 6 minutes on 2 cores with the handbook that follows; a second run "
        "embeds nothing)"
    )
    docs = bench.compare(
        DOCS, baseline=CHEAP, candidates=[STANDARD], rerankers=(None, RERANKER), store="chroma"
    )
    bench.notify(f"the same for {HANDBOOK}, and {KEYWORDS}, which matches words")
    handbook = bench.compare(
        HANDBOOK, baseline=CHEAP, candidates=[STANDARD, KEYWORDS], store="chroma"
    )
    measured = (
        Measured(f"{DOCS}: {docs[0].queries} known-item queries", *docs),
        Measured(
            f"{HANDBOOK}: {handbook[0].queries} judged queries over pages in which words mean "
            "several things", *handbook,
        ),
    )  # fmt: skip
    return DemoResult(measured, time.perf_counter() - started, str(bench.config.home))

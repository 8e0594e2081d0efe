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
    from workbench.evaluate.evaluate import EvaluateResult
    from workbench.session import Workbench

EVAL_SET = "python-docs"
CHEAP = "wordllama"
STANDARD = "minilm-l6"
RERANKER = "ms-marco-l12"


@dataclass(frozen=True, slots=True)
class DemoResult(Result):
    """What the demo measured: quality, verdicts and what it took."""

    evaluation: EvaluateResult
    comparison: CompareResult
    seconds: float
    home: str

    def to_dict(self) -> dict[str, Any]:
        """Evaluation and comparison in their public shapes."""
        return {
            "evaluation": self.evaluation.to_dict(),
            "comparison": self.comparison.to_dict(),
            "seconds": self.seconds,
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
        """One row per model: what indexing took. A rate is empty when there was nothing to do."""
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
            if row["reranker"] is None
        ]

    def __str__(self) -> str:
        calls = sum(int(row["encoder calls"]) for row in self.work())
        tracked = f"--home {self.home} " if self.home != str(Path(".workbench").absolute()) else ""
        return "\n".join(
            [
                "",
                (
                    f"{EVAL_SET}: {self.evaluation.queries} known-item queries, mean with 95 % "
                    f"interval; verdict on nDCG@10 against {CHEAP} alone (paired, Holm)"
                ),
                "",
                text_table(self.rows()),
                "",
                text_table(self.work()),
                "",
                f"{calls} encoder calls for documents, {self.seconds:.0f} s of work in all",
                "",
                "Next (the command is .venv/bin/workbench):",
                f'  workbench {tracked}search "read a file line by line" --corpus {EVAL_SET}',
                f'  workbench {tracked}search "parse json" --corpus {EVAL_SET} --rerank {RERANKER}',
                f"  workbench {tracked}ui                # the runs in MLflow",
                f"  workbench {tracked}lab               # JupyterLab",
                f"  workbench {tracked}ingest FOLDER --corpus mine --model {STANDARD}",
            ]
        )


def _rate(value: float) -> int | None:
    return round(value) or None


def run_demo(bench: Workbench) -> DemoResult:
    """Index ``python-docs``, compare the cheap and the standard model, with and without rerank."""
    started = time.perf_counter()
    bench.notify(
        f"indexing {EVAL_SET} on Ray actors, then comparing {CHEAP} and {STANDARD} "
        f"with and without {RERANKER} (about 5 minutes on 2 cores; a second run embeds nothing)"
    )
    evaluation, comparison = bench.compare(
        EVAL_SET, baseline=CHEAP, candidates=[STANDARD], rerankers=(None, RERANKER), store="chroma"
    )
    seconds = time.perf_counter() - started
    return DemoResult(evaluation, comparison, seconds, str(bench.config.home))

"""What was chosen in the Evaluate panel, how to run it, and how to say it on a command line."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.systems import EvaluateResult
    from workbench.session import Workbench

STORE = "memory"
"""Exact search: the panel compares models, not stores."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One evaluation; the first of ``models`` is the baseline of the comparison."""

    eval_set: str
    models: tuple[str, ...]
    chunking: str
    reranker: str | None = None

    def check(self) -> None:
        """Refuse what can not be run.

        Raises:
            ConfigError: No model or no evaluation set is chosen.
        """
        if not self.models:
            raise ConfigError("no model is chosen; choose at least one in the list of models")
        if not self.eval_set:
            raise ConfigError(
                "no evaluation set is chosen; type the folder of a set in BEIR layout "
                "(corpus.jsonl, queries.jsonl, qrels/test.tsv) or choose a set by name"
            )

    def run(self, bench: Workbench) -> tuple[EvaluateResult, CompareResult | None]:
        """Evaluate, and compare when there is more than one system.

        Raises:
            WorkbenchError: As ``Workbench.evaluate`` and ``Workbench.compare``.
        """
        baseline, *candidates = self.models
        rerankers = (None,) if self.reranker is None else (None, self.reranker)
        if not candidates and self.reranker is None:
            found = bench.evaluate(
                self.eval_set, models=self.models, chunking=self.chunking, store=STORE
            )
            return found, None
        return bench.compare(
            self.eval_set, baseline=baseline, candidates=candidates, rerankers=rerankers,
            chunking=self.chunking, store=STORE,
        )  # fmt: skip

    def commands(self, home: Path, config: Path | None = None) -> list[str]:
        """Lines for a shell: what measures the same, and what compares the same.

        Args:
            home: Home of the session.
            config: File the session was configured with.
        """
        session = ["--home", str(home), *(["--config", str(config)] if config else [])]
        how = ["--chunking", self.chunking, "--store", STORE]
        how += ["--rerank", self.reranker] if self.reranker else []
        models = [word for model in self.models for word in ("--model", model)]
        how += session
        lines = [["workbench", "evaluate", self.eval_set, *models, *how]]
        if len(self.models) > 1:
            baseline, *candidates = self.models
            sides = ["--baseline", baseline]
            sides += [word for model in candidates for word in ("--candidate", model)]
            lines.append(["workbench", "compare", self.eval_set, *sides, *how])
        return [shlex.join(line) for line in lines]


def eval_set_of(typed: str) -> str:
    """What was typed as an evaluation set: an existing folder by its absolute path."""
    path = Path(typed.strip()).expanduser()
    return str(path.absolute()) if typed.strip() and path.is_dir() else typed.strip()

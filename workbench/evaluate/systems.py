"""Systems to measure and what they achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.evaluate.significance import Interval
from workbench.protocols import Retriever
from workbench.results import Result
from workbench.spec import EmbeddingSpec

EXPECTED_FACTS = ("encoder_calls", "cache_hits", "docs_per_s", "chunks_per_s", "tokens", "cost_usd")


@dataclass(frozen=True, slots=True)
class System:
    """Something that searches, ready to be measured.

    Attributes:
        model: Name of the embedding model, or of the retriever (``bm25``).
        fingerprint: Its vector space; empty without vectors.
        chunking: Name of the chunking preset.
        reranker: Name of the reranker, if any.
        retriever: Answers the queries.
        spec: The space in full; None without vectors.
        facts: What building it took: ``encoder_calls``, ``cache_hits``, ``docs_per_s``, ….
    """

    model: str
    fingerprint: str
    chunking: str
    reranker: str | None
    retriever: Retriever
    spec: EmbeddingSpec | None
    facts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What one system achieved.

    Attributes:
        model: As in ``System``, like the next three.
        fingerprint: Its vector space.
        chunking: Name of the chunking preset.
        reranker: Name of the reranker, if any.
        measures: Mean over the queries with its interval, per public name of a measure.
        recall_at: Recall with its interval, per cut-off.
        facts: What building and searching took.
        per_query: Query id -> measure -> value, in the order of the set.
        mlflow_run_id: The tracked run; None when nothing is tracked.
    """

    model: str
    fingerprint: str
    chunking: str
    reranker: str | None
    measures: Mapping[str, Interval]
    recall_at: Mapping[int, Interval]
    facts: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    mlflow_run_id: str | None = None

    @property
    def key(self) -> str:
        """Names the system: ``"minilm-l6"`` or ``"minilm-l6 + ms-marco-l12"``."""
        return system_key(self.model, self.reranker)

    def to_dict(self) -> dict[str, Any]:
        """The public shape of a row; a fact that was not reported is 0."""
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "chunking": self.chunking,
            "reranker": self.reranker,
            "measures": {
                name: {"value": found.value, "low": found.low, "high": found.high}
                for name, found in self.measures.items()
            },
            **dict.fromkeys(EXPECTED_FACTS, 0),
            **self.facts,
            "mlflow_run_id": self.mlflow_run_id,
        }


@dataclass(frozen=True, slots=True)
class EvaluateResult(Result):
    """Systems measured on one evaluation set, in the order they were given."""

    eval_set: str
    digest: str
    queries: int
    unjudged: tuple[str, ...]
    confidence: float
    systems: tuple[SystemResult, ...]
    mlflow_run_id: str | None = None
    url: str = field(default="", compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The public shape; per-query values stay on the objects and in the tracker."""
        return {
            "eval_set": self.eval_set,
            "digest": self.digest,
            "queries": self.queries,
            "unjudged": len(self.unjudged),
            "confidence": self.confidence,
            "rows": [system.to_dict() for system in self.systems],
            "mlflow_run_id": self.mlflow_run_id,
            "url": self.url,
        }

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per system: measures as ``value [low, high]``, work and speed."""
        return [
            {
                "model": system.model,
                "reranker": system.reranker,
                "chunking": system.chunking,
                **{name: str(found) for name, found in system.measures.items()},
                "encoder calls": int(system.facts.get("encoder_calls", 0)),
                "cache hits": int(system.facts.get("cache_hits", 0)),
                "docs/s": float(system.facts.get("docs_per_s", 0)),
                "cost, $": float(system.facts.get("cost_usd", 0)),
            }
            for system in self.systems
        ]


def system_key(model: str, reranker: str | None) -> str:
    """Name of a system: its model, and its reranker when there is one."""
    return model if reranker is None else f"{model} + {reranker}"


def registry_name(eval_set: str) -> str:
    """Name of the registered model that holds the versions measured on ``eval_set``."""
    return "embeddings-" + "".join(c if c.isalnum() or c in "._-" else "-" for c in eval_set)


def metric_name(measure: str) -> str:
    """Name of a measure that MLflow accepts: ``nDCG@10`` is ``nDCG_at_10``."""
    return measure.replace("@", "_at_")

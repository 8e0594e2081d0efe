"""A first measurement of somebody's own documents: config, index, queries, two models."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from workbench.data.load import data_dirs, open_source
from workbench.errors import ConfigError, SourceError
from workbench.evaluate.known_items import known_item_queries
from workbench.evaluate.queries_file import OwnQueries, read_queries
from workbench.evaluate.write import check_replaceable, write_eval_set
from workbench.index.plan import cleaned
from workbench.records import DEFAULT_TENANT, Document, Query, SourceDocument
from workbench.results import Result, text_table
from workbench.spec import framed_digest
from workbench.specs import specs_of
from workbench.systems import BM25

if TYPE_CHECKING:
    from workbench.config import Config
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.systems import EvaluateResult
    from workbench.index.ingest import IngestResult
    from workbench.session import Workbench

KNOWN_ITEMS = 150
_PLAIN_NAME = re.compile(r"\w[\w.-]{0,99}")
SHOWN = 3
"""Queries without judgements that are answered for the eye."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``run_init`` is asked to do.

    Attributes:
        source: Documents: a folder, a file, or any other source.
        corpus: Name of the corpus.
        models: The model in use and the one it is compared with.
        chunking: Preset.
        queries: File of queries; None makes known-item queries.
        config_file: Where the configuration is written.
        limit: Documents to measure at most; 0 = all.
    """

    source: str
    corpus: str
    models: tuple[str, str]
    chunking: str
    queries: Path | None
    config_file: Path
    limit: int = 0


@dataclass(frozen=True, slots=True)
class InitResult(Result):
    """What was set up and measured.

    ``synthetic``: the queries were made from the documents. ``answers`` shows the best document
    for some of the queries that nobody judged.
    """

    plan: Plan
    ingest: IngestResult | None
    documents: int
    synthetic: bool
    eval_set: Path
    evaluation: EvaluateResult
    comparison: CompareResult
    answers: tuple[dict[str, Any], ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The parts in their public shapes."""
        return {
            "corpus": self.plan.corpus,
            "config": str(self.plan.config_file),
            "eval_set": str(self.eval_set),
            "documents": self.documents,
            "synthetic_queries": self.synthetic,
            "ingest": None if self.ingest is None else self.ingest.to_dict(),
            "evaluation": self.evaluation.to_dict(),
            "comparison": self.comparison.to_dict(),
            "answers": list(self.answers),
            "seconds": self.seconds,
        }

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per model."""
        return self.evaluation.rows()

    def __str__(self) -> str:
        plan, queries = self.plan, self.evaluation.queries
        kind = (
            f"{queries} known-item queries made from the documents. They share words with their "
            "document: trust differences between models more than the values, and judge queries "
            "of your own as soon as you can"
            if self.synthetic
            else f"{queries} judged queries of {plan.queries}"
        )
        verdicts = [test.sentence for test in self.comparison.tests if test.measure == "nDCG@10"]
        answered = ["", text_table(self.answers)] if self.answers else []
        return "\n".join(
            [
                "",
                f"{plan.corpus}: {self.documents} documents, {kind}.",
                "",
                text_table(self.rows()),
                "",
                *verdicts,
                *answered,
                "",
                f"{self.seconds:.0f} s in all. Next:",
                *self._next(),
            ]
        )

    def _next(self) -> list[str]:
        plan, config = self.plan, f"--config {self.plan.config_file}"
        first = (
            f'  workbench search "..." --corpus {plan.corpus} {config}'
            if self.ingest
            else f"  workbench ingest {plan.source} --corpus {plan.corpus} {config}"
        )
        versus = f"--baseline {plan.models[0]} --candidate bm25"
        return [
            first,
            f"  workbench compare {self.eval_set} {versus} {config}",
            f"  workbench ui {config}     # the runs in MLflow",
            f"Judged queries: --queries FILE, or edit a copy of {self.eval_set}.",
        ]


def run_init(bench: Workbench, plan: Plan) -> InitResult:
    """Read, write the configuration, index, make or read queries, compare the two models.

    Everything is checked before anything is written.

    Raises:
        SourceError: No document can be read, or the file of queries is not usable.
        ConfigError: A model or preset does not exist.
    """
    started = time.perf_counter()
    _check_models(bench, plan)
    folder = _set_folder(bench.config.home, plan.corpus)
    documents, total = _documents(bench, plan)
    own = read_queries(plan.queries) if plan.queries else OwnQueries((), {})
    _check_judged(own, documents, plan)
    synthetic = not own.qrels
    queries, qrels = own.queries, own.qrels
    if synthetic:
        made, qrels = known_item_queries(_texts(documents), KNOWN_ITEMS)
        queries = (*made, *own.queries)
    write_config(plan, bench.config)
    report = None
    if len(documents) == total:
        corpus = bench.corpus(plan.corpus)
        report = corpus.ingest(plan.source, model=plan.models[0], chunking=plan.chunking)
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_eval_set(folder, documents, queries, qrels, _card(plan, len(documents), synthetic))
    baseline, candidate = plan.models
    evaluation, comparison = bench.compare(
        str(folder), baseline=baseline, candidates=[candidate], chunking=plan.chunking,
        store="memory",
    )  # fmt: skip
    unjudged = [query for query in own.queries if query.query_id not in own.qrels]
    answers = _answers(bench, plan, unjudged[:SHOWN]) if report else ()
    return InitResult(
        plan, report, len(documents), synthetic, folder, evaluation, comparison, answers,
        time.perf_counter() - started,
    )  # fmt: skip


def _set_folder(home: Path, corpus: str) -> Path:
    """Where the evaluation set goes: a folder that is free or that an earlier run has written."""
    if not _PLAIN_NAME.fullmatch(corpus):
        raise ConfigError(
            f"the corpus name {corpus!r} also names a folder here; use letters, digits, dots, "
            "hyphens and underscores, not starting with a dot"
        )
    folder = home / "eval_sets" / corpus
    check_replaceable(folder)
    return folder


def _check_models(bench: Workbench, plan: Plan) -> None:
    if plan.models[0] == plan.models[1]:
        raise ConfigError(f"found {plan.models[0]!r} twice; expected two different models")
    for name in plan.models:
        if name != BM25 or name == plan.models[0]:
            specs_of(name, plan.chunking, bench.config, bench.notify)


def _documents(bench: Workbench, plan: Plan) -> tuple[list[Document], int]:
    """The documents to measure, cleaned, and how many there are."""
    source = open_source(plan.source, data_dirs=data_dirs(), options=bench.config.source)
    found, refused = [], []
    for item in source:
        if isinstance(item, SourceDocument):
            found.append(cleaned(item, DEFAULT_TENANT))
        else:
            refused.append(item)
    if not found:
        reason = f": {refused[0].document_id}: {refused[0].reason}" if refused else ""
        raise SourceError(f"{plan.source} holds no readable document{reason}")
    total = len(found)
    if plan.limit and total > plan.limit:
        bench.notify(f"measuring {plan.limit} of {total} documents; nothing is indexed yet")
        found.sort(key=lambda document: framed_digest([document.document_id]))
        found = found[: plan.limit]
    bench.notify(f"read {total} documents of {plan.source}, {len(refused)} refused")
    return found, total


def _texts(documents: Sequence[Document]) -> list[tuple[str, str]]:
    """Ids and texts; an id that would break a line of judgements takes no part."""
    return [(d.document_id, d.text) for d in documents if d.document_id.isprintable()]


def _check_judged(own: OwnQueries, documents: Sequence[Document], plan: Plan) -> None:
    known = {document.document_id for document in documents}
    named = {document for gains in own.qrels.values() for document in gains}
    if own.qrels and not any(gain > 0 for gains in own.qrels.values() for gain in gains.values()):
        raise SourceError(f"{plan.queries} judges no document relevant: every score is 0 or less")
    missing = sorted(named - known)
    if missing:
        raise SourceError(
            f"{plan.queries} names {len(missing)} documents that {plan.source} does not hold, "
            f"e.g. {missing[0]!r}; the ids there look like {min(known)!r}"
        )


def write_config(plan: Plan, config: Config) -> None:
    """Write the configuration file of ``plan``; an equal one is left alone.

    Raises:
        ConfigError: There is another file of that name.
    """
    facts: dict[str, Any] = config.model_dump(mode="json", exclude_defaults=True)
    facts |= {"home": str(config.home), "model": plan.models[0], "chunking": plan.chunking}
    head = "# Written by `workbench init`. Every key: configs/local.yaml of the workbench.\n"
    text = head + yaml.safe_dump(facts, sort_keys=False)
    if plan.config_file.exists():
        if plan.config_file.read_text(encoding="utf-8") == text:
            return
        raise ConfigError(
            f"{plan.config_file} exists and says something else; remove it, or name another file "
            "with --write"
        )
    part = plan.config_file.with_name(f".{plan.config_file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(plan.config_file)
    except OSError as error:
        raise ConfigError(f"cannot write {plan.config_file}: {error}") from error


def _card(plan: Plan, documents: int, synthetic: bool) -> str:
    origin = (
        "Known-item queries, made from the documents by `workbench init`: synthetic, they favour "
        "word matching. Replace them by judged queries when you have some."
        if synthetic
        else f"Queries and judgements of {plan.queries}."
    )
    return f"# {plan.corpus}\n\n{documents} documents of {plan.source}.\n\n{origin}\n"


def _answers(bench: Workbench, plan: Plan, queries: Sequence[Query]) -> tuple[dict[str, Any], ...]:
    corpus = bench.corpus(plan.corpus)
    rows = []
    for query in queries:
        for hit in corpus.search(query.text, k=1).hits:
            text = " ".join(hit.text.split())[:70]
            rows.append({"query": query.text, "best document": hit.document_id, "text": text})
    return tuple(rows)

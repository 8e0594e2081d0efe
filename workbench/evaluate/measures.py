"""Retrieval measures per query, exactly as trec_eval defines them, on documents."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import EvaluationError, UnknownName
from workbench.records import Hit, Qrels, Run

DEFAULT_MEASURES = ("nDCG@10", "Recall@10", "MRR@10", "Recall@100")
RECALL_CUTS = (1, 2, 3, 5, 10, 20, 50, 100)
"""Cut-offs of a recall curve."""

Rankings = Mapping[str, Sequence[str]]
"""Per query id the ids of its documents, best first, each once."""

_FAMILIES = {
    "ndcg": "nDCG",
    "recall": "Recall",
    "r": "Recall",
    "mrr": "MRR",
    "rr": "MRR",
    "p": "P",
    "success": "Success",
}
_PATTERN = re.compile(r"([A-Za-z]+)@([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its cut-off: ``family`` of the first ``cut`` documents."""

    family: str
    cut: int

    def __str__(self) -> str:
        return f"{self.family}@{self.cut}"


def parse_measure(name: str) -> Measure:
    """Read ``"nDCG@10"``; ``R`` is ``Recall`` and ``RR`` is ``MRR``.

    Raises:
        UnknownName: The name is not a known family, ``@`` and a positive cut-off.
    """
    found = _PATTERN.fullmatch(name.strip())
    family = _FAMILIES.get(found[1].lower()) if found else None
    if found is None or family is None:
        known = [f"{family}@10" for family in set(_FAMILIES.values())]
        raise UnknownName.among("measure", name, known, "Any cut-off is allowed.")
    return Measure(family, int(found[2]))


def document_ranking(hits: Sequence[Hit], exclude: str | None = None) -> list[tuple[str, float]]:
    """Turn hits on chunks into a ranking of documents.

    A document scores as its best chunk; ties are broken by document id, ascending.

    Args:
        hits: Retrieved chunks in any order.
        exclude: Id of a document to leave out.

    Returns:
        (document id, score) pairs, best first.

    Raises:
        EvaluationError: A score is not a number.
    """
    best: dict[str, float] = {}
    for hit in hits:
        if math.isnan(hit.score):
            raise EvaluationError(
                f"the score of chunk {hit.chunk_id!r} of document {hit.document_id!r} is NaN; a "
                "ranking needs numbers. Check the retriever or the reranker that gave it."
            )
        if hit.document_id != exclude:
            best[hit.document_id] = max(hit.score, best.get(hit.document_id, -math.inf))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))


def rankings(run: Run, *, exclude_self: bool = False) -> dict[str, list[str]]:
    """Document ids of every query of ``run``, best first.

    Args:
        run: Hits per query.
        exclude_self: Leave out the document whose id is the query's, for sets whose queries are
            documents too. As in BEIR only results are touched, judgements are not.
    """
    return {
        query_id: [doc for doc, _ in document_ranking(hits, query_id if exclude_self else None)]
        for query_id, hits in run.items()
    }


def per_query(
    run: Run,
    qrels: Qrels,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    exclude_self: bool = False,
) -> dict[str, dict[str, float]]:
    """Every measure of every judged query; see ``score_rankings``."""
    return score_rankings(rankings(run, exclude_self=exclude_self), qrels, measures)


def score_rankings(
    ranked: Rankings, qrels: Qrels, measures: Sequence[str] = DEFAULT_MEASURES
) -> dict[str, dict[str, float]]:
    """Every measure of every judged query, with the semantics of trec_eval.

    Gains are graded in nDCG (gain / log2(rank + 1), the ideal over all judged documents: Järvelin
    and Kekäläinen 2002); for the others a gain of 1 or more is relevant. A judged query without
    results counts 0, a query without judgements is not scored.

    Args:
        ranked: Document ids per query, best first.
        qrels: Gain per query and judged document.
        measures: Names such as ``"nDCG@10"``.

    Returns:
        Query id (in the order of ``qrels``) -> public name of the measure -> value in [0, 1].

    Raises:
        EvaluationError: Nothing is judged.
        UnknownName: A measure does not exist.
    """
    if not qrels:
        raise EvaluationError("no query has a judgement; expected at least one. Check the qrels.")
    wanted = [parse_measure(name) for name in measures]
    # Less than 0 is judged not relevant, which pytrec_eval only takes as 0.
    judged = {q: {doc: max(0, gain) for doc, gain in gains.items()} for q, gains in qrels.items()}
    values: dict[str, dict[str, float]] = {query_id: {} for query_id in judged}
    uncut = [measure for measure in wanted if measure.family != "MRR"]
    _collect(values, {str(measure): str(measure) for measure in uncut}, ranked, judged)
    for measure in wanted:
        if measure.family == "MRR":
            # trec_eval's reciprocal rank has no cut-off: cut the ranking instead.
            short = {query_id: docs[: measure.cut] for query_id, docs in ranked.items()}
            _collect(values, {"RR": str(measure)}, short, judged)
    names = [str(measure) for measure in wanted]
    return {query_id: {name: row[name] for name in names} for query_id, row in values.items()}


def _collect(
    values: dict[str, dict[str, float]],
    names: Mapping[str, str],
    ranked: Rankings,
    judged: dict[str, dict[str, int]],
) -> None:
    """Compute ``names`` (ours or ir_measures' -> public) and put them into ``values``."""
    if not names:
        return
    import ir_measures

    # trec_eval orders equal scores by descending id: scores made from ranks leave no ties.
    run = {
        query_id: {doc: float(len(docs) - rank) for rank, doc in enumerate(docs)}
        for query_id, docs in ranked.items()
        if query_id in judged
    }
    public = {ir_measures.parse_measure(_provider_name(name)): to for name, to in names.items()}
    for metric in ir_measures.pytrec_eval.iter_calc(list(public), judged, run):
        values[metric.query_id][public[metric.measure]] = float(metric.value)


def _provider_name(name: str) -> str:
    return name.replace("Recall@", "R@")

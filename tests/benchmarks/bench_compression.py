"""What smaller vectors and cheaper arithmetic cost: nDCG@10 beside bytes, everything exact."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from report import calibrated, row, write

from workbench.data.clean import clean
from workbench.data.load import data_dirs
from workbench.evaluate.eval_set import EvalSet, load_eval_set
from workbench.evaluate.measures import score_rankings
from workbench.models import build_encoder, resolve
from workbench.records import SourceDocument
from workbench.stores.codes import CODES

SETS = ("scifact", "cranfield")
STANDARD = "minilm-l6"
PRECISIONS = ("bfloat16", "int8")
STATIC = "wordllama"
DIMENSIONS = (128, 64)
OVERSAMPLING = (1, 4)
DEPTH = 100
MEASURE = "nDCG@10"
FLOAT_BYTES = 4

Scores = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Precisions of one model, Matryoshka against PCA, codes with and without rescoring."""
    calibrated(STANDARD)
    rows = []
    for name in SETS:
        eval_set = load_eval_set(name, data_dirs=data_dirs())
        documents = [item for item in eval_set.source if isinstance(item, SourceDocument)]
        texts = [f"{clean(d.title)} {clean(d.text)}".strip() or "-" for d in documents]
        ids = [d.document_id for d in documents]
        rows += precisions(eval_set, ids, texts)
        rows += dimensions(eval_set, ids, texts)
    write("compression", rows)


def encoded(model: str, texts: Sequence[str], eval_set: EvalSet) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the documents and of the queries."""
    encoder = build_encoder(resolve(model), threads=os.cpu_count() or 1)
    queries = [query.text for query in eval_set.queries]
    return encoder.encode(texts, "document"), encoder.encode(queries, "query")


def quality(eval_set: EvalSet, ids: list[str], ranked: Sequence[np.ndarray]) -> float:
    """Mean nDCG@10 of row numbers per query, best first."""
    names = np.array(ids, dtype=object)
    rankings = {
        query.query_id: list(names[order])
        for query, order in zip(eval_set.queries, ranked, strict=True)
    }
    found = score_rankings(rankings, eval_set.qrels, [MEASURE])
    return float(np.mean([values[MEASURE] for values in found.values()]))


def exact(documents: np.ndarray, queries: np.ndarray) -> list[np.ndarray]:
    """Nearest rows by cosine."""
    return [np.argsort(-(documents @ query), kind="stable")[:DEPTH] for query in queries]


def coded(
    name: str, documents: np.ndarray, queries: np.ndarray, oversampling: int
) -> list[np.ndarray]:
    """Nearest rows by codes; the first ten times ``oversampling`` ranked again unless it is 1."""
    code = CODES[name]
    codes = code.encode(documents)
    found = []
    for query in queries:
        order = np.argsort(-code.scores(query, codes), kind="stable")[: 10 * oversampling]
        if oversampling > 1:
            order = order[np.argsort(-(documents[order] @ query), kind="stable")]
        found.append(order)
    return found


def precisions(eval_set: EvalSet, ids: list[str], texts: list[str]) -> list[dict[str, object]]:
    """The standard model in cheaper arithmetic, and its vectors in shorter codes."""
    documents, queries = encoded(STANDARD, texts, eval_set)
    base = quality(eval_set, ids, exact(documents, queries))
    case = f"{eval_set.name} {STANDARD}"
    rows = [row(f"{case} float32", base, MEASURE, base)]
    for precision in PRECISIONS:
        cheaper = encoded(f"{STANDARD}@{precision}", texts, eval_set)
        rows.append(
            row(f"{case} {precision}", quality(eval_set, ids, exact(*cheaper)), MEASURE, base)
        )
    for name, code in CODES.items():
        for oversampling in OVERSAMPLING:
            found = quality(eval_set, ids, coded(name, documents, queries, oversampling))
            how = f"rescored x{oversampling}" if oversampling > 1 else "codes alone"
            size = f"{code.bytes_per_vector(documents.shape[1])} B"
            rows.append(row(f"{case} {name} {how}, {size}", found, MEASURE, base))
    return rows


def dimensions(eval_set: EvalSet, ids: list[str], texts: list[str]) -> list[dict[str, object]]:
    """Shorter vectors of the static model: its own first numbers against principal components."""
    documents, queries = encoded(STATIC, texts, eval_set)
    base = quality(eval_set, ids, exact(documents, queries))
    full = documents.shape[1]
    rows = [row(f"{eval_set.name} {STATIC}/{full}, {full * FLOAT_BYTES} B", base, MEASURE, base)]
    _, _, axes = np.linalg.svd(documents - documents.mean(axis=0), full_matrices=False)
    for dimension in DIMENSIONS:
        size = f"{dimension * FLOAT_BYTES} B"
        shorter = encoded(f"{STATIC}/{dimension}", texts, eval_set)
        found = quality(eval_set, ids, exact(*shorter))
        rows.append(row(f"{eval_set.name} {STATIC}/{dimension}, {size}", found, MEASURE, base))
        projected = [unit(vectors @ axes[:dimension].T) for vectors in (documents, queries)]
        found = quality(eval_set, ids, exact(*projected))
        rows.append(row(f"{eval_set.name} PCA to {dimension}, {size}", found, MEASURE, base))
    return rows


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()

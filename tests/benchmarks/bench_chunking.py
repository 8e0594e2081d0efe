"""Chunkers side by side: speed, promises kept, and what of the answers their chunks bring back."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from chunkers import Cut, chunkers
from report import row, write

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core

from workbench.data.load import data_dirs
from workbench.evaluate.spans import SpanScores, span_scores
from workbench.models import build_encoder, counter_for, resolve
from workbench.models.files import files_of
from workbench.protocols import Encoder, TokenCounter
from workbench.records import Span
from workbench.results import text_table

RUNS = 3
CONTEXT_CHUNKS = 5
"""Text retrieved for a query, in full chunks: the best ones, up to this many times the budget.

Chunkers fill their budget differently. With the same number of chunks, precision would measure
how small they are and recall how large; with the same amount of text both measure the cuts.
"""
QUALITY_MODEL = "wordllama"
"""Reads chunks of any length, so that all four presets are measured with one encoder."""
SPEED_MODEL = "minilm-l6"
SETS = {"chroma-chunking": "corpus.jsonl", "xquad-r/en": "articles.jsonl"}
BUDGETS = (128, 256, 512, 1024)

Answers = dict[str, list[tuple[str, Span]]]


def main() -> None:
    """Speed on real texts of two languages; then span measures at equal budgets."""
    rows = speed()
    model = sys.argv[1] if len(sys.argv) > 1 else QUALITY_MODEL
    spans = [found for name, file in SETS.items() for found in quality(name, file, model)]
    show(spans)
    write("chunking", [*rows, *spans])


def speed() -> list[dict[str, object]]:
    """Tokens per second on one core, alternating, medians; broken promises of each."""
    texts = [
        text
        for name, file in (*SETS.items(), ("xquad-r/de", "articles.jsonl"))
        for text in documents(name, file).values()
    ]
    embedding = resolve(SPEED_MODEL)
    counter = counter_for(embedding)
    tokens = sum(len(counter.offsets(text)) for text in texts)
    cutters = chunkers(256, files_of(embedding).tokenizer, counter, special=2)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    made: dict[str, list[list[Span]]] = {}
    for _ in range(RUNS):
        for name, cut in cutters.items():
            started = time.perf_counter()
            made[name] = [cut(text) for text in texts]
            seconds[name].append(time.perf_counter() - started)
    rates = {name: tokens / statistics.median(spent) for name, spent in seconds.items()}
    best = max(rate for name, rate in rates.items() if name != "workbench")
    rows = [row(f"speed: {name}", rate, "tokens/s", best) for name, rate in rates.items()]
    for name, spans in made.items():
        over = sum(
            counter.count(text[span.start : span.end]) > 256
            for text, mine in zip(texts, spans, strict=True)
            for span in mine
        )
        bare = sum(uncovered(text, mine) for text, mine in zip(texts, spans, strict=True))
        rows.append(row(f"chunks over budget: {name}", over, f"of {sum(map(len, spans))}"))
        rows.append(row(f"characters in no chunk: {name}", bare, "characters"))
    return rows


def uncovered(text: str, spans: list[Span]) -> int:
    """Visible characters outside of all spans."""
    held = bytearray(len(text))
    for span in spans:
        held[span.start : span.end] = b"\x01" * (span.end - span.start)
    return sum(not inside and not char.isspace() for char, inside in zip(text, held, strict=True))


def documents(name: str, file: str) -> dict[str, str]:
    """Texts of a set by id, as they are: the answers' offsets refer to them."""
    lines = (folder(name) / file).read_text(encoding="utf-8").split("\n")
    return {found["_id"]: found["text"] for found in map(json.loads, filter(None, lines))}


def folder(name: str) -> Path:
    """Where a set is."""
    return next(root / name for root in data_dirs() if (root / name).is_dir())


def answers_of(name: str) -> tuple[dict[str, str], Answers]:
    """Queries by id and the spans of their answers."""
    lines = (folder(name) / "queries.jsonl").read_text(encoding="utf-8").split("\n")
    queries = {str(q["_id"]): q["text"] for q in map(json.loads, filter(None, lines))}
    answers: defaultdict[str, list[tuple[str, Span]]] = defaultdict(list)
    spans = (folder(name) / "answer_spans.jsonl").read_text(encoding="utf-8").split("\n")
    for found in map(json.loads, filter(None, spans)):
        answers[found["query_id"]].append((found["doc_id"], Span(found["start"], found["end"])))
    return {name: queries[name] for name in answers}, dict(answers)


def quality(name: str, file: str, model: str) -> list[dict[str, object]]:
    """Span recall, precision and IoU of the best chunks, each against the best library."""
    texts = documents(name, file)
    queries, answers = answers_of(name)
    embedding = resolve(model)
    counter = counter_for(embedding)
    encoder = build_encoder(embedding, threads=os.cpu_count() or 1)
    asked = encoder.encode(list(queries.values()), "query")
    rows = []
    for budget in BUDGETS:
        if embedding.max_tokens and budget > embedding.max_tokens:
            continue
        special = counter.count("")
        cutters = chunkers(budget, files_of(embedding).tokenizer, counter, special)
        scores = {
            chunker: retrieved(cut, texts, counter, encoder, asked, answers, budget)
            for chunker, cut in cutters.items()
        }
        rows += compared(f"{name} {budget}", scores)
    return rows


def retrieved(
    cut: Cut,
    texts: dict[str, str],
    counter: TokenCounter,
    encoder: Encoder,
    asked: np.ndarray,
    answers: Answers,
    budget: int,
) -> list[SpanScores]:
    """Scores of every query: chunks of all texts, exact search, the best up to the context."""
    places = [(name, span) for name, text in texts.items() for span in cut(text)]
    pieces = [texts[name][span.start : span.end] for name, span in places]
    tokens = np.array([counter.count(piece) for piece in pieces])
    vectors = encoder.encode(pieces, "document")
    scores = []
    for query, spans in zip(asked, answers.values(), strict=True):
        order = np.argsort(-(vectors @ query), kind="stable")[: 20 * CONTEXT_CHUNKS]
        fits = np.cumsum(tokens[order]) <= CONTEXT_CHUNKS * budget
        scores.append(span_scores([places[i] for i in order[fits]], spans))
    return scores


def compared(case: str, scores: dict[str, list[SpanScores]]) -> list[dict[str, object]]:
    """A row per measure: all means, and the paired difference of ours to the best library."""
    rows = []
    for measure in ("recall", "precision", "iou"):
        values = {
            name: np.array([getattr(score, measure) for score in found])
            for name, found in scores.items()
        }
        means = {name: float(found.mean()) for name, found in values.items()}
        best = max((name for name in means if name != "workbench"), key=means.__getitem__)
        low, high = interval(values["workbench"] - values[best])
        made = row(f"{case} {measure}", means["workbench"], "mean", means[best])
        rows.append({**made, "means": means, "best": best, "low": low, "high": high})
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """The means of all chunkers in one table."""
    table = []
    for found in rows:
        means: dict[str, float] = found["means"]  # type: ignore[assignment]
        difference = float(str(found["value"])) - float(str(found["baseline"]))
        table.append(
            {
                "spans": found["case"],
                **{name: f"{value:.4f}" for name, value in means.items()},
                "ours - best": f"{difference:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]",
            }
        )
    print(f"\nbest chunks up to {CONTEXT_CHUNKS} x budget tokens\n\n{text_table(table)}")


def interval(differences: np.ndarray, resamples: int = 2_000) -> tuple[float, float]:
    """95 % bootstrap interval of a mean difference."""
    draw = np.random.default_rng(20_260_101)
    picks = draw.integers(0, len(differences), (resamples, len(differences)))
    low, high = np.quantile(differences[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()

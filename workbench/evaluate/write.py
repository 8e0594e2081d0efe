"""Write an evaluation set as a folder in BEIR layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workbench.records import Document, Qrels, Query


def write_eval_set(
    folder: Path,
    documents: Iterable[Document],
    queries: Sequence[Query],
    qrels: Qrels,
    card: str,
) -> None:
    """Write ``corpus.jsonl``, ``queries.jsonl``, ``qrels/test.tsv`` and the card ``README.md``.

    The folder appears complete or not at all; one of that name is replaced.
    """
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / "qrels").mkdir(parents=True)
        _write_jsonl(part / "corpus.jsonl", map(_row, documents))
        asked = ({"_id": query.query_id, "text": query.text} for query in queries)
        _write_jsonl(part / "queries.jsonl", asked)
        lines = ["query-id\tcorpus-id\tscore"]
        lines += [f"{q}\t{d}\t{gain}" for q, gains in qrels.items() for d, gain in gains.items()]
        (part / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (part / "README.md").write_text(card, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _row(document: Document) -> dict[str, Any]:
    return {
        "_id": document.document_id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
    }


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

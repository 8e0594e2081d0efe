"""Write an evaluation set as a folder in BEIR layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import EvaluationError
from workbench.records import Document, Qrels, Query
from workbench.spec import framed_digest

_MARK = ".written"
_JUDGED = ("queries.jsonl", "qrels/test.tsv")
_WRITTEN = {*_JUDGED, "corpus.jsonl", "README.md", "qrels", _MARK}


def write_eval_set(
    folder: Path,
    documents: Iterable[Document],
    queries: Sequence[Query],
    qrels: Qrels,
    card: str,
) -> None:
    """Write ``corpus.jsonl``, ``queries.jsonl``, ``qrels/test.tsv`` and the card ``README.md``.

    The folder appears complete or not at all. One of that name is replaced when it holds what was
    written here before, and nothing else.

    Raises:
        EvaluationError: The folder holds other files, or queries or judgements were changed since.
    """
    check_replaceable(folder)
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
        (part / _MARK).write_text(_digest(part), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Refuse to write over what somebody else wrote.

    Raises:
        EvaluationError: As ``write_eval_set``.
    """
    if not folder.is_symlink() and (not folder.exists() or _is_ours(folder)):
        return
    raise EvaluationError(
        f"{folder} holds files, queries or judgements that the workbench did not write. "
        "Nothing was changed. Measure on them by that path, or move the folder away."
    )


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if not found:
        return True
    mark = folder / _MARK
    return found == _WRITTEN and mark.read_text(encoding="utf-8") == _digest(folder)


def _digest(folder: Path) -> str:
    """64 hex digits over the queries and the judgements in ``folder``."""
    return framed_digest((folder / name).read_bytes() for name in _JUDGED).hex()


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

"""Evaluation sets: documents, queries, and which of the former answer the latter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.data.load import PYTHON_DOCS, beir_file, find_set, open_source
from workbench.data.readers import json_object, line_text, read_lines
from workbench.data.source import Source
from workbench.errors import SourceError
from workbench.records import Qrels, Quarantined, Query
from workbench.spec import framed_digest

_SHOWN = 5
_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class EvalSet:
    """Documents with queries and judgements.

    Attributes:
        name: Stable name of the set; the name of its source too.
        source: The documents, read again by every iteration.
        queries: Queries that the split judges, by their order in the file.
        qrels: Gain per query id and document id; 0 and less = judged not relevant.
        unjudged: Ids of queries that no split judges: reported, not scored.
        digest: 64 hex digits over documents, judged queries and judgements.
        n_documents: Documents, without the refused ones.
        split: Which judgements these are.
        quarantined: What the source holds that is no document. Judgements may name these; like
            any relevant document that is not found, they lower recall.
    """

    name: str
    source: Source = field(compare=False)
    queries: tuple[Query, ...]
    qrels: Qrels
    unjudged: tuple[str, ...]
    digest: str
    n_documents: int
    split: str = "test"
    quarantined: tuple[Quarantined, ...] = ()


def load_eval_set(name: str, *, split: str = "test", data_dirs: Sequence[Path]) -> EvalSet:
    """Load and check an evaluation set; its documents are read once, not kept.

    Args:
        name: A set's name (``scifact``, ``xquad-r/en``), a BEIR folder, or ``python-docs``.
        split: Which ``qrels/<split>.tsv``.
        data_dirs: Where sets are looked up after ``eval_sets/``.

    Raises:
        UnknownName: There is no such set; lists those found.
        SourceError: A file is missing or broken, or judgements name documents or queries that
            the set does not hold.
    """
    if name == PYTHON_DOCS:
        return _python_docs(split, data_dirs)
    stable, folder = find_set(name, data_dirs)
    if not beir_file(folder, "corpus.jsonl"):
        raise SourceError(
            f"{name!r} is no evaluation set: {folder} holds no corpus.jsonl. Expected a folder "
            "with corpus.jsonl, queries.jsonl and qrels/<split>.tsv."
        )
    qrels_file = _split_file(folder, stable, split)
    qrels = _read_qrels(qrels_file)
    queries = _read_queries(folder)
    _check_known("queries", qrels, {query.query_id for query in queries}, qrels_file)
    elsewhere = {query_id for path in _splits(folder).values() for query_id in _read_qrels(path)}
    unjudged = tuple(q.query_id for q in queries if q.query_id not in elsewhere)
    judged = tuple(query for query in queries if query.query_id in qrels)
    source = open_source(str(folder), data_dirs=data_dirs)
    return _checked(
        name=stable,
        source=source,
        queries=judged,
        qrels=qrels,
        unjudged=unjudged,
        split=split,
        qrels_file=qrels_file,
    )


def _python_docs(split: str, data_dirs: Sequence[Path]) -> EvalSet:
    from workbench.data.python_docs import known_items

    if split != "test":
        raise SourceError(f"{PYTHON_DOCS} has no split {split!r}; the only one is 'test'")
    queries, qrels = known_items()
    source = open_source(PYTHON_DOCS, data_dirs=data_dirs)
    return _checked(
        name=PYTHON_DOCS,
        source=source,
        queries=tuple(queries),
        qrels=qrels,
        unjudged=(),
        split=split,
        qrels_file=Path("known items"),
    )


def _checked(
    *,
    name: str,
    source: Source,
    queries: tuple[Query, ...],
    qrels: Qrels,
    unjudged: tuple[str, ...],
    split: str,
    qrels_file: Path,
) -> EvalSet:
    """Read the documents once: count them, digest them, check that judgements name only them."""
    documents: dict[str, bytes] = {}
    quarantined: list[Quarantined] = []
    for item in source:
        if isinstance(item, Quarantined):
            quarantined.append(item)
        else:
            parts = (item.document_id, item.title, item.text)
            documents[item.document_id] = framed_digest(parts)
    held = documents.keys() | {item.document_id for item in quarantined}
    named = {doc: None for gains in qrels.values() for doc in gains}
    _check_known("documents", named, held, qrels_file)
    return EvalSet(
        name=name,
        source=source,
        queries=queries,
        qrels=qrels,
        unjudged=unjudged,
        digest=_digest(documents.values(), queries, qrels),
        n_documents=len(documents),
        split=split,
        quarantined=tuple(quarantined),
    )


def _digest(documents: Iterable[bytes], queries: Sequence[Query], qrels: Qrels) -> str:
    """Digest of the content: the order of lines in the files does not matter."""
    by_id = sorted(queries, key=lambda query: query.query_id)
    judgements = (
        part
        for query_id in sorted(qrels)
        for document_id, gain in sorted(qrels[query_id].items())
        for part in (query_id, document_id, str(gain))
    )
    parts = (
        framed_digest(sorted(documents)),
        framed_digest(part for query in by_id for part in (query.query_id, query.text)),
        framed_digest(judgements),
    )
    return framed_digest(parts).hex()


def _check_known(kind: str, named: Mapping[str, object], held: set[str], qrels_file: Path) -> None:
    missing = sorted(set(named) - held)
    if missing:
        shown = ", ".join(repr(name) for name in missing[:_SHOWN])
        more = ", …" if len(missing) > _SHOWN else ""
        raise SourceError(
            f"{qrels_file} judges {len(missing)} {kind} that the set does not hold: {shown}{more}. "
            f"Remove those lines, or add the {kind}."
        )


def _splits(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}


def _split_file(folder: Path, name: str, split: str) -> Path:
    splits = _splits(folder)
    if split not in splits:
        found = f"found {', '.join(splits)}" if splits else "found none"
        raise SourceError(
            f"evaluation set {name!r} has no judgements qrels/{split}.tsv; splits {found}. "
            "Choose one of them, or add the file."
        )
    return splits[split]


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements of a split.

    Raises:
        SourceError: A line is not query id, document id and an integer, or contradicts another.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        cells = line_text(line, where).rstrip("\r").split("\t")
        if number == 1 and len(cells) == _COLUMNS and not _is_integer(cells[2]):
            continue
        if cells == [""]:
            continue
        if len(cells) != _COLUMNS or not _is_integer(cells[2]):
            raise SourceError(
                f"{where}: found {cells!r}; expected query-id, corpus-id and an integer score, "
                "separated by tabs"
            )
        query_id, document_id, gain = cells[0], cells[1], int(cells[2])
        if qrels.setdefault(query_id, {}).setdefault(document_id, gain) != gain:
            raise SourceError(
                f"{where}: judges {document_id!r} for {query_id!r} with {gain} after "
                f"{qrels[query_id][document_id]}. Keep one of them."
            )
    if not qrels:
        raise SourceError(f"{path} holds no judgements. Choose another split, or add some.")
    return qrels


def _is_integer(cell: str) -> bool:
    try:
        int(cell)
    except ValueError:
        return False
    return True


def _read_queries(folder: Path) -> list[Query]:
    """Queries of a set.

    Raises:
        SourceError: The file is missing, or a line has no distinct id or no text.
    """
    path = beir_file(folder, "queries.jsonl")
    if path is None:
        raise SourceError(f"{folder} holds no queries.jsonl. Add it: one {{_id, text}} a line.")
    queries: dict[str, Query] = {}
    for number, line in read_lines(path):
        if line is not None and not line.strip():
            continue
        row = json_object(line or b"")
        where = f"{path}, line {number}"
        if isinstance(row, str):
            raise SourceError(f"{where}: {row}. Mend or remove the line.")
        query_id, text = row.get("_id"), row.get("text")
        query_id = str(query_id) if type(query_id) is int else query_id
        if not (isinstance(query_id, str) and query_id and isinstance(text, str) and text.strip()):
            raise SourceError(f"{where}: found {row!r:.200}; expected '_id' and 'text', not empty")
        if query_id in queries:
            raise SourceError(f"{where}: the id {query_id!r} is used twice. Rename one of them.")
        queries[query_id] = Query(query_id, text)
    return list(queries.values())

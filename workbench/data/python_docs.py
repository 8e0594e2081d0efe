"""The source ``python-docs``: real text on every machine, with known items to search for.

Documents are the bodies of docstrings and of the language reference, without their first
paragraph. That summary is never part of a document, so it can serve as a query whose one relevant
document is known.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache

from workbench.data.clean import clean
from workbench.data.docstrings import Entry, package_entries, stdlib_entries, topic_entries
from workbench.errors import EvaluationError
from workbench.records import Query, SourceDocument

PACKAGES: tuple[str, ...] = (
    *("click", "typer", "rich", "requests", "starlette", "fastapi", "jinja2", "pydantic"),
    *("flask", "werkzeug", "tornado", "traitlets", "sqlalchemy", "numpy"),
)
"""Packages of the lock that are read after the standard library, in this order."""

MAX_DOCUMENTS = 3_600
SEED = 20_260_101
_MIN_BODY_WORDS = 20
_MAX_BODY_WORDS = {"stdlib": 400, "topics": 4_000}
_MAX_PACKAGE_BODY_WORDS = 160
_QUERY_WORDS = range(5, 31)
_MIN_NEW_WORDS = 3
"""Words that a query must have beside those of the document's name."""


@cache
def entries() -> tuple[Entry, ...]:
    """What the corpus is made of: distinct names, distinct bodies, in a fixed order."""
    names: set[str] = set()
    bodies: set[str] = set()
    kept: list[Entry] = []
    for entry in _candidates():
        words = len(entry.body.split())
        limit = _MAX_BODY_WORDS.get(entry.package, _MAX_PACKAGE_BODY_WORDS)
        body = clean(entry.body)
        if not _MIN_BODY_WORDS <= words <= limit or entry.name in names or body in bodies:
            continue
        names.add(entry.name)
        bodies.add(body)
        kept.append(entry)
        if len(kept) == MAX_DOCUMENTS:
            break
    return tuple(kept)


def _candidates() -> Iterator[Entry]:
    yield from stdlib_entries()
    yield from topic_entries()
    for package in PACKAGES:
        yield from package_entries(package)


def documents() -> Iterator[SourceDocument]:
    """The documents: id and title are the qualified name, the text is the body only.

    Raises:
        SourceError: A package or the language reference is not installed.
    """
    for entry in entries():
        metadata = {"package": entry.package, "kind": entry.kind}
        yield SourceDocument(entry.name, entry.body, entry.name, metadata)


def known_items(n: int = 150, seed: int = SEED) -> tuple[list[Query], dict[str, dict[str, int]]]:
    """Queries with one relevant document each: the summaries of ``n`` documents.

    A summary qualifies when it has 5 to 30 words, no other document has it, no document's text
    contains it (ignoring case and white space), and it says more than the qualified name.

    Args:
        n: How many.
        seed: Which ones.

    Returns:
        Queries in the order of their ids, and their judgements.

    Raises:
        EvaluationError: Fewer than ``n`` summaries qualify.
    """
    by_query: dict[str, list[Entry]] = {}
    for entry in entries():
        by_query.setdefault(_flat(entry.summary).casefold(), []).append(entry)
    texts = "\x00".join(_flat(entry.body).casefold() for entry in entries())
    unique = sorted((same[0] for same in by_query.values() if len(same) == 1), key=_name)
    random.Random(seed).shuffle(unique)  # noqa: S311 - a seeded sample, not a secret
    chosen: list[Entry] = []
    for entry in unique:
        if len(chosen) == n:
            break
        if _says_enough(entry) and _flat(entry.summary).casefold() not in texts:
            chosen.append(entry)
    if len(chosen) < n:
        raise EvaluationError(
            f"{n} known items were asked for, {len(chosen)} exist. Ask for fewer."
        )
    chosen.sort(key=_name)
    queries = [Query(f"q-{entry.name}", _flat(entry.summary)) for entry in chosen]
    return queries, {f"q-{entry.name}": {entry.name: 1} for entry in chosen}


def _name(entry: Entry) -> str:
    return entry.name


def _flat(text: str) -> str:
    return " ".join(clean(text).split())


def _says_enough(entry: Entry) -> bool:
    words = re.findall(r"[^\W\d_]+", entry.summary.casefold())
    of_name = set(re.findall(r"[^\W\d_]+", entry.name.casefold()))
    new = [word for word in words if word not in of_name]
    return len(_flat(entry.summary).split()) in _QUERY_WORDS and len(new) >= _MIN_NEW_WORDS

"""Is an embedded store in order? ``python -m workbench.stores.probe PATH`` answers in JSON.

Run in a process of its own: a damaged store may crash whoever reads it.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

SAMPLE = 20_000
PAGE = 500
K = 10
EQUAL_DISTANCE = 2e-6
"""Cosine distance up to which two float32 vectors count as equal."""
TOLERATED = 0.005
"""Share of vectors that an approximate index may miss at k = 10 without being called damaged."""


def probe(path: Path) -> dict[str, Any]:
    """Read every id, and search every vector (at most 20,000 a collection) by itself.

    Returns:
        ``{"ok", "collections": [{"index", "count", "sampled", "invisible"}], "error"}``.
    """
    from workbench.stores.chroma import persistent_client

    collections: list[dict[str, Any]] = []
    error = ""
    client = persistent_client(path)
    try:
        for chroma in client.list_collections():
            facts, found = _examine(chroma)
            collections.append(facts)
            error = error or found
    finally:
        client.close()
    return {"ok": not error, "collections": collections, "error": error}


def _examine(chroma: Any) -> tuple[dict[str, Any], str]:
    from workbench.stores.chroma import all_ids

    index = (chroma.metadata or {}).get("index", chroma.name)
    ids = list(all_ids(chroma))
    count = chroma.count()
    sample = ids if len(ids) <= SAMPLE else random.Random(0).sample(ids, SAMPLE)  # noqa: S311
    pages = [sample[start : start + PAGE] for start in range(0, len(sample), PAGE)]
    invisible = sum(_invisible(chroma, page) for page in pages)
    facts = {"index": index, "count": count, "sampled": len(sample), "invisible": invisible}
    if count != len(ids) or len(set(ids)) != len(ids):
        return facts, f"index {index!r} counts {count} records and lists {len(set(ids))} ids"
    if invisible > TOLERATED * len(sample):
        return facts, (
            f"{invisible} of {len(sample)} vectors of index {index!r} are not found by themselves"
        )
    return facts, ""


def _invisible(chroma: Any, page: list[str]) -> int:
    """How many of ``page`` are not among the neighbours of their own vectors."""
    got = chroma.get(ids=page, include=["embeddings"])
    lost = len(page) - len(got["ids"])
    if not got["ids"]:
        return lost
    answer = chroma.query(query_embeddings=got["embeddings"], n_results=K, include=["distances"])
    for found, ids, distances in zip(got["ids"], answer["ids"], answer["distances"], strict=True):
        crowded = len(ids) == K and max(distances) <= EQUAL_DISTANCE
        lost += found not in ids and not crowded
    return lost


def main(arguments: list[str]) -> int:
    """Print the answer as one line of JSON; exit code 0 only when the store is in order."""
    try:
        answer = probe(Path(arguments[0]))
    except Exception as error:  # noqa: BLE001 - whatever a damaged store raises is the answer
        answer = {"ok": False, "collections": [], "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

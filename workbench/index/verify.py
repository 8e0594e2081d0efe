"""Is the index what the registry says, id by id, as queries see it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.protocols import Store
from workbench.results import Result
from workbench.state.index_records import Index
from workbench.state.registry import Registry
from workbench.state.vault import Vault

VISIBLE_AT = 10
EQUAL = 1e-4
"""Two cosine scores closer than this belong to equal vectors."""


@dataclass(frozen=True, slots=True)
class VerifyResult(Result):
    """Counts of chunks that are not as they should be.

    ``missing``: live in the registry, absent from the store. ``phantom``: in the store, neither
    live nor about to be deleted. ``wrong``: without a sound vector in the vault, or under another
    vector in the store. ``invisible``: its own vector does not find it among the best 10.
    ``lag``: log entries that the index has not followed yet.
    """

    index: str
    ok: bool
    expected: int
    missing: int
    phantom: int
    wrong: int
    invisible: int
    lag: int


def verify(registry: Registry, vault: Vault, store: Store, index: Index) -> VerifyResult:
    """Compare registry, vault and store exhaustively; changes nothing.

    Raises:
        StoreDamaged: The store can not be read.
    """
    stored = set(store.ids(index.collection))
    expected = wrong = invisible = missing = 0
    for page in registry.indexes.chunk_keys(index):
        expected += len(page)
        for chunk_id, _ in page:
            if chunk_id in stored:
                stored.discard(chunk_id)
            else:
                missing += 1
        vectors = vault.recorded([key for _, key in page])
        sound = [(chunk_id, vectors[key]) for chunk_id, key in page if key in vectors]
        wrong += len(page) - len(sound)
        page_wrong, page_invisible = _as_queries_see(store, index, sound)
        wrong += page_wrong
        invisible += page_invisible
    pending = set(registry.indexes.pending(index))
    phantom = len(stored - pending)
    lag = max(0, registry.documents.head(index.corpus_id) - index.cursor)
    faults = missing + phantom + wrong + invisible + lag
    return VerifyResult(index.name, faults == 0, expected, missing, phantom, wrong, invisible, lag)


def _as_queries_see(
    store: Store, index: Index, sound: list[tuple[str, NDArray[np.float32]]]
) -> tuple[int, int]:
    """(wrong, invisible): chunks found under another vector, and chunks not found."""
    if not sound:
        return 0, 0
    answers = store.query(index.collection, np.stack([v for _, v in sound]), VISIBLE_AT)
    wrong = invisible = 0
    for (chunk_id, _), hits in zip(sound, answers, strict=True):
        scores = dict(hits)
        if chunk_id in scores:
            wrong += scores[chunk_id] < 1 - EQUAL
        else:
            full_of_equals = len(hits) == VISIBLE_AT and hits[-1][1] >= 1 - EQUAL
            invisible += not full_of_equals
    return wrong, invisible

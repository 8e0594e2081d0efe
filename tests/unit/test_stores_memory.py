"""The exact store, compared with arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.stores.memory import MemoryStore


def store_of(vectors: np.ndarray, ids: list[str]) -> MemoryStore:
    store = MemoryStore()
    store.create("i", vectors.shape[1], "f")
    store.upsert("i", ids, vectors, [{"odd": bool(n % 2)} for n in range(len(ids))])
    return store


def test_scores_are_cosines_whatever_the_lengths() -> None:
    vectors = np.array([[3, 0], [0, 0.01], [5, 5], [-1, 0]], dtype=np.float32)
    store = store_of(vectors, list("abcd"))
    [ranking] = store.query("i", np.array([[7, 0]], dtype=np.float32), 9)
    assert [name for name, _ in ranking] == list("acbd")
    assert [score for _, score in ranking] == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-7)


def test_rankings_equal_a_float64_sort_and_do_not_depend_on_the_batch() -> None:
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(2_000, 32)).astype(np.float32)
    vectors[1_000:1_500] = vectors[:500]  # ties everywhere
    ids = [f"{n:04d}" for n in generator.permutation(2_000)]
    store = store_of(vectors, ids)
    queries = np.concatenate([vectors[:30], generator.normal(size=(30, 32)).astype(np.float32)])
    together = store.query("i", queries, 7)
    assert together == [store.query("i", query[None], 7)[0] for query in queries]
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1)[:, None]
    for query, ranking in zip(queries, together, strict=True):
        scores = unit @ (query / np.linalg.norm(query.astype(float)))
        best = sorted(zip(-scores.round(7), ids, strict=True))[:7]
        assert [name for name, _ in ranking] == [name for _, name in best]


def test_deleting_in_any_order_keeps_ids_vectors_and_metadata_together() -> None:
    generator = np.random.default_rng(4)
    vectors = generator.normal(size=(600, 16)).astype(np.float32)
    ids = [f"c{n}" for n in range(600)]
    store = store_of(vectors, ids)
    gone = {int(n) for n in generator.choice(600, 400, replace=False)} | {0, 599}
    store.delete("i", [ids[n] for n in gone])
    left = [n for n in range(600) if n not in gone]
    assert sorted(store.ids("i")) == sorted(ids[n] for n in left)
    for odd in (True, False):
        rankings = store.query("i", vectors[left], 1, {"odd": odd})
        own = [n for n, ranking in zip(left, rankings, strict=True) if ranking[0][0] == ids[n]]
        assert own == [n for n in left if bool(n % 2) == odd]

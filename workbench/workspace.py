"""Registry, vault and store of a session, opened together and recovered when need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.config import CacheConfig, Config, StoreConfig
from workbench.errors import ConfigError, StateError, StoreDamaged
from workbench.index.recover import holds_what_it_should
from workbench.protocols import Store
from workbench.state.cache import CachedVault
from workbench.state.home import Home
from workbench.state.index_records import Index
from workbench.state.lru import LRU
from workbench.state.redis_cache import RedisCache
from workbench.state.registry import Registry
from workbench.stores import discard, open_store, was_unclean

DAY_S = 86_400


@dataclass(slots=True)
class Workspace:
    """Where indexes live. ``suspects`` must be rebuilt before they answer."""

    registry: Registry
    vault: CachedVault
    store: Store
    suspects: list[Index]

    def close(self) -> None:
        """Close the store, then the databases."""
        self.store.close()
        self.vault.close()
        self.registry.close()


def open_workspace(
    home: Home, url: str | None, notify: Callable[[str], None], cache: CacheConfig | None = None
) -> Workspace:
    """Open a home's workspace; ``url`` is a Chroma server, None the embedded store.

    After an unclean close the embedded store is probed; a damaged one is thrown away.
    """
    registry = Registry(home.registry)
    vault = open_vault(home, cache or CacheConfig(), notify)
    if url is not None:
        return Workspace(registry, vault, open_store("chroma", path=home.chroma, url=url), [])
    unclean = was_unclean(home.chroma)
    store, replaced = reopened(home.chroma, notify)
    workspace = Workspace(registry, vault, store, [])
    if unclean or replaced:
        workspace.suspects = suspects(workspace)
    return workspace


def suspects(workspace: Workspace) -> list[Index]:
    """Indexes whose collection does not hold what the registry says."""
    return [
        index
        for index in workspace.registry.indexes.all()
        if not holds_what_it_should(workspace.registry, workspace.store, index)
    ]


def reopened(path: Path, notify: Callable[[str], None]) -> tuple[Store, bool]:
    """The embedded store at ``path``, and whether it was damaged and replaced by an empty one."""
    try:
        return open_store("chroma", path=path), False
    except StoreDamaged as error:
        notify(f"the vector store is damaged ({error}); starting an empty one")
        discard(path)
        return open_store("chroma", path=path), True


def ephemeral_workspace(
    home: Home,
    settings: StoreConfig,
    notify: Callable[[str], None] = lambda _message: None,
    cache: CacheConfig | None = None,
) -> Workspace:
    """A workspace that ends with the session: a store in memory, but the vault of the home."""
    store = open_store(
        "memory", path=Path(), quantization=settings.quantization,
        oversampling=settings.oversampling, rescore=settings.rescore,
    )  # fmt: skip
    registry = Registry(None, accounts=home.registry)
    return Workspace(registry, open_vault(home, cache or CacheConfig(), notify), store, [])


@contextmanager
def open_records(
    config: Config, notify: Callable[[str], None]
) -> Iterator[tuple[Registry, CachedVault]]:
    """Registry and vault of an existing home without its store: sessions may be open beside.

    Raises:
        StateError: Nothing was ever kept there.
    """
    if not config.home.is_dir():
        raise StateError(f"{config.home} does not exist yet; ingest something, or give --home")
    home = Home(config.home)
    vault = open_vault(home, config.cache, notify)
    try:
        registry = Registry(home.registry)
        try:
            yield registry, vault
        finally:
            registry.close()
    finally:
        vault.close()


def open_vault(home: Home, settings: CacheConfig, notify: Callable[[str], None]) -> CachedVault:
    """The vault of a home with its tiers; vectors of queries past their days are removed.

    Raises:
        ConfigError: Redis is configured and its package, URL or password file is not usable.
    """
    remote = None
    if settings.redis_url is not None:
        remote = RedisCache(
            settings.redis_url.get_secret_value(),
            password=_secret(settings.redis_password_file),
            ttl_s=int(settings.redis_ttl_days * DAY_S),
            budget_s=settings.redis_budget_ms / 1000,
            notify=notify,
        )
    memory = LRU(int(settings.memory_mb * 1e6))
    vault = CachedVault(home.vault, memory=memory, remote=remote)
    vault.expire(settings.query_days * DAY_S)
    return vault


def _secret(path: Path | None) -> str | None:
    """The password in a file that nobody else may read."""
    if path is None:
        return None
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read cache.redis_password_file ({error})") from None
    if mode & 0o077 or not text:
        fault = "is empty" if not text else f"has mode {mode & 0o777:o}"
        raise ConfigError(
            f"cache.redis_password_file {path} {fault}; expected a password that only its owner "
            f"may read: `chmod 600 {path}`"
        )
    return text

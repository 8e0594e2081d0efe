"""Registry, vault and store of a session, opened together and recovered when need be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.config import StoreConfig
from workbench.errors import StoreDamaged
from workbench.index.recover import holds_what_it_should
from workbench.protocols import Store
from workbench.state.home import Home
from workbench.state.index_records import Index
from workbench.state.registry import Registry
from workbench.state.vault import Vault
from workbench.stores import discard, open_store, was_unclean


@dataclass(slots=True)
class Workspace:
    """Where indexes live. ``suspects`` must be rebuilt before they answer."""

    registry: Registry
    vault: Vault
    store: Store
    suspects: list[Index]

    def close(self) -> None:
        """Close the store, then the databases."""
        self.store.close()
        self.vault.close()
        self.registry.close()


def open_workspace(home: Home, url: str | None, notify: Callable[[str], None]) -> Workspace:
    """Open a home's workspace; ``url`` is a Chroma server, None the embedded store.

    After an unclean close the embedded store is probed; a damaged one is thrown away.
    """
    registry = Registry(home.registry)
    vault = Vault(home.vault)
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


def ephemeral_workspace(home: Home, settings: StoreConfig) -> Workspace:
    """A workspace that ends with the session: a store in memory, but the vault of the home."""
    store = open_store(
        "memory", path=Path(), quantization=settings.quantization,
        oversampling=settings.oversampling, rescore=settings.rescore,
    )  # fmt: skip
    return Workspace(Registry(None), Vault(home.vault), store, [])

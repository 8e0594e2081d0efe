"""What a session has open: executor, providers, workspaces, tracker, and the lock of its home."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.closing import Closing
from workbench.config import Config
from workbench.corpus import Corpus
from workbench.cost.budget import Budget
from workbench.errors import ConfigError
from workbench.run import make_executor, services
from workbench.run.telling import TellingExecutor
from workbench.state.home import Home
from workbench.workspace import (
    Workspace,
    ephemeral_workspace,
    open_workspace,
    reopened,
    suspects,
)

if TYPE_CHECKING:
    from workbench.models.api.providers import Providers
    from workbench.protocols import Executor, Tracker

Notify = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class Resources(Closing):
    """Everything a session opens, each on first use, and closes when it is left."""

    def __init__(self, config: Config, *, notify: Notify, progress: Progress) -> None:
        """Open nothing yet."""
        self.config = config
        self.notify = notify
        self.progress = progress
        self._endpoints = services.read(config.home)
        self._workspaces: list[Workspace] = []

    def close(self) -> None:
        """Close what was opened: executor, stores, databases, lock."""
        if "executor" in self.__dict__:
            self.executor.close()
            del self.__dict__["executor"]
        if "providers" in self.__dict__:
            self.providers.close()
            del self.__dict__["providers"]
        while self._workspaces:
            self._workspaces.pop().close()
        self.__dict__.pop("workspace", None)
        if "_home" in self.__dict__:
            self._home.unlock()

    @cached_property
    def _home(self) -> Home:
        """The directory of this session, made when something is first kept in it."""
        return Home(self.config.home)

    @cached_property
    def executor(self) -> Executor:
        """Where stages run, started on first use."""
        settings = self.config.executor
        found = self._endpoints
        token = found.token_path if found else None
        address = settings.address or (found.ray_address if found else None)
        made = make_executor(
            settings.kind, settings.actors, settings.threads, settings.attempts,
            address=address, token_path=token,
        )  # fmt: skip
        return TellingExecutor(made, self.progress)

    @cached_property
    def providers(self) -> Providers:
        """Encoders of remote models, made on first use."""
        from workbench.models.api.providers import Providers

        return Providers(self.config.providers)

    @cached_property
    def workspace(self) -> Workspace:
        """Registry, vault and store of this home, opened and recovered on first use."""
        settings = self.config.store
        if settings.kind == "memory":
            return self.temporary_workspace()
        if settings.quantization != "none":
            raise ConfigError(
                f"store.quantization is {settings.quantization!r}, but {settings.kind} keeps "
                "float32 vectors; measure it with `evaluate --store memory`, or set it to none"
            )
        work = self._kept(open_workspace(self._home, self._own(), self.notify, self.config.cache))
        self._rebuild(work)
        return work

    @cached_property
    def tracker(self) -> Tracker:
        """Where runs are recorded."""
        from workbench.track import make_tracker

        if not self.config.tracking:
            return make_tracker(None, self._home.artifacts)
        found = self._endpoints
        served = found.mlflow_url if found else None
        uri = self.config.tracking_uri or served or self._home.mlflow_uri
        return make_tracker(uri, self._home.artifacts)

    def temporary_workspace(self) -> Workspace:
        """An exact in-memory store with a registry of its own over this home's vault."""
        if "workspace" not in self.__dict__:
            self._own()
        return self._kept(
            ephemeral_workspace(self._home, self.config.store, self.notify, self.config.cache)
        )

    def discard(self, workspace: Workspace) -> None:
        """Close a temporary workspace before the session ends."""
        self._workspaces.remove(workspace)
        workspace.close()

    def _kept(self, work: Workspace) -> Workspace:
        """Close ``work`` with the session, and let its ledger refuse what exceeds the budget."""
        self._workspaces.append(work)
        Budget.of(work.registry.ledger, self.config.budget).enforce()
        return work

    def _own(self) -> str | None:
        """URL of the store server; without one, take the home for this process."""
        if self.config.store.url:
            return self.config.store.url
        self._endpoints = services.read(self.config.home)
        if self._endpoints is None or self._endpoints.chroma_url is None:
            self._home.lock()
            self._endpoints = services.read(self.config.home)  # a server may have come first
        if self._endpoints and self._endpoints.chroma_url:
            self._home.unlock()
            return self._endpoints.chroma_url
        return None

    def _probe(self) -> None:
        """Look at the store before a server owns it; a damaged one is replaced and rebuilt."""
        self._home.lock()
        try:
            reopened(self._home.chroma, self.notify)[0].close()
        finally:
            self._home.unlock()

    def recover(self) -> int:
        """Rebuild every index whose collection is not what the registry says; returns how many."""
        self.workspace.suspects = suspects(self.workspace)
        return self._rebuild(self.workspace)

    def _rebuild(self, work: Workspace) -> int:
        """Make suspects anew, and finish what an earlier session began to make anew.

        All suspects are declared empty before the first one is rebuilt: a session that dies half
        way leaves nothing that looks whole.
        """
        names = {work.registry.documents.corpus(n): n for n in work.registry.documents.names()}
        corpora = {i: Corpus(self, work, name) for i, name in names.items()}
        for index in work.suspects:
            corpora[index.corpus_id].reset(index)
        work.suspects = []
        begun = [
            index
            for index in work.registry.indexes.all()
            if index.generation > 1 and index.cursor < work.registry.documents.head(index.corpus_id)
        ]
        for index in begun:
            done = corpora[index.corpus_id].resume(index)
            self.notify(
                f"index {done.index} of {done.corpus!r} was rebuilt from the vault: "
                f"{done.chunks} chunks, {done.encoder_calls} encoder calls"
            )
        return len(begun)

"""The directory that holds everything, and the lock that gives it to one process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from workbench.errors import HomeLocked, StateError

LAYOUT = 1


class Home:
    """Paths of a home, made on first use."""

    def __init__(self, root: Path) -> None:
        """Use ``root``.

        Raises:
            StateError: A newer version of the workbench made it, or it cannot be written.
        """
        self.root = root.absolute()
        self._lock = FileLock(self.root / "home.lock")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._check_layout()
        except OSError as error:
            raise StateError(
                f"cannot use {self.root} as home ({error}); name another with --home"
            ) from error

    @property
    def registry(self) -> Path:
        """File of the registry."""
        return self.root / "registry.sqlite"

    @property
    def vault(self) -> Path:
        """File of the vault."""
        return self.root / "vault.sqlite"

    @property
    def chroma(self) -> Path:
        """Directory of the vector store."""
        return self.root / "chroma"

    @property
    def mlflow_uri(self) -> str:
        """Absolute URI of the tracking database."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Directory of tracked files."""
        return self.root / "mlartifacts"

    def lock(self) -> None:
        """Take the home for this process until ``unlock`` (or until the process ends).

        Raises:
            HomeLocked: Another process has it; names the process and what to do.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise HomeLocked(
                f"{self.root} is in use by {self._holder()}. An embedded home belongs to one "
                "process at a time: close that one, or start the services with `workbench up` so "
                "that several can work."
            ) from None
        facts = {"pid": os.getpid(), "command": " ".join(sys.argv)[:200]}
        self._holder_file.write_text(json.dumps(facts), encoding="utf-8")

    def unlock(self) -> None:
        """Give the home back; no error when it is not held."""
        if self._lock.is_locked:
            self._holder_file.unlink(missing_ok=True)
            self._lock.release(force=True)

    @property
    def _holder_file(self) -> Path:
        return self.root / "home.holder"

    def _holder(self) -> str:
        try:
            facts = json.loads(self._holder_file.read_text(encoding="utf-8"))
            alive = psutil.pid_exists(int(facts["pid"]))
        except (OSError, ValueError, KeyError):
            return "another process"
        state = "" if alive else ", which has ended"
        return f"process {facts['pid']} ({facts['command']}{state})"

    def _check_layout(self) -> None:
        marker = self.root / "layout"
        if not marker.exists():
            marker.write_text(f"{LAYOUT}\n", encoding="utf-8")
        found = marker.read_text(encoding="utf-8").strip()
        if found != str(LAYOUT):
            raise StateError(
                f"{self.root} has layout {found!r}; this version of the workbench knows {LAYOUT}. "
                "Upgrade the workbench, or name another home with --home."
            )

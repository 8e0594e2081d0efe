"""services.json: which servers of a home were started, written so that a crash loses none."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.errors import ServiceError
from workbench.run.processes import Handle

LOCK_S = 180.0


@dataclass(frozen=True, slots=True)
class Record:
    """One line of services.json: a server that was started.

    Attributes:
        name: ``"chroma"``, ``"mlflow"`` or ``"ray"``.
        handle: Its process.
        port: Port of 127.0.0.1 that answers HTTP (Ray: the dashboard).
        url: The same as a URL.
        address: Ray only: ``host:port`` of the head.
        folder: Ray only: its temporary directory.
    """

    name: str
    handle: Handle
    port: int
    url: str
    address: str = ""
    folder: str = ""


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Let one ``up`` or ``down`` work on ``home`` at a time.

    Raises:
        ServiceError: Another one did not finish.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(home / "services.lock")
    try:
        lock.acquire(timeout=LOCK_S)
    except Timeout:
        raise ServiceError(
            f"another `workbench up` or `down` has been at work on {home} for {LOCK_S:.0f} s; "
            "wait for it or end it, then try again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def load(home: Path) -> list[Record]:
    """What is recorded, dead or alive; nothing when there is no file.

    Raises:
        ServiceError: The file is not one of ours.
    """
    path = home / "services.json"
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))["services"]
        return [Record(**{**line, "handle": Handle(**line["handle"])}) for line in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceError(
            f"cannot read {path}: {error!r}; stop the servers it named by hand, then remove it"
        ) from error


def save(home: Path, records: Iterable[Record]) -> None:
    """Replace the file by ``records``; without any, remove it."""
    path = home / "services.json"
    lines = [asdict(record) for record in records]
    if lines:
        write_private(path, json.dumps({"services": lines}, indent=2) + "\n")
    else:
        path.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` in one step by a file that only its owner can read (mode 0600)."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)

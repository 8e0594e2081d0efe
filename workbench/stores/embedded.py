"""Life and death of an embedded store: the marker of an unclean close, the probe, the discard."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.errors import StoreDamaged, StoreError
from workbench.stores.base import REBUILD

PROBE_SECONDS = 120.0
PROBE_SECONDS_PER_MB = 1.0


def marker_of(path: Path) -> Path:
    """File beside the directory that exists while the store is open, or was not closed."""
    return path.with_name(f"{path.name}.open")


def was_unclean(path: Path) -> bool:
    """Whether the last owner of the store at ``path`` did not close it (or still has it open)."""
    return marker_of(path.absolute()).exists()


def mark_open(path: Path) -> None:
    """Write the marker, durably, before the store is touched.

    Raises:
        StoreError: The directory can not be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with marker_of(path).open("w", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write beside {path}: {error}; make it writable") from error


def mark_closed(path: Path) -> None:
    """Remove the marker."""
    marker_of(path).unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a damaged store, so that the next open starts empty. Close the store first.

    The directory is renamed before it is deleted: a crash in between leaves no half store. What
    such a crash left behind is removed too.
    """
    path = path.absolute()
    away = path.with_name(f"{path.name}.damaged")
    if away.exists():
        shutil.rmtree(away)
    if path.exists():
        path.rename(away)
        shutil.rmtree(away)
    mark_closed(path)


def check(path: Path, timeout: float | None = None) -> dict[str, Any]:
    """Probe the store at ``path`` in a process of its own, so that a crash there is an answer.

    Args:
        path: Directory of the store.
        timeout: Seconds to wait; by default two minutes and one second per MB on disk.

    Returns:
        What ``workbench.stores.probe`` printed.

    Raises:
        StoreDamaged: The probe found a contradiction, could not read, crashed, or did not end.
    """
    command = [sys.executable, "-m", "workbench.stores.probe", str(path)]
    limit = _patience(path) if timeout is None else timeout
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)  # noqa: S603, RUF100
    except subprocess.TimeoutExpired:
        raise _damaged(path, f"its probe did not answer within {limit:.0f} s") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise _damaged(path, f"its probe crashed with exit code {done.returncode}: {said}")
    if done.returncode or not answer.get("ok"):
        raise _damaged(path, f"its probe found: {answer.get('error') or answer}")
    return answer


def _damaged(path: Path, what: str) -> StoreDamaged:
    return StoreDamaged(f"the store at {path} was not closed and is damaged: {what}; {REBUILD}")


def _patience(path: Path) -> float:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return PROBE_SECONDS + PROBE_SECONDS_PER_MB * size / 2**20

"""Where models that were converted on this machine are kept, safely for several processes.

A model is one folder of files with a manifest that names the SHA-256 of each. A folder appears
under its final name in one step, so a reader sees all of it or nothing of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.models.files import sha256_of

MANIFEST = "manifest.json"


def key_of(facts: dict[str, Any]) -> str:
    """A folder name (32 hex digits) for whatever decides the content of a folder."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Cached:
    """A complete folder and what its manifest says beside the digests."""

    folder: Path
    facts: dict[str, Any]


def read_cached(folder: Path) -> Cached | None:
    """The model in ``folder`` if every file has the digest its manifest names, else None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all(
            sha256_of([folder / name]) == digest for name, digest in manifest["files"].items()
        )
        return Cached(folder, manifest["facts"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def get_or_make(folder: Path, make: Callable[[Path], dict[str, Any]]) -> Cached:
    """The model in ``folder``, made first where it is missing or damaged.

    Args:
        folder: Its place below ``places.cache_root()``.
        make: Writes the files into the folder it is given and returns facts for the manifest.
            Called by one process at a time.

    Raises:
        OSError: The cache can not be written.
    """
    if (found := read_cached(folder)) is not None:
        return found
    with _locked(folder):
        # Another process may have made it meanwhile.
        if (found := read_cached(folder)) is not None:
            return found
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as name:
            fresh = Path(name) / "model"
            fresh.mkdir()
            facts = make(fresh)
            seal(fresh, facts)
            publish(fresh, folder)
    return Cached(folder, facts)


def publish(fresh: Path, folder: Path) -> None:
    """Move a sealed folder to its place; what is there is damaged and goes away."""
    if folder.exists():
        doomed = fresh.parent / "damaged"
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    fresh.rename(folder)


def seal(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest of the files in ``folder``, with ``facts``."""
    digests = {path.name: sha256_of([path]) for path in sorted(folder.iterdir())}
    write_json(folder / MANIFEST, {"files": digests, "facts": facts})


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write ``path`` in one step: readers see the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def read_json(path: Path) -> dict[str, Any]:
    """What ``write_json`` wrote; empty when there is nothing readable."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        yield

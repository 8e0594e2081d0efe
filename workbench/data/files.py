"""Files of a folder, opened so that nothing blocks, leaves the folder or is read half.

Links to files are followed when their target lies inside the folder; links to folders are not, so
there are no loops and nothing is read twice. Pipes, sockets and devices are refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from workbench.errors import SourceError
from workbench.records import Quarantined

_ATTEMPTS = 2
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def printable(name: str) -> str:
    r"""``name`` with bytes that are not UTF-8 as ``\x..``, so that it can be shown and stored."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def files_below(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Path | Quarantined]:
    """Wanted files in the order of their relative paths, and those refused with the reason.

    Names that begin with a dot are left out, folders of such names with all they hold.

    Args:
        folder: Where to look, at any depth.
        wanted: Whether a file's name says that it can be read.
    """
    root = os.path.realpath(folder)
    found: list[tuple[str, Path | Quarantined]] = []
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = [e for e in os.scandir(current) if not e.name.startswith(".")]
        except OSError as error:
            name = current.relative_to(folder).as_posix()
            reason = f"cannot list the folder: {error.strerror}. Give read access to it."
            found.append((name, Quarantined(printable(name), reason, nameless=True)))
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif item := _listed(entry, path, folder, root, wanted):
                found.append((path.relative_to(folder).as_posix(), item))
    for _, item in sorted(found, key=lambda pair: pair[0]):
        yield item


def _listed(
    entry: os.DirEntry[str], path: Path, folder: Path, root: str, wanted: Callable[[Path], bool]
) -> Path | Quarantined | None:
    if not entry.is_symlink():
        return path if wanted(path) else None
    name = printable(path.relative_to(folder).as_posix())
    target = os.path.realpath(path)
    if os.path.isdir(target):  # noqa: PTH112 - a string, maybe of a loop
        inside = target == root or target.startswith(root + os.sep)
        reason = "a link to a folder elsewhere is not followed. Name that folder as a source."
        return None if inside else Quarantined(name, reason)
    if not wanted(path):
        return None
    if not os.path.exists(target):  # noqa: PTH110 - a string, maybe of a loop
        return Quarantined(name, "a broken link: its target does not exist. Mend or remove it.")
    if not target.startswith(root + os.sep):
        reason = "a link that leads out of the folder is not followed. Copy the file, or name it."
        return Quarantined(name, reason)
    return path


def opened(path: Path) -> BufferedReader:
    """A regular file, open for reading.

    Raises:
        SourceError: It is no regular file, or can not be opened.
    """
    try:
        # Without waiting: a named pipe would block until somebody writes.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise SourceError(f"cannot read {printable(str(path))}: {error.strerror}") from error
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        kind = next((kind for test, kind in _KINDS if test(mode)), "something else")
        raise SourceError(
            f"cannot read {printable(str(path))}: found {kind}, expected a regular file. Remove it."
        )
    return file


def read_whole(path: Path, limit: int) -> bytes:
    """The first ``limit`` + 1 bytes of a file, read again when it changed meanwhile.

    Raises:
        SourceError: It can not be read, or changed during both attempts.
    """
    for _ in range(_ATTEMPTS):
        with opened(path) as file:
            before = _identity(os.fstat(file.fileno()))
            try:
                data = _read(file, limit)
            except OSError as error:
                raise SourceError(f"cannot read {path.name}: {error.strerror}") from error
            if before == _now(path):
                return data
    raise SourceError(_changed(path))


def _read(file: BufferedReader, limit: int) -> bytes:
    return file.read(limit + 1)


@contextmanager
def unchanged(paths: Sequence[Path]) -> Iterator[None]:
    """Check at the end of a block that no file changed while it ran.

    Raises:
        SourceError: One did: what was read may be torn.
    """
    before = [_now(path) for path in paths]
    yield
    for path, known in zip(paths, before, strict=True):
        if _now(path) != known:
            raise SourceError(_changed(path))


def _changed(path: Path) -> str:
    return (
        f"{printable(path.name)} changed while it was read, so nothing is deleted because of it. "
        "Ingest again when its writer is done."
    )


def _identity(facts: os.stat_result) -> tuple[int, int, int]:
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _now(path: Path) -> tuple[int, int, int] | None:
    try:
        return _identity(path.stat())
    except OSError:
        return None

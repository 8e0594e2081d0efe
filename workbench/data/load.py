"""Open a source by path or name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from workbench.config import SourceConfig
from workbench.data import hub, readers, tables
from workbench.data.files import files_below, printable
from workbench.data.source import Item, Source
from workbench.errors import SourceError, UnknownName
from workbench.records import Quarantined

__all__ = [
    "PYTHON_DOCS",
    "Source",
    "beir_file",
    "data_dirs",
    "eval_set_names",
    "find_set",
    "known_sets",
    "open_source",
]

PYTHON_DOCS = "python-docs"
_CHECKOUT = Path(__file__).parent.parent.parent
_TEXTS = frozenset({".txt", ".md", ".html", ".htm"})
_TABLES: dict[str, Callable[[Path, str, SourceConfig], Iterator[Item]]] = {
    ".jsonl": readers.read_jsonl,
    ".csv": tables.read_csv,
    ".parquet": tables.read_parquet,
}
_FORMATS = ".txt .md .html .jsonl .csv .parquet"


def data_dirs(env: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Folders of evaluation sets: those of ``WORKBENCH_DATA``, then a shared one if it is there."""
    value = (os.environ if env is None else env).get("WORKBENCH_DATA", "")
    named = [Path(part).expanduser().absolute() for part in value.split(os.pathsep) if part]
    shared = _CHECKOUT.parent / "shared" / "data"
    return tuple(dict.fromkeys([*named, shared] if shared.is_dir() else named))


def beir_file(folder: Path, stem: str) -> Path | None:
    """``stem`` or ``stem.gz`` in ``folder``, whichever exists."""
    return next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)


def known_sets(dirs: Sequence[Path]) -> dict[str, Path]:
    """Folders in BEIR layout by name (``scifact``, ``xquad-r/en``); ``eval_sets/`` comes first."""
    found: dict[str, Path] = {}
    for root in (_CHECKOUT / "eval_sets", *dirs):
        for folder in _subfolders(root):
            inner = [folder] if beir_file(folder, "corpus.jsonl") else _subfolders(folder)
            for candidate in inner:
                if beir_file(candidate, "corpus.jsonl"):
                    found.setdefault(candidate.relative_to(root).as_posix(), candidate)
    return found


def eval_set_names() -> tuple[str, ...]:
    """Names of the sets that can be evaluated here: those of ``eval_sets/`` and ours first."""
    shipped = known_sets(())
    return tuple(dict.fromkeys([*shipped, PYTHON_DOCS, *known_sets(data_dirs())]))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def find_set(name: str, dirs: Sequence[Path]) -> tuple[str, Path]:
    """Stable name and path of a source given by the name of a set or by path.

    A set comes before a path of the same name; ``./name`` always is a path.

    Raises:
        UnknownName: There is neither such a folder nor such a set; lists the sets found.
    """
    known = known_sets(dirs)
    if name in known and not _looks_like_path(name):
        return name, known[name]
    path = Path(name).expanduser()
    if name and path.exists():
        return _stable_name(path, known), path.absolute()
    searched = ", ".join(str(folder) for folder in dirs) or "no folder: set WORKBENCH_DATA"
    cure = f"Searched eval_sets and {searched}. A path to a file or folder works too."
    raise UnknownName.among("source or evaluation set", name, [*known, PYTHON_DOCS], cure)


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~"))


def _stable_name(path: Path, known: Mapping[str, Path]) -> str:
    """Name of a place: its set name, else its last part and a hash of the whole path.

    The hash keeps two folders of the same name apart: what is absent from one is not deleted
    because the other was read.
    """
    resolved = path.resolve()
    for name, folder in known.items():
        if folder.resolve() == resolved:
            return name
    mark = hashlib.blake2b(os.fsencode(resolved), digest_size=4).hexdigest()
    return f"{printable(resolved.name) or 'root'}@{mark}"


def open_source(
    name: str, *, data_dirs: Sequence[Path], options: SourceConfig = readers.DEFAULTS
) -> Source:
    """The source called ``name``; nothing is read before it is iterated.

    Args:
        name: ``python-docs``, the name of an evaluation set, ``hf:owner/name`` (then optionally
            ``:config``, ``#split`` and ``@revision``), or the path of a file, of a folder or of
            what ``save_to_disk`` made (then optionally ``#split``).
        data_dirs: Where evaluation sets are looked up after ``eval_sets/``.
        options: How files are read. Columns are not mapped in evaluation sets: theirs are fixed.

    Raises:
        UnknownName: There is no such source; lists the sets found.
        SourceError: A file of that format, or a folder without such files, can not be read.
        ConfigError: The name of a Hub data set is malformed.
    """
    if name == PYTHON_DOCS:
        from workbench.data.python_docs import documents

        return Source(PYTHON_DOCS, documents)
    if name.startswith(hub.HUB):
        return hub.hub_source(name, options)
    before, mark, split = name.rpartition("#")
    if mark and not Path(name).exists() and hub.is_saved(Path(before).expanduser()):
        stable, path = find_set(before, data_dirs)
        return hub.saved_source(stable, path, split, options)
    stable, path = find_set(name, data_dirs)
    return _folder(stable, path, options) if path.is_dir() else _file(stable, path, options)


def _folder(stable: str, path: Path, options: SourceConfig) -> Source:
    corpus = beir_file(path, "corpus.jsonl")
    if corpus is not None:
        return Source(stable, partial(readers.read_jsonl, corpus))
    if hub.is_saved(path):
        return hub.saved_source(stable, path, None, options)
    if not any(files_below(path, _is_readable)) and any(files_below(path, lambda _: True)):
        raise SourceError(f"{path} holds no file to read; expected {_FORMATS}")
    return Source(stable, partial(_read_folder, path, options))


def _file(stable: str, path: Path, options: SourceConfig) -> Source:
    if not _is_readable(path):
        raise SourceError(
            f"cannot read {path}: the format {path.suffix or '(none)'!r} is not one of {_FORMATS}"
        )
    return Source(stable, partial(_read_file, path, path.name, "", options))


def _kind(path: Path) -> str:
    inner = path.with_suffix("") if path.suffix == ".gz" else path
    return inner.suffix.lower() if inner is path or inner.suffix == ".jsonl" else ""


def _is_readable(path: Path) -> bool:
    return _kind(path) in _TEXTS or _kind(path) in _TABLES


def _read_folder(folder: Path, options: SourceConfig) -> Iterator[Item]:
    """Every file; a table that can not be read to its end is refused, and nothing is deleted."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is gone. Restore the folder, or delete its documents.")
    for path in files_below(folder, _is_readable):
        if isinstance(path, Quarantined):
            yield path
            continue
        name = path.relative_to(folder).as_posix()
        try:
            yield from _read_file(path, name, f"{printable(name)} ", options)
        except SourceError as error:
            yield Quarantined(printable(name), str(error), nameless=True)


def _read_file(path: Path, document_id: str, prefix: str, options: SourceConfig) -> Iterator[Item]:
    if _kind(path) in _TABLES:
        yield from _TABLES[_kind(path)](path, prefix, options)
    elif printable(document_id) != document_id:
        reason = "the file's name is not valid UTF-8. Rename it."
        yield Quarantined(printable(document_id), reason, nameless=True)
    else:
        yield readers.read_text(path, document_id, options)

"""Docstrings of installed Python code, read with ``ast``: nothing is imported or run."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TypeGuard

from workbench.errors import SourceError

_SKIPPED = frozenset(
    {"conftest", "dialects", "encodings", "ensurepip", "extern", "externals", "idlelib", "lib2to3"}
    | {"pydoc_data", "site-packages", "dist-packages", "test", "testing", "tests", "tkinter"}
    | {"turtledemo", "vendor"}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One docstring, its summary apart from its body."""

    name: str
    package: str
    kind: str
    summary: str
    body: str


def stdlib_entries() -> Iterator[Entry]:
    """Docstrings of the standard library, by module name."""
    yield from _entries(_stdlib(), _stdlib(), "stdlib")


def package_entries(package: str) -> Iterator[Entry]:
    """Docstrings of an installed package, by module name.

    Raises:
        SourceError: It is not installed.
    """
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the package {package!r} is not installed. Run `make setup`.")
    root = Path(spec.submodule_search_locations[0])
    yield from _entries(root.parent, root, package)


def topic_entries() -> Iterator[Entry]:
    """Chapters of the language reference that come with the interpreter.

    Raises:
        SourceError: This interpreter comes without them.
    """
    path = _stdlib() / "pydoc_data" / "topics.py"
    if not path.is_file():
        raise SourceError(f"this Python has no {path.name} of pydoc. Install a complete Python.")
    for node in _parsed(path).body:
        if isinstance(node, ast.Assign):
            topics: dict[str, str] = ast.literal_eval(node.value)
            for name in sorted(topics):
                summary, body = _split(topics[name].strip())
                heading = summary.split("\n", 1)[0]
                yield Entry(f"topics.{name}", "topics", "topic", heading, body)


def _stdlib() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def _parsed(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes are not our concern
        try:
            return ast.parse(path.read_bytes(), filename=path.name)
        except (OSError, SyntaxError, ValueError) as error:
            raise SourceError(f"cannot read {path}: {error}. Install the package again.") from error


def _entries(base: Path, root: Path, package: str) -> Iterator[Entry]:
    for module, path in sorted(_modules(base, root)):
        tree = _parsed(path)
        for name, kind, node in [(module, "module", tree), *_members(tree, module)]:
            text = ast.get_docstring(node)
            if text:
                summary, body = _split(text)
                yield Entry(name, package, kind, summary, body)


def _modules(base: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Public modules below ``folder`` with their dotted names; skipped trees are not entered."""
    for path in folder.iterdir():
        if path.name.startswith("_") and path.name != "__init__.py":
            continue
        if path.is_dir():
            if path.name.isidentifier() and path.name not in _SKIPPED:
                yield from _modules(base, path)
        elif path.suffix == ".py" and path.stem.isidentifier() and path.stem not in _SKIPPED:
            parts = path.relative_to(base).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if parts and not parts[-1].startswith("test_"):
                yield ".".join(parts), path


_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _is_public(node: ast.stmt) -> TypeGuard[_Definition]:
    return isinstance(node, _Definition) and not node.name.startswith("_")


def _members(
    node: ast.Module | ast.ClassDef, prefix: str
) -> Iterator[tuple[str, str, _Definition]]:
    for child in node.body:
        if not _is_public(child):
            continue
        name = f"{prefix}.{child.name}"
        if isinstance(child, ast.ClassDef):
            yield name, "class", child
            yield from _members(child, name)
        else:
            yield name, "function" if isinstance(node, ast.Module) else "method", child


def _split(text: str) -> tuple[str, str]:
    """First paragraph of a docstring, and all that follows."""
    summary, _, body = text.strip().partition("\n\n")
    return summary, body.strip("\n")

"""The files behind a spec: where they are on this machine, and whether they are the right ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from workbench.errors import DigestMismatch, ModelMissing
from workbench.models.catalogue import Entry, entries, folder_of
from workbench.models.names import parse_name
from workbench.models.places import ARTIFACT_FILES, TOKENIZER, cache_root
from workbench.spec import EmbeddingSpec

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What an encoder loads."""

    folder: Path
    weights: tuple[Path, ...]
    tokenizer: Path
    tokenizer_sha256: str | None = None


def sha256_of(paths: Sequence[Path]) -> str:
    """SHA-256 (hex) over the contents of ``paths``, one after the other.

    A file that has the path, size and modification time of one hashed before in this process is
    not read again.
    """
    facts = [(path, path.stat()) for path in paths]
    return _sha256(tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in facts))


@lru_cache(maxsize=64)
def _sha256(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in files:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def located(spec: EmbeddingSpec) -> EmbeddingSpec:
    """``spec`` with the location of its files on this machine.

    A spec made elsewhere names a folder that may not exist here; a catalogued model is then found
    again by its name.

    Raises:
        ModelMissing: Neither the named folder nor the catalogue has the files.
    """
    if spec.location and Path(spec.location).is_dir():
        return spec
    if is_artifact(spec):
        return replace(spec, location=str(_artifact(spec)))
    entry = _entry(spec)
    if entry is None:
        raise ModelMissing(
            f"model {spec.model!r} (space {spec.fingerprint}): its folder "
            f"{spec.location or '(none given)'} is not on this machine and the catalogue does not "
            "know it. Put the folder there, or resolve the model again by its path here."
        )
    return replace(spec, location=str(folder_of(parse_name(spec.model).base, entry)))


def files_of(spec: EmbeddingSpec) -> ModelFiles:
    """The files of ``spec``, relocated if need be, not yet verified.

    Raises:
        ModelMissing: They are not on this machine.
    """
    spec = located(spec)
    folder = Path(spec.location)
    if is_artifact(spec):
        paths = tuple(folder / name for name in ARTIFACT_FILES)
        return _present(spec, ModelFiles(folder, paths, folder / TOKENIZER))
    entry = _entry(spec)
    if entry is None or entry.provider == "sentence-transformers":
        found = ModelFiles(folder, weights_in(folder), folder / "tokenizer.json")
    else:
        found = ModelFiles(folder, (folder / entry.weights,), folder / entry.tokenizer)
    if entry is not None and entry.weights_sha256 == spec.digest:
        found = replace(found, tokenizer_sha256=entry.tokenizer_sha256)
    return _present(spec, found)


def _present(spec: EmbeddingSpec, files: ModelFiles) -> ModelFiles:
    for path in (*files.weights, files.tokenizer):
        if not path.is_file():
            raise ModelMissing(f"model {spec.model!r}: {path} is not there; expected a file")
    return files


def is_artifact(spec: EmbeddingSpec) -> bool:
    """Whether ``spec`` is run from a quantised artifact of our own making."""
    return spec.provider == "sentence-transformers" and spec.precision == "int8"


def _artifact(spec: EmbeddingSpec) -> Path:
    folder = cache_root() / "int8" / spec.digest
    if not folder.is_dir():
        raise ModelMissing(
            f"model {spec.model!r}: the artifact {spec.digest} is not on this machine; expected it "
            f"in {folder}. Copy that folder from the machine that made it: another quantisation "
            "is another space."
        )
    return folder


def weights_in(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a sentence-transformers folder, by name, subfolders included.

    Raises:
        ModelMissing: There are none (pickled weights are never loaded).
    """
    found = tuple(sorted(folder.rglob("*.safetensors")))
    if not found:
        raise ModelMissing(
            f"{folder} holds no *.safetensors; expected the weights of a sentence-transformers "
            "model (pickled weights are not loaded). Save the model again as safetensors."
        )
    return found


def verified(spec: EmbeddingSpec) -> ModelFiles:
    """The files of ``spec``, proven to be those its digest promises.

    Raises:
        ModelMissing: They are not on this machine.
        DigestMismatch: Weights or tokenizer are others.
    """
    files = files_of(spec)
    _demand(spec.model, "weights", files.weights, spec.digest)
    if files.tokenizer_sha256:
        _demand(spec.model, "tokenizer", [files.tokenizer], files.tokenizer_sha256)
    return files


def verified_entry(name: str, entry: Entry) -> ModelFiles:
    """Like ``verified`` for a catalogued model that has no embedding spec (a reranker)."""
    folder = folder_of(name, entry)
    files = ModelFiles(folder, (folder / entry.weights,), folder / entry.tokenizer)
    _demand(name, "weights", files.weights, entry.weights_sha256 or "")
    if entry.tokenizer_sha256:
        _demand(name, "tokenizer", [files.tokenizer], entry.tokenizer_sha256)
    return files


def _demand(model: str, what: str, paths: Sequence[Path], expected: str) -> None:
    found = sha256_of(paths)
    if found != expected:
        raise DigestMismatch(
            f"model {model!r}: the {what} in {paths[0]} have SHA-256 {found}, expected {expected}. "
            "The files are damaged or of another version: reinstall them (`make setup`), or "
            "resolve the model again to use it as another space."
        )


def _entry(spec: EmbeddingSpec) -> Entry | None:
    entry = entries().get(parse_name(spec.model).base)
    return entry if entry and (entry.provider, entry.kind) == (spec.provider, "encoder") else None

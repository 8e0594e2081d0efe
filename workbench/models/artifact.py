"""Quantised models as files: found by digest, packed to be sent, unpacked where missing."""

from __future__ import annotations

import io
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

from workbench.errors import DigestMismatch, ModelMissing
from workbench.models.files import sha256_of
from workbench.models.model_cache import publish, read_cached, read_json, seal, write_json
from workbench.models.places import ARTIFACT_FILES, cache_root
from workbench.spec import EmbeddingSpec

_SENT = (*ARTIFACT_FILES, "reference.npy")


def artifact_folder(digest: str) -> Path:
    """Where the artifact with this SHA-256 is on this machine, if it is here."""
    return cache_root() / "int8" / digest


def point_at(spec: EmbeddingSpec, digest: str) -> None:
    """Let ``@int8`` of the float32 ``spec`` mean this artifact; older ones stay usable."""
    write_json(_pointer(spec), {"digest": digest, "model": spec.model})


def quantised(spec: EmbeddingSpec) -> EmbeddingSpec:
    """The int8 spec of the float32 ``spec``.

    Raises:
        ModelMissing: No artifact was made; names the command that makes it.
    """
    digest = str(read_json(_pointer(spec)).get("digest", ""))
    if not digest or not artifact_folder(digest).is_dir():
        raise ModelMissing(
            f"model '{spec.model}@int8' has not been made on this machine: int8 needs a "
            f"calibration, once. Run `workbench models quantize {spec.model}`."
        )
    location = str(artifact_folder(digest))
    name = f"{spec.model}@int8"
    return replace(spec, model=name, precision="int8", digest=digest, location=location)


def pack(spec: EmbeddingSpec) -> bytes:
    """The artifact of ``spec`` as one uncompressed tar, to be sent to another machine.

    Raises:
        ModelMissing: It is not here.
    """
    folder = artifact_folder(spec.digest)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in _SENT:
            if not (folder / name).is_file():
                raise ModelMissing(f"model {spec.model!r}: {folder / name} is not there")
            tar.add(folder / name, arcname=name)
    return packed.getvalue()


def unpack(spec: EmbeddingSpec, packed: bytes) -> None:
    """Put what ``pack`` gave into the cache of this machine, unless it is there and whole.

    Raises:
        DigestMismatch: What was sent is not the artifact of ``spec``; nothing is kept.
    """
    folder = artifact_folder(spec.digest)
    if read_cached(folder) is not None:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as name:
        fresh = Path(name) / "model"
        fresh.mkdir()
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for member in _SENT:
                content = tar.extractfile(member)
                (fresh / member).write_bytes(content.read() if content else b"")
        found = sha256_of([fresh / file for file in ARTIFACT_FILES])
        if found != spec.digest:
            raise DigestMismatch(
                f"the files sent for {spec.model!r} have SHA-256 {found}, expected {spec.digest}"
            )
        seal(fresh, {})
        if read_cached(folder) is None:  # another process may have been faster
            publish(fresh, folder)


def _pointer(spec: EmbeddingSpec) -> Path:
    return cache_root() / "int8" / f"of-{spec.digest[:32]}-{spec.pooling}.json"

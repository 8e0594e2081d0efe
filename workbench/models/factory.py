"""From a name to a spec, and from a spec to an encoder."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import ModelError
from workbench.models.base import TextEncoder
from workbench.models.catalogue import entries, spec_of
from workbench.models.files import verified
from workbench.spec import EmbeddingSpec


def resolve(name: str) -> EmbeddingSpec:
    """The embedding spec behind a catalogue name or the path of a sentence-transformers folder.

    The digest of a catalogued model is the pinned one; that of a folder is computed. Loading
    verifies either.

    Args:
        name: E.g. ``"minilm-l6"`` or ``"/models/mine"``. A catalogue name goes first.

    Raises:
        UnknownName: Neither; names the nearest model.
        ModelError: It makes no vectors (``"bm25"``, a reranker), or the folder can not be used.
        ModelMissing: Its package is not on this machine; says how to install it.
    """
    if name not in entries() and name and Path(name).expanduser().is_dir():
        from workbench.models.folder import spec_of_folder

        return spec_of_folder(Path(name))
    return spec_of(name)


def build_encoder(spec: EmbeddingSpec, threads: int = 1) -> TextEncoder:
    """Load the encoder of ``spec`` after verifying its files.

    Args:
        spec: From ``resolve``, maybe on another machine: a catalogued model is found again.
        threads: CPU threads to compute with.

    Raises:
        ModelMissing: The files are not on this machine.
        DigestMismatch: They are not those the digest promises.
        ModelError: The provider is unknown, or the files can not be loaded.
    """
    known = ("static", "onnx", "sentence-transformers")
    if spec.provider not in known:
        raise ModelError(
            f"unknown provider {spec.provider!r} of model {spec.model!r}; expected one of "
            f"{', '.join(known)}"
        )
    files = verified(spec)
    use_threads(threads)
    if spec.provider == "static":
        from workbench.models.static import StaticEncoder

        return StaticEncoder(spec, files)
    if spec.provider == "onnx":
        from workbench.models.onnx import OnnxEncoder

        return OnnxEncoder(spec, files, threads)
    from workbench.models.local import LocalEncoder

    return LocalEncoder(spec, files, threads)


def use_threads(threads: int) -> None:
    """Let the tokenizers library use a pool of its own only where more than one CPU is ours."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if threads > 1 else "false")

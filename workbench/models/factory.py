"""From a name to a spec, and from a spec to an encoder."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import ModelError
from workbench.models.api.catalogue import is_remote, spec_of_remote
from workbench.models.base import TextEncoder
from workbench.models.catalogue import entries, spec_of
from workbench.models.files import ModelFiles, verified
from workbench.models.names import ModelName, parse_name
from workbench.models.variants import in_precision, sized, warn_of_loss
from workbench.spec import EmbeddingSpec


def resolve(name: str) -> EmbeddingSpec:
    """The embedding spec behind ``NAME[@PRECISION][/DIMENSION]``.

    The digest of a catalogued model is the pinned one; that of a folder is computed. Loading
    verifies either.

    Args:
        name: E.g. ``"minilm-l6"``, ``"minilm-l6@bfloat16"``, ``"wordllama/128"``,
            ``"openai:text-embedding-3-small/512"``, or the path of a sentence-transformers folder.

    Raises:
        UnknownName: There is no such model; names the nearest.
        ConfigError: There is no such precision, or the model does not make so long vectors.
        ModelError: It makes no vectors (``"bm25"``, a reranker), does not compute in this
            precision, or the folder can not be used.
        ModelMissing: Its package or its int8 artifact is not on this machine; says how to get it.
    """
    if is_remote(name):
        return spec_of_remote(name)
    whole = name not in entries() and name and Path(name).expanduser().is_dir()
    parts = ModelName(name) if whole else parse_name(name)
    return sized(in_precision(_plain(parts.base), parts.precision), parts.dimension)


def _plain(base: str) -> EmbeddingSpec:
    if base not in entries() and base and Path(base).expanduser().is_dir():
        from workbench.models.folder import spec_of_folder

        return spec_of_folder(Path(base))
    return spec_of(base)


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
    encoder = _loaded(spec, files, threads)
    warn_of_loss(encoder)
    return encoder


def _loaded(spec: EmbeddingSpec, files: ModelFiles, threads: int) -> TextEncoder:
    if spec.provider == "static":
        from workbench.models.static import StaticEncoder

        return StaticEncoder(spec, files)
    if spec.provider == "onnx":
        from workbench.models.onnx import OnnxEncoder

        return OnnxEncoder(spec, files, threads)
    from workbench.models.engines import build_transformer

    return build_transformer(spec, files, threads)


def use_threads(threads: int) -> None:
    """Let the tokenizers library use a pool of its own only where more than one CPU is ours."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if threads > 1 else "false")

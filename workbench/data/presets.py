"""Named chunking specs: those of ``configs/chunking.yaml``, your own, and plain sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from workbench.config import ChunkingPreset, read_yaml, shipped, validate
from workbench.errors import ConfigError, UnknownName
from workbench.spec import ChunkingSpec

_FILE = "chunking.yaml"
_SIZES = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")
USUAL_OVERLAP = 0.12
OVERLAP_RANGE = (0.10, 0.15)
"""Share of its budget that a chunk usually repeats: less loses context, more costs vectors."""


class _Presets(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    presets: dict[str, ChunkingPreset]


def preset_names() -> tuple[str, ...]:
    """The presets that ship, in the order of their file."""
    return tuple(_shipped())


def _shipped() -> dict[str, ChunkingPreset]:
    return validate(_Presets, read_yaml(shipped(_FILE)), _FILE).presets


def preset(name: str, own: Mapping[str, ChunkingPreset] | None = None) -> ChunkingSpec:
    """The chunking spec called ``name``, not yet bound to a tokenizer.

    Args:
        name: A preset, or sizes as ``TOKENS`` or ``TOKENS:OVERLAP`` (e.g. ``"200:24"``); without
            an overlap it is 12 %.
        own: Presets of the configuration; they win over those that ship.

    Raises:
        UnknownName: There is no such preset; names the nearest.
        ConfigError: The sizes do not fit each other, or the file of presets is wrong.
    """
    known = _shipped() | dict(own or {})
    if name in known:
        chosen = known[name]
    elif sizes := _SIZES.fullmatch(name):
        tokens = int(sizes[1])
        overlap = int(tokens * USUAL_OVERLAP if sizes[2] is None else sizes[2])
        facts = {"strategy": "sentence", "max_tokens": tokens, "overlap_tokens": overlap}
        chosen = validate(ChunkingPreset, facts, f"chunking {name!r}")
    else:
        cure = f"Presets are in configs/{_FILE}; sizes are written TOKENS or TOKENS:OVERLAP."
        raise UnknownName.among("chunking preset", name, known, cure)
    return ChunkingSpec(name=name, **chosen.model_dump())


def overlap_advice(spec: ChunkingSpec) -> str:
    """What to say about an overlap outside of the usual range; empty when there is nothing."""
    if spec.strategy == "whole":
        return ""
    share = spec.overlap_tokens / spec.max_tokens
    low, high = OVERLAP_RANGE
    # A preset rounds down to whole tokens.
    if (spec.overlap_tokens + 1) / spec.max_tokens > low and share <= high:
        return ""
    return (
        f"chunking {spec.name!r} repeats {share:.0%} of a chunk ({spec.overlap_tokens} of "
        f"{spec.max_tokens} tokens); {low:.0%} to {high:.0%} is usual: less loses context at a "
        "cut, more costs vectors"
    )


def check_budget(spec: ChunkingSpec, max_tokens_of_encoder: int) -> None:
    """Refuse chunks that the encoder would cut silently.

    Args:
        spec: The chunking.
        max_tokens_of_encoder: Tokens after which the encoder cuts; 0 = never.

    Raises:
        ConfigError: The budget of a chunk exceeds what the encoder reads.
    """
    if max_tokens_of_encoder and spec.max_tokens > max_tokens_of_encoder:
        raise ConfigError(
            f"chunking {spec.name!r} makes chunks of up to {spec.max_tokens} tokens, but the model "
            f"reads only {max_tokens_of_encoder} and would cut the rest silently. Choose a preset "
            f"of at most {max_tokens_of_encoder} tokens, or a model with a longer input."
        )

"""Named chunking specs, read from ``configs/chunking.yaml``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.config import read_yaml, shipped, validate
from workbench.errors import ConfigError, UnknownName
from workbench.spec import ChunkingSpec

_FILE = "chunking.yaml"
MIN_TOKENS = 16
"""Smallest budget of a chunk: below it a header and one character may not fit together."""


class _Preset(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal["whole", "sentence"]
    max_tokens: int = Field(0, ge=0)
    overlap_tokens: int = Field(0, ge=0)
    header: str = "{title} "

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.strategy == "whole" and (self.max_tokens or self.overlap_tokens):
            raise ValueError("'whole' takes neither max_tokens nor overlap_tokens; remove them")
        if self.strategy == "sentence" and self.max_tokens < MIN_TOKENS:
            raise ValueError(f"'sentence' needs max_tokens of {MIN_TOKENS} or more")
        if self.overlap_tokens and self.overlap_tokens * 2 > self.max_tokens:
            raise ValueError("overlap_tokens may be at most half of max_tokens")
        return self


class _Presets(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    presets: dict[str, _Preset]


def preset_names() -> tuple[str, ...]:
    """Names of all presets, in the order of their file."""
    return tuple(_known())


def _known() -> dict[str, _Preset]:
    return validate(_Presets, read_yaml(shipped(_FILE)), _FILE).presets


def preset(name: str) -> ChunkingSpec:
    """The chunking spec called ``name``, not yet bound to a tokenizer.

    Raises:
        UnknownName: There is no such preset; names the nearest.
        ConfigError: The file of presets is wrong.
    """
    known = _known()
    if name not in known:
        raise UnknownName.among("chunking preset", name, known, f"Presets are in configs/{_FILE}.")
    return ChunkingSpec(name=name, **known[name].model_dump())


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

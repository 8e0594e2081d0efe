"""How documents are read, cut, and assigned to models."""

from __future__ import annotations

import codecs
import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from workbench.config.files import Section

_ENCODINGS = re.compile(
    r"utf-8(-sig)?|utf-(16|32)(-[lb]e)?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|gbk|gb2312"
    r"|gb18030|big5(hkscs)?|euc_(jp|kr)|iso2022_(jp|kr)|shift_jis|tis-620"
)


def is_text_encoding(name: str) -> bool:
    """Whether ``name`` is an encoding of texts (and not, say, of archives or of identifiers)."""
    try:
        return _ENCODINGS.fullmatch(codecs.lookup(name).name) is not None
    except (LookupError, ValueError):
        return False


class SourceConfig(Section):
    """How sources are read.

    ``id``, ``title`` and ``text`` name columns of tables; without a name the usual ones are
    looked for. ``id: "#content"`` makes ids of the content: a changed text is a new document.
    ``metadata`` names the columns that are kept beside the text, or is ``all``. ``encoding`` is
    that of files which do not say theirs. ``boilerplate: remove`` leaves headers, footers, side
    notes, forms and menus of pages out.
    """

    id: str | None = None
    title: str | None = None
    text: str | None = None
    metadata: Literal["all"] | tuple[str, ...] = "all"
    encoding: str = "utf-8"
    boilerplate: Literal["keep", "remove"] = "keep"

    @field_validator("metadata", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """``a,b`` is two names, as variables write it."""
        if not isinstance(value, str) or value == "all":
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        if not is_text_encoding(value):
            raise ValueError("expected the name of a text encoding such as utf-8 or cp1252")
        return codecs.lookup(value).name


MIN_CHUNK_TOKENS = 16
"""Smallest budget of a chunk: below it a header and one character may not fit together."""


class ChunkingPreset(Section):
    """How documents are cut: see ``workbench.spec.ChunkingSpec`` for what the fields mean."""

    strategy: Literal["whole", "sentence"]
    max_tokens: int = Field(0, ge=0)
    overlap_tokens: int = Field(0, ge=0)
    header: str = "{title} "

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.strategy == "whole" and (self.max_tokens or self.overlap_tokens):
            raise ValueError("'whole' takes neither max_tokens nor overlap_tokens; remove them")
        if self.strategy == "sentence" and self.max_tokens < MIN_CHUNK_TOKENS:
            raise ValueError(
                f"a chunk needs a budget of {MIN_CHUNK_TOKENS} tokens or more; "
                f"found {self.max_tokens}"
            )
        if self.overlap_tokens * 2 > self.max_tokens:
            raise ValueError(
                f"an overlap of {self.overlap_tokens} tokens is more than half of the "
                f"{self.max_tokens} tokens of a chunk; 10 to 15 % is usual"
            )
        return self


class TierRule(Section):
    """Which documents of a corpus go to the index of one model.

    A document fits when it has at least ``min_tokens`` and fewer than ``max_tokens`` tokens (0 =
    no bound), every value of ``where`` among its metadata, and one of ``tenants`` (empty = any).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    model: str
    chunking: str | None = None
    min_tokens: int = Field(0, ge=0)
    max_tokens: int = Field(0, ge=0)
    where: dict[str, str | int | float | bool] = Field(default_factory=dict)
    tenants: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether every document fits."""
        return not (self.min_tokens or self.max_tokens or self.where or self.tenants)


BY_LENGTH = (
    TierRule(name="short", model="wordllama", max_tokens=100),
    TierRule(name="medium", model="minilm-l6", max_tokens=1_000),
    TierRule(name="long", model="bge-small"),
)
"""``by-length``: the cheap model for short documents, the better ones for longer ones."""

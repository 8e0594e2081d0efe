"""The remote models that are known by name, and what decides their vectors."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.errors import ConfigError, UnknownName
from workbench.spec import EmbeddingSpec

REMOTE = frozenset({"openai", "voyage", "cohere"})
"""Providers, as they stand before the colon of a name."""

_DIMENSION = re.compile(r"(.+)/(\d{1,6})")
_SIZES = (256, 512, 1024, 2048)
_UNKNOWN_TOKENS = 8_191


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What a provider documents about a model.

    Attributes:
        provider: One of ``REMOTE``.
        name: As the provider calls it.
        dimension: Length of a vector when nothing else is asked for.
        max_tokens: Tokens of an input that are read.
        request_tokens: Tokens of all inputs of a request together; 0 = no limit.
        matryoshka: Whether shorter vectors can be asked for.
        sizes: The lengths that can be asked for; empty = any up to ``dimension``.
    """

    provider: str
    name: str
    dimension: int
    max_tokens: int
    request_tokens: int = 0
    matryoshka: bool = False
    sizes: tuple[int, ...] = ()

    @property
    def full_name(self) -> str:
        """E.g. ``openai:text-embedding-3-small``."""
        return f"{self.provider}:{self.name}"

    def check(self, dimension: int) -> None:
        """Refuse a length that the model does not make.

        Raises:
            ConfigError: Says which lengths there are.
        """
        if dimension == self.dimension:
            return
        if self.sizes:
            fits, known = dimension in self.sizes, ", ".join(map(str, self.sizes))
        else:
            fits, known = 1 <= dimension <= self.dimension, f"1 to {self.dimension}"
        if not (self.matryoshka and fits):
            offered = known if self.matryoshka else f"{self.dimension} only"
            raise ConfigError(
                f"model {self.full_name!r} does not make vectors of {dimension} numbers; "
                f"expected {offered}. Change the number behind the slash, or leave it out."
            )


def _openai(name: str, dimension: int, *, matryoshka: bool = True) -> RemoteModel:
    return RemoteModel("openai", name, dimension, 8_191, 300_000, matryoshka)


def _voyage(
    name: str, request_tokens: int, *, sizes: tuple[int, ...] = _SIZES, tokens: int = 32_000
) -> RemoteModel:
    return RemoteModel("voyage", name, 1024, tokens, request_tokens, bool(sizes), sizes)


# Sources: the reference pages of the providers' embedding endpoints.
_MODELS = (
    _openai("text-embedding-3-small", 1536),
    _openai("text-embedding-3-large", 3072),
    _openai("text-embedding-ada-002", 1536, matryoshka=False),
    _voyage("voyage-4-large", 120_000),
    _voyage("voyage-4", 320_000),
    _voyage("voyage-4-lite", 1_000_000),
    _voyage("voyage-3-large", 120_000),
    _voyage("voyage-3.5", 320_000),
    _voyage("voyage-3.5-lite", 1_000_000),
    _voyage("voyage-code-3", 120_000),
    _voyage("voyage-finance-2", 120_000, sizes=()),
    _voyage("voyage-law-2", 120_000, sizes=(), tokens=16_000),
    RemoteModel(
        "cohere", "embed-v4.0", 1536, 128_000, matryoshka=True, sizes=(256, 512, 1024, 1536)
    ),
    RemoteModel("cohere", "embed-english-v3.0", 1024, 512),
    RemoteModel("cohere", "embed-multilingual-v3.0", 1024, 512),
    RemoteModel("cohere", "embed-english-light-v3.0", 384, 512),
    RemoteModel("cohere", "embed-multilingual-light-v3.0", 384, 512),
)
_BY_NAME = {model.full_name: model for model in _MODELS}


def remote_models() -> tuple[RemoteModel, ...]:
    """Every remote model known by name."""
    return _MODELS


def is_remote(name: str) -> bool:
    """Whether ``name`` (``openai:MODEL``, …) is that of a remote model."""
    provider, colon, model = name.partition(":")
    return bool(colon and model) and provider in REMOTE


def model_of(spec: EmbeddingSpec) -> RemoteModel:
    """The facts about the model of ``spec``; a model not known makes just ``spec.dimension``."""
    known = _BY_NAME.get(spec.model)
    if known is not None:
        return known
    name = spec.model.removeprefix(f"{spec.provider}:")
    return RemoteModel(spec.provider, name, spec.dimension, spec.max_tokens, spec.max_tokens)


def spec_of_remote(name: str) -> EmbeddingSpec:
    """The embedding spec of a remote model; nothing is called.

    A model that is not known (a compatible server may have any) needs its dimension in the name
    and is taken to read 8,191 tokens.

    Args:
        name: ``PROVIDER:MODEL`` or ``PROVIDER:MODEL/DIMENSION``.

    Raises:
        UnknownName: There is no such model; names the nearest.
        ConfigError: The model does not make that dimension.
    """
    sized = _DIMENSION.fullmatch(name)
    base, wanted = (sized[1], int(sized[2])) if sized else (name, 0)
    model = _BY_NAME.get(base)
    if model is None:
        provider, _, short = base.partition(":")
        if not (is_remote(base) and wanted):
            raise UnknownName.among(
                "remote model", base, _BY_NAME,
                "For a model of another server write its dimension: openai:MODEL/DIMENSION.",
            )  # fmt: skip
        tokens = _UNKNOWN_TOKENS
        model = RemoteModel(provider, short, wanted, tokens, tokens)
    if sized:
        model.check(wanted)
    return EmbeddingSpec(
        provider=model.provider,
        model=model.full_name,
        digest=f"{model.provider}/{model.name}",
        dimension=wanted or model.dimension,
        pooling="none",
        normalize=True,
        max_tokens=model.max_tokens,
    )

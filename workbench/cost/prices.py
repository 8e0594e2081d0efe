"""What models cost: ``configs/prices.yaml``, and prices of your own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.config import OwnPrice, read_yaml, shipped, validate
from workbench.errors import UnknownPrice
from workbench.spec import EmbeddingSpec

__all__ = ["Price", "UnknownPrice", "price_named", "price_of", "prices"]

_FILE = "prices.yaml"
LOCAL = frozenset({"static", "onnx", "openvino", "sentence-transformers"})
"""Providers that run on machines of one's own."""

Unit = Literal["tokens", "searches"]


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per so many units, when and where they stood.

    Attributes:
        model: Full name, e.g. ``"openai:text-embedding-3-small"``.
        usd: Dollars for ``per`` units.
        per: E.g. 1,000,000.
        unit: What is counted.
        as_of: Date of the source, ISO.
        source: Where it stood.
    """

    model: str
    usd: float
    per: int = 1_000_000
    unit: Unit = "tokens"
    as_of: str = ""
    source: str = ""

    def dollars(self, tokens: int) -> float:
        """Dollars for ``tokens`` tokens (or searches, see ``unit``)."""
        return self.usd * tokens / self.per

    def __str__(self) -> str:
        if not self.usd:
            return "$0 (runs here)"
        return f"${self.usd:g} per {self.per:,} {self.unit} as of {self.as_of or 'unknown'}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: float = Field(gt=0, allow_inf_nan=False)
    per: Literal[1_000, 1_000_000]
    unit: Unit
    as_of: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    source: str = Field(pattern="^https://")
    also: str = ""


class _Prices(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prices: dict[str, _Entry]


@lru_cache(maxsize=1)
def prices() -> dict[str, Price]:
    """Every price that ships, by full name.

    Raises:
        ConfigError: ``configs/prices.yaml`` is wrong.
    """
    found = validate(_Prices, read_yaml(shipped(_FILE)), _FILE).prices
    return {
        name: Price(name, **entry.model_dump(exclude={"also"})) for name, entry in found.items()
    }


def price_of(spec: EmbeddingSpec, own: Mapping[str, OwnPrice] | None = None) -> Price:
    """What ``spec`` costs; a model that runs here costs nothing.

    Args:
        spec: The space.
        own: Prices of the configuration; they win over those that ship.

    Raises:
        UnknownPrice: A remote model is in no list; names the file.
    """
    if spec.provider in LOCAL:
        return Price(spec.model, 0.0)
    prefix = f"{spec.provider}:"
    return price_named(prefix + spec.model.removeprefix(prefix), own)


def price_named(name: str, own: Mapping[str, OwnPrice] | None = None) -> Price:
    """The price of a remote model or reranker by its full name; a dimension (``/512``) is free.

    Raises:
        UnknownPrice: It is in no list; names the file.
    """
    base = name if own and name in own else name.partition("/")[0]
    if own and base in own:
        mine = own[base]
        return Price(base, mine.usd, as_of=mine.as_of, source=mine.source)
    found = prices().get(base)
    if found is None:
        cure = (
            f"It is not taken to be free: write its price (with date and source) into "
            f"{shipped(_FILE)}, or under budget.prices in your configuration."
        )
        raise UnknownPrice.among("price of model", base, prices(), cure)
    return found

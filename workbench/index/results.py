"""What the verbs on a corpus give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.results import Result


@dataclass(frozen=True, slots=True)
class IndexList(Result):
    """The indexes of a corpus; the one that its route points at is marked."""

    corpus: str
    indexes: tuple[dict[str, Any], ...]

    def rows(self) -> Sequence[dict[str, Any]]:
        """One row per index."""
        return list(self.indexes)


@dataclass(frozen=True, slots=True)
class DeleteResult(Result):
    """How many of the named documents were there and are now deleted."""

    corpus: str
    asked: int
    deleted: int


@dataclass(frozen=True, slots=True)
class RebuildResult(Result):
    """A rebuilt index: everything came from the vault when ``encoder_calls`` is 0."""

    corpus: str
    index: str
    chunks: int
    encoder_calls: int
    cache_hits: int
    seconds: float

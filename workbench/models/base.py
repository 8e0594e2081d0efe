"""What every encoder shares: prompts, counting, and the check of what a model answered."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InvalidVectors, ModelError
from workbench.models.truncate import shortened
from workbench.records import Role
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

    from workbench.models.equivalence import Agreement
    from workbench.protocols import Vectors

_SHOWN = 10
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """``text`` with lone surrogates, which no tokenizer takes, replaced by U+FFFD one for one."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def validated(vectors: NDArray[np.floating], n: int, dimension: int) -> Vectors:
    """``vectors`` as contiguous float32, if they may be stored.

    Args:
        vectors: What a model answered.
        n: Rows expected: one per text.
        dimension: Columns expected.

    Raises:
        InvalidVectors: The shape is wrong, or rows (named) are not finite or all zero.
    """
    if vectors.shape != (n, dimension):
        raise InvalidVectors(
            f"the model answered with shape {vectors.shape} to {n} texts; "
            f"expected ({n}, {dimension}). Nothing was stored."
        )
    _refuse(np.asarray(~np.isfinite(vectors).all(axis=1)), "hold NaN or infinity")
    _refuse(
        np.asarray(~vectors.any(axis=1)), "are all zero (a text without a token the model knows?)"
    )
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _refuse(bad: NDArray[np.bool_], what: str) -> None:
    rows = np.flatnonzero(bad).tolist()
    if rows:
        more = ", …" if len(rows) > _SHOWN else ""
        shown = ", ".join(map(str, rows[:_SHOWN]))
        raise InvalidVectors(
            f"{len(rows)} of {len(bad)} vectors {what}: rows {shown}{more}. Nothing was stored; "
            "remove or quarantine those texts."
        )


class TextEncoder(ABC):
    """An encoder on this machine. Satisfies ``workbench.protocols.Encoder``.

    A subclass computes vectors; prompts, token counts and the final check are done here.
    """

    def __init__(self, spec: EmbeddingSpec, tokenizer: Tokenizer, *, special: bool = True) -> None:
        """Remember the space; ``tokenizer`` neither pads nor truncates."""
        self._spec = spec
        self._tokenizer = tokenizer
        self._special = special
        self._native = spec.dimension
        self.agreed: Agreement | None = None
        """How it agrees with the float32 reference, where that was checked on loading."""

    @property
    def native(self) -> int:
        """Length of the model's own vectors, before truncation."""
        return self._native

    def _makes(self, dimension: int) -> None:
        """Say how long the model's own vectors are; longer than the spec's: they are cut.

        Raises:
            ModelError: They are shorter.
        """
        if dimension < self._spec.dimension:
            raise ModelError(
                f"model {self._spec.model!r} makes vectors of {dimension} numbers; expected "
                f"{self._spec.dimension}. Resolve the model again."
            )
        self._native = dimension

    @property
    def engine(self) -> str:
        """What computes, for reports; not part of the identity."""
        return self._spec.provider

    @property
    def spec(self) -> EmbeddingSpec:
        """The space."""
        return self._spec

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Encode ``texts`` to shape (n, spec.dimension), float32, one row per text, in order.

        Raises:
            InvalidVectors: A vector would be unusable, e.g. of a text without tokens.
        """
        return self.encode_counted(texts, role)[0]

    def encode_counted(self, texts: Sequence[str], role: Role) -> tuple[Vectors, list[int]]:
        """The vectors of ``encode`` and the counts of ``count_tokens``, tokenising once."""
        if not texts:
            return np.empty((0, self._spec.dimension), np.float32), []
        prompted = self._prompted(texts, role)
        tokenised = self._tokenise(prompted)
        whole = validated(self._vectors(prompted, tokenised), len(texts), self._native)
        vectors = shortened(whole, self._spec.dimension, normalize=self._spec.normalize)
        return vectors, [len(one) for one in tokenised]

    def whole(self, texts: Sequence[str]) -> Vectors:
        """Vectors before truncation, shape (n, native dimension), of texts without prompts."""
        shown = [printable(text) for text in texts]
        return validated(self._vectors(shown, self._tokenise(shown)), len(texts), self._native)

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text with its prompt and the special tokens, before truncation."""
        return [len(one) for one in self._tokenise(self._prompted(texts, role))]

    def _prompted(self, texts: Sequence[str], role: Role) -> list[str]:
        prompt = self._spec.prompt(role)
        return [printable(prompt + text) for text in texts]

    def _tokenise(self, texts: list[str]) -> list[Encoding]:
        # The fast variant leaves out character offsets, which nothing needs here.
        return self._tokenizer.encode_batch_fast(texts, add_special_tokens=self._special)

    @abstractmethod
    def _vectors(self, texts: list[str], tokenised: list[Encoding]) -> Vectors:
        """Vectors, shape (n, native dimension), n > 0, of texts with their prompt."""

"""Counting tokens exactly as a model's own tokenizer does, without loading the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ModelError
from workbench.models.api.catalogue import REMOTE
from workbench.models.base import printable
from workbench.models.files import files_of, sha256_of
from workbench.protocols import TokenCounter
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a ``tokenizer.json``, with the padding and truncation it ships switched off.

    Raises:
        ModelError: The file is not a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{path} is not a tokenizer: {error}. Reinstall the model.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def adds_special_tokens(spec: EmbeddingSpec) -> bool:
    """Whether the encoder of ``spec`` reads special tokens around a text (static ones do not)."""
    return spec.provider != "static"


_ADDITIVE = ("BertNormalizer", "BertPreTokenizer", "WordPiece")
"""Parts that look at one word at a time."""


class _Counter:
    """Satisfies ``workbench.protocols.TokenCounter``."""

    def __init__(self, tokenizer: Tokenizer, *, special: bool) -> None:
        self._tokenizer = tokenizer
        self._special = special
        kinds = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.model)
        self.additive = tuple(type(part).__name__ for part in kinds) == _ADDITIVE

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range of every token of ``text``, in order, special tokens left out."""
        return self._tokenizer.encode(printable(text), add_special_tokens=False).offsets

    def count(self, text: str) -> int:
        """Tokens the encoder would see for ``text``, special tokens included, before truncation."""
        return len(self._tokenizer.encode(printable(text), add_special_tokens=self._special))


def counter_for(spec: EmbeddingSpec) -> TokenCounter:
    """A counter that agrees with the encoder of ``spec``; prompts are not counted.

    Raises:
        ModelMissing: The tokenizer is not on this machine.
    """
    if spec.provider in REMOTE:
        from workbench.models.api.counting import counter_of

        return counter_of(spec)
    return _Counter(load_tokenizer(files_of(spec).tokenizer), special=adds_special_tokens(spec))


def tokenizer_digest(spec: EmbeddingSpec) -> str:
    """First 16 hex digits of the SHA-256 of the tokenizer file of ``spec``.

    For a remote model they name how its tokens are counted here: exactly, or by an estimate.

    Raises:
        ModelMissing: The tokenizer is not on this machine.
    """
    if spec.provider in REMOTE:
        from workbench.models.api.counting import counter_of

        return counter_of(spec).digest
    return sha256_of([files_of(spec).tokenizer])[:16]

"""Tokens of texts that a provider will read, counted without asking anybody.

With the vocabulary of tiktoken on this machine (in ``TIKTOKEN_CACHE_DIR``, where tiktoken keeps it)
OpenAI's tokens are exact. Everything else is an estimate from bytes that errs on the high side.
Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.models.base import printable
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from tiktoken import Encoding

ENCODING = "cl100k_base"
"""The vocabulary of every embedding model of OpenAI."""

_FILE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
"""Name of that vocabulary in tiktoken's cache: SHA-1 of its address."""
_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"

_PIECE = re.compile(r"[A-Za-z]{1,4}|[0-9]{1,3}|[^ ]")
_ESTIMATE = "bytes-estimate-1"
_LAST_ONE_BYTE = 0x7F


class ByteEstimate:
    """Counts about 1.3 times the tokens of English and not fewer than those of most scripts.

    Four letters, three digits, or one other ASCII character are a token; single spaces are free.
    Any other character counts one token less than its bytes in UTF-8, and one at least. Satisfies
    ``workbench.protocols.TokenCounter``.
    """

    additive = True
    exact = False
    digest = hashlib.sha256(_ESTIMATE.encode()).hexdigest()[:16]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range of every token of ``text``, in order."""
        return [
            match.span()
            for match in _PIECE.finditer(text)
            for _ in range(_tokens_of_piece(match.group()))
        ]

    def count(self, text: str) -> int:
        """Tokens of ``text``."""
        return sum(_tokens_of_piece(piece) for piece in _PIECE.findall(text))

    def cut(self, text: str, tokens: int) -> str:
        """The longest beginning of ``text`` with at most ``tokens`` tokens."""
        used = 0
        for match in _PIECE.finditer(text):
            used += _tokens_of_piece(match.group())
            if used > tokens:
                return text[: match.start()]
        return text


def _tokens_of_piece(piece: str) -> int:
    if ord(piece[0]) <= _LAST_ONE_BYTE:
        return 1
    return max(1, len(piece.encode("utf-8", "replace")) - 1)


class TiktokenCounter:
    """Counts as OpenAI does. Satisfies ``workbench.protocols.TokenCounter``."""

    additive = False
    exact = True

    def __init__(self, encoding: Encoding, digest: str) -> None:
        """Count with ``encoding``; ``digest`` names its vocabulary."""
        self._encoding = encoding
        self.digest = digest[:16]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range of every token of ``text``; tokens within a character share it."""
        text = printable(text)
        tokens = self._encoding.encode_ordinary(text)
        _, starts = self._encoding.decode_with_offsets(tokens)
        return [(a, max(a + 1, b)) for a, b in pairwise([*starts, len(text)])]

    def count(self, text: str) -> int:
        """Tokens of ``text``."""
        return len(self._encoding.encode_ordinary(printable(text)))

    def cut(self, text: str, tokens: int) -> str:
        """The longest beginning of ``text`` with at most ``tokens`` tokens, on a character."""
        found = self._encoding.encode_ordinary(printable(text))
        if len(found) <= tokens:
            return text
        kept = self._encoding.decode_bytes(found[:tokens])
        return kept.decode("utf-8", "ignore")


Counter = ByteEstimate | TiktokenCounter


def counter_of(spec: EmbeddingSpec) -> Counter:
    """The best counter for a remote ``spec`` that this machine has."""
    if spec.provider == "openai" and (exact := _tiktoken(_cache_folder())) is not None:
        return exact
    return ByteEstimate()


def _cache_folder() -> Path:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if name in os.environ:
            return Path(os.environ[name])
    return Path(tempfile.gettempdir()) / "data-gym-cache"


@lru_cache(maxsize=4)
def _tiktoken(folder: Path) -> TiktokenCounter | None:
    """The exact counter, if tiktoken and its vocabulary are here and sound."""
    try:
        data = (folder / _FILE).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != _SHA256:
        return None  # tiktoken itself would delete the file and download another
    try:
        import tiktoken
    except ImportError:
        return None
    return TiktokenCounter(tiktoken.get_encoding(ENCODING), _SHA256)

"""The identity of a vector and of a chunk, written once. Everything else takes it from here."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

from workbench.records import Role

CLEANING_VERSION = 2
"""Version of the cleaning rules in ``workbench.data.clean``; part of every chunking spec."""

_SPACES = re.compile(" {2,}")


def framed_digest(parts: Iterable[str | bytes]) -> bytes:
    """Hash parts so that no two lists of parts collide by concatenation.

    Every part is preceded by its length (8 bytes, little endian): ``["ab", "c"]`` and
    ``["a", "bc"]`` differ. Lone surrogates are allowed.

    Returns:
        32 bytes of BLAKE2b.
    """
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(struct.pack("<Q", len(data)))
        digest.update(data)
    return digest.digest()


def _identity(facts: dict[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """Everything that decides a vector.

    Attributes:
        provider: Kind of encoder, e.g. ``"sentence-transformers"``, ``"static"``, ``"onnx"``.
        model: Name of the model; for a folder its last path component.
        digest: SHA-256 (hex) of the weights actually run.
        dimension: Length of a vector after truncation.
        pooling: ``"mean"``, ``"cls"`` or ``"none"``.
        normalize: Whether vectors have unit length.
        max_tokens: Tokens after which the encoder cuts, special tokens included; 0 = never.
        prompts: Per role the text put before the input.
        precision: Number format of the computation, e.g. ``"float32"``.
        epoch: Advanced when a remote model is seen to change under the same name.
        location: Where the files are on this machine. Not part of the identity.
    """

    provider: str
    model: str
    digest: str
    dimension: int
    pooling: str
    normalize: bool
    max_tokens: int
    prompts: tuple[tuple[Role, str], ...] = ()
    precision: str = "float32"
    epoch: int = 0
    location: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        """Names one vector space: 16 hex digits over every field but ``location``."""
        return _fingerprint(self)

    def prompt(self, role: Role) -> str:
        """Text put before an input of ``role``; empty when there is none."""
        return dict(self.prompts).get(role, "")

    def vault_key(self, role: Role, tenant: str, text: str) -> bytes:
        """Key (32 bytes) of the vector of ``text``, the exact string encoded less its prompt."""
        return framed_digest([self.fingerprint, role, tenant, text])

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values; ``from_dict`` gives the spec back."""
        facts = asdict(self)
        facts["prompts"] = [list(pair) for pair in self.prompts]
        return facts

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> EmbeddingSpec:
        """Inverse of ``to_dict``."""
        pairs = tuple((role, text) for role, text in facts["prompts"])
        return cls(**{**facts, "prompts": pairs})


@lru_cache(maxsize=64)
def _fingerprint(spec: EmbeddingSpec) -> str:
    facts = asdict(spec)
    del facts["location"]
    facts["prompts"] = sorted(facts["prompts"])
    return _identity(facts)


@dataclass(frozen=True, slots=True)
class ChunkingSpec:
    """Everything that decides the chunks and the exact string sent to the encoder.

    Attributes:
        name: Preset name, for people.
        strategy: ``"sentence"`` or ``"whole"`` (one chunk per document).
        max_tokens: Budget of a chunk, header and special tokens included; 0 with ``"whole"``.
        overlap_tokens: Tokens repeated from the chunk before, at most.
        tokenizer: Digest of the tokenizer that counts; empty until bound to a model.
        header: Template put before the text, with ``{title}`` and ``{headings}`` (those above the
            chunk, outermost first) in it; left out when what it names is empty.
        cleaning: Version of the cleaning rules.
    """

    name: str
    strategy: str
    max_tokens: int = 0
    overlap_tokens: int = 0
    tokenizer: str = ""
    header: str = "{title} "
    cleaning: int = CLEANING_VERSION

    @property
    def chunking_id(self) -> str:
        """16 hex digits over every field but the name."""
        facts = asdict(self)
        del facts["name"]
        return _identity(facts)

    def header_for(self, title: str, headings: Sequence[str] = ()) -> str:
        """What precedes a chunk of a document called ``title`` below ``headings``."""
        path = " > ".join(headings) if "{headings}" in self.header else ""
        if not title and not path:
            return ""
        header = self.header.replace("{headings}", path).replace("{title}", title)
        return _SPACES.sub(" ", header).lstrip(" ") if "{headings}" in self.header else header

    def bound_to(self, tokenizer: str) -> ChunkingSpec:
        """The same spec counting with the tokenizer of that digest (``whole`` counts nothing)."""
        return self if self.strategy == "whole" else replace(self, tokenizer=tokenizer)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> ChunkingSpec:
        """Inverse of ``to_dict``."""
        return cls(**facts)

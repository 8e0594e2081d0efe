"""Vectors through the vault: encode only what is missing, once, and account for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import VaultDamaged
from workbench.models.stages import Encoded, EncodeStage
from workbench.protocols import Executor
from workbench.records import Role
from workbench.spec import EmbeddingSpec
from workbench.state.ledger import Ledger
from workbench.state.vault import Vault


@dataclass(slots=True)
class EncodingCounts:
    """What an encoding run did: batches sent (attempts), texts encoded, hits, tokens, cuts."""

    encoder_calls: int = 0
    encoded: int = 0
    cache_hits: int = 0
    tokens: int = 0
    truncated: int = 0


class VaultEncoder:
    """Plans, accounts for and keeps the vectors of one space and one role.

    A key that is on its way to an encoder is never sent a second time: ``misses`` remembers what
    it has handed out until ``accept`` has put the vectors into the vault.
    """

    def __init__(
        self, spec: EmbeddingSpec, role: Role, vault: Vault, ledger: Ledger, run: str
    ) -> None:
        """Encode for ``spec`` and ``role``; ledger rows carry ``run``."""
        self.stage = EncodeStage(spec, role)
        self.counts = EncodingCounts()
        self._spec = spec
        self._role: Role = role
        self._vault = vault
        self._ledger = ledger
        self._run = run
        self._handed: set[bytes] = set()
        self._tenants: dict[bytes, str] = {}
        self._open: dict[int, int] = {}
        self._accepted = 0

    def key(self, tenant: str, text: str) -> bytes:
        """Vault key of ``text`` for ``tenant``."""
        key = self._spec.vault_key(self._role, tenant, text)
        self._tenants[key] = tenant
        return key

    def misses(self, keyed: Sequence[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """Those (key, text) pairs that must be encoded, each key once; counts the others."""
        unique = dict(keyed)
        asked = [key for key in unique if key not in self._handed]
        known = self._vault.get(asked, dimension=self._spec.dimension)
        for key in known:
            self._tenants.pop(key, None)
        missing = [
            (key, text)
            for key, text in unique.items()
            if key not in known and key not in self._handed
        ]
        self._handed.update(key for key, _ in missing)
        self.counts.cache_hits += len(keyed) - len(missing)
        return missing

    def waits_for(self, keys: Iterable[bytes]) -> bool:
        """Whether any of ``keys`` is still on its way."""
        return not self._handed.isdisjoint(keys)

    def on_attempt(self, number: int, batch: Any) -> None:
        """Write the intent of one attempt at batch ``number``."""
        self._open[number] = self._ledger.intend(
            self._run, self._spec.fingerprint, self._role, len(batch)
        )
        self.counts.encoder_calls += 1

    def accept(self, keys: Sequence[bytes], encoded: Encoded) -> None:
        """Put the answer to the next batch in order into the vault and settle its intent."""
        tenants = [self._tenants.pop(key, "") for key in keys]
        self._vault.put(
            self._spec.fingerprint, keys, encoded.vectors, role=self._role, tenants=tenants
        )
        self._handed.difference_update(keys)
        self._ledger.settle(self._open.pop(self._accepted), encoded.tokens)
        self._accepted += 1
        self.counts.encoded += len(keys)
        self.counts.tokens += encoded.tokens
        self.counts.truncated += encoded.truncated

    def vectors(self, keys: Sequence[bytes]) -> NDArray[np.float32]:
        """Vectors of ``keys`` from the vault, shape (len(keys), dimension).

        Raises:
            VaultDamaged: One that was there a moment ago is gone or broken.
        """
        found = self._vault.get(keys, dimension=self._spec.dimension, again=True)
        lost = sum(key not in found for key in keys)
        if lost:
            raise VaultDamaged(
                f"{lost} of {len(keys)} vectors of {self._spec.model} are missing from the vault "
                "or fail their checksum; run the command again to encode them anew"
            )
        if not keys:
            return np.empty((0, self._spec.dimension), dtype=np.float32)
        return np.stack([found[key] for key in keys])

    def encode_all(
        self, executor: Executor, tenant: str, texts: Sequence[str], batch_texts: int
    ) -> NDArray[np.float32]:
        """Vectors of ``texts`` in order, shape (len(texts), dimension), encoding what is new.

        Threads that ask for the same text at once share one encoding.
        """
        keys = [self.key(tenant, text) for text in texts]
        with self._vault.flights.hold(keys):
            missing = self.misses(list(zip(keys, texts, strict=True)))
            if missing:
                self._encode(executor, missing, batch_texts)
            return self.vectors(keys)

    def _encode(
        self, executor: Executor, missing: Sequence[tuple[bytes, str]], batch_texts: int
    ) -> None:
        self._accepted = 0
        self._open.clear()
        batches = list(batched(missing, batch_texts))
        answers = executor.map(
            self.stage,
            (tuple(text for _, text in batch) for batch in batches),
            self.on_attempt,
        )
        try:
            for batch, encoded in zip(batches, answers, strict=True):
                self.accept([key for key, _ in batch], encoded)
        finally:
            self._handed.clear()


def batched(
    missing: Sequence[tuple[bytes, str]], size: int
) -> Iterator[Sequence[tuple[bytes, str]]]:
    """Batches of texts of like length, longest first, so that little is padding."""
    ordered = sorted(missing, key=lambda pair: (-len(pair[1]), pair[0]))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]

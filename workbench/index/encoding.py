"""Vectors through the vault: encode only what is missing, once, and account for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.config import OwnPrice
from workbench.cost.prices import Price, price_of
from workbench.errors import ConfigError, InvalidVectors, VaultDamaged
from workbench.models.api.catalogue import REMOTE
from workbench.models.api.providers import Providers
from workbench.models.stages import Encoded, EncodeStage
from workbench.protocols import Executor
from workbench.records import DEFAULT_TENANT, Role
from workbench.spec import EmbeddingSpec
from workbench.state.ledger import Ledger
from workbench.state.vault import Vault

SHOWN_TEXT = 60


@dataclass(slots=True)
class EncodingCounts:
    """What an encoding run did: calls (attempts), texts encoded, hits, tokens, cuts, refusals."""

    encoder_calls: int = 0
    encoded: int = 0
    cache_hits: int = 0
    tokens: int = 0
    truncated: int = 0
    refused: int = 0


class Wanted(NamedTuple):
    """A text whose vector is wanted."""

    key: bytes
    text: str
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Account:
    """On whose account encoders work: what ledger rows carry, and how providers are reached.

    Attributes:
        run: Id of the run.
        corpus: What the texts are of.
        providers: Encoders of remote models; None = there are none here.
        prices: Prices of the configuration; they win over those that ship.
    """

    run: str
    corpus: str = ""
    providers: Providers | None = None
    prices: Mapping[str, OwnPrice] = field(default_factory=dict)


class VaultEncoder:
    """Plans, accounts for and keeps the vectors of one space and one role.

    A key that is on its way to an encoder is never sent a second time: ``misses`` remembers what
    it has handed out until the vector is in the vault. Local models run where the executor runs
    stages; remote ones are called from here, and every answer goes into the vault at once.

    Attributes:
        refused: Keys of texts that a provider gives no vector for, and why. They are not sent
            again by this encoder.
    """

    def __init__(
        self, spec: EmbeddingSpec, role: Role, vault: Vault, ledger: Ledger, account: Account | str
    ) -> None:
        """Encode for ``spec`` and ``role``; a bare ``account`` is the id of the run."""
        self.stage = EncodeStage(spec, role)
        self.counts = EncodingCounts()
        self.refused: dict[bytes, str] = {}
        self._spec = spec
        self._role: Role = role
        self._vault = vault
        self._ledger = ledger
        self._account = Account(account) if isinstance(account, str) else account
        self._handed: set[bytes] = set()

    @property
    def remote(self) -> bool:
        """Whether a provider encodes."""
        return self._spec.provider in REMOTE

    @property
    def _providers(self) -> Providers:
        if self._account.providers is None:
            raise ConfigError(
                f"model {self._spec.model!r} is called over the network, which this caller does "
                "not do; use it with ingest, search or evaluate"
            )
        return self._account.providers

    @cached_property
    def _price(self) -> Price:
        return price_of(self._spec, self._account.prices)

    def batch_texts(self, configured: int) -> int:
        """Texts of a batch: what one call of a provider carries, else ``configured``."""
        return self._providers.max_inputs(self._spec) if self.remote else configured

    def window_chunks(self, configured: int) -> int:
        """Chunks committed together: enough to fill a call of a provider."""
        return max(configured, self.batch_texts(1))

    def key(self, tenant: str, text: str) -> bytes:
        """Vault key of ``text`` for ``tenant``."""
        return self._spec.vault_key(self._role, tenant, text)

    def misses(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Those that must be encoded, each key once; counts the others that have a vector."""
        unique = {one.key: one for one in wanted if one.key not in self.refused}
        asked = [key for key in unique if key not in self._handed]
        known = self._vault.get(asked, dimension=self._spec.dimension)
        missing = [
            one for key, one in unique.items() if key not in known and key not in self._handed
        ]
        self._handed.update(one.key for one in missing)
        refused = sum(one.key in self.refused for one in wanted)
        self.counts.cache_hits += len(wanted) - len(missing) - refused
        return missing

    def waits_for(self, keys: Iterable[bytes]) -> bool:
        """Whether any of ``keys`` is still on its way."""
        return not self._handed.isdisjoint(keys)

    def stored(
        self, executor: Executor, batches: Iterable[Sequence[Wanted]]
    ) -> Iterator[Sequence[Wanted]]:
        """Encode ``batches``; gives each back, in order, once its vectors are in the vault.

        Batches (of one tenant each) are taken lazily. Texts that a provider refuses have no
        vector then: they are in ``refused``.

        Raises:
            ExecutionError: A batch failed for good on this machine or in an actor.
            ProviderError: A provider failed for good; what it had answered is in the vault.
            BudgetExceeded: The next call would exceed it.
        """
        return self._from_provider(batches) if self.remote else self._from_stage(executor, batches)

    def _from_stage(
        self, executor: Executor, batches: Iterable[Sequence[Wanted]]
    ) -> Iterator[Sequence[Wanted]]:
        sent: deque[Sequence[Wanted]] = deque()
        tenants: dict[int, str] = {}
        calls: dict[int, int] = {}

        def texts() -> Iterator[tuple[str, ...]]:
            for number, batch in enumerate(batches):
                sent.append(batch)
                tenants[number] = batch[0].tenant
                yield tuple(one.text for one in batch)

        def on_attempt(number: int, batch: Any) -> None:
            calls[number] = self.intend(len(batch), 0, tenants[number])

        for number, encoded in enumerate(executor.map(self.stage, texts(), on_attempt)):
            batch = sent.popleft()
            self.keep(calls.pop(number), batch, encoded)
            del tenants[number]
            yield batch

    def _from_provider(self, batches: Iterable[Sequence[Wanted]]) -> Iterator[Sequence[Wanted]]:
        open_batches: dict[int, Sequence[Wanted]] = {}

        def texts() -> Iterator[tuple[str, ...]]:
            for number, batch in enumerate(batches):
                open_batches[number] = batch
                yield tuple(one.text for one in batch)

        events = _Kept(self, open_batches)
        for number in self._providers.encoder(self._spec).run(texts(), self._role, events):
            yield open_batches.pop(number)

    def intend(self, texts: int, tokens: int, tenant: str) -> int:
        """Write down that ``texts`` of about ``tokens`` tokens are about to be sent."""
        self.counts.encoder_calls += 1
        return self._ledger.intend(
            self._account.run, self._spec.fingerprint, self._role, texts, model=self._spec.model,
            corpus=self._account.corpus, tenant=tenant, tokens=tokens,
            dollars=self._dollars(tokens),
        )  # fmt: skip

    def keep(self, call: int, texts: Sequence[Wanted], encoded: Encoded) -> None:
        """Put the answer to ``call`` into the vault and settle it."""
        keys = [one.key for one in texts]
        if keys:
            self._vault.put(
                self._spec.fingerprint, keys, encoded.vectors, role=self._role,
                tenants=[one.tenant for one in texts],
            )  # fmt: skip
        self._handed.difference_update(keys)
        self._ledger.settle(call, encoded.tokens, self._dollars(encoded.tokens))
        self.counts.encoded += len(keys)
        self.counts.tokens += encoded.tokens
        self.counts.truncated += encoded.truncated

    def fail(self, call: int, reason: str, tokens: int | None) -> None:
        """Close a call that gave nothing; one whose charge is not known stays as expected."""
        if tokens is not None:
            self._ledger.fail(call, reason, tokens, self._dollars(tokens))
            self.counts.tokens += tokens

    def refuse(self, key: bytes, reason: str) -> None:
        """Remember that a text has no vector."""
        self._handed.discard(key)
        self.refused[key] = reason
        self.counts.refused += 1

    def _dollars(self, tokens: int) -> float:
        return self._price.dollars(tokens) if self.remote else 0.0

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

        Raises:
            InvalidVectors: A provider refuses one of the texts.
        """
        wanted = [Wanted(self.key(tenant, text), text, tenant) for text in texts]
        keys = [one.key for one in wanted]
        with self._vault.flights.hold(keys):
            if missing := self.misses(wanted):
                try:
                    for _ in self.stored(executor, batched(missing, self.batch_texts(batch_texts))):
                        pass
                finally:
                    self._handed.clear()
            for one in wanted:
                if one.key in self.refused:
                    raise InvalidVectors(
                        f"the text {one.text[:SHOWN_TEXT]!r} has no vector: {self.refused[one.key]}"
                    )
            return self.vectors(keys)


class _Kept:
    """What the calls of a provider mean for vault and ledger (``workbench.models.api`` events)."""

    def __init__(self, encoder: VaultEncoder, batches: Mapping[int, Sequence[Wanted]]) -> None:
        self._encoder = encoder
        self._batches = batches

    def attempt(self, batch: int, texts: int, tokens: int) -> int:
        return self._encoder.intend(texts, tokens, self._batches[batch][0].tenant)

    def failed(self, call: int, reason: str, tokens: int | None) -> None:
        self._encoder.fail(call, reason, tokens)

    def done(self, call: int, batch: int, rows: Sequence[int], encoded: Encoded) -> None:
        self._encoder.keep(call, [self._batches[batch][row] for row in rows], encoded)

    def refused(self, batch: int, row: int, reason: str) -> None:
        self._encoder.refuse(self._batches[batch][row].key, reason)


def batched(missing: Sequence[Wanted], size: int) -> Iterator[Sequence[Wanted]]:
    """Batches of one tenant and of like length, longest first, so that little is padding."""
    ordered = sorted(missing, key=lambda one: (one.tenant, -len(one.text), one.key))
    for _, group in groupby(ordered, key=lambda one: one.tenant):
        mine = list(group)
        for start in range(0, len(mine), size):
            yield mine[start : start + size]

"""The encoder behind a remote model: asynchronous inside, synchronous outside."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.config import ProviderConfig
from workbench.errors import ProviderError
from workbench.models.api.calls import Calls
from workbench.models.api.catalogue import model_of
from workbench.models.api.counting import Counter, counter_of
from workbench.models.api.endpoint import key_of
from workbench.models.api.limiter import TokenLimiter
from workbench.models.api.loop import LoopThread
from workbench.models.api.packing import Limits, Part, pack, shortened
from workbench.models.api.wire import WIRES
from workbench.models.stages import Encoded
from workbench.records import Role
from workbench.spec import EmbeddingSpec

if TYPE_CHECKING:
    from workbench.protocols import Vectors


class Events(Protocol):
    """What a driver is told, always in its own thread."""

    def attempt(self, batch: int, texts: int, tokens: int) -> Any:
        """``texts`` of a batch, of about ``tokens`` tokens, are about to be sent.

        What it gives names the call. What it raises (a budget that is used up) stops the run; this
        call is not made.
        """
        ...

    def failed(self, call: Any, reason: str, tokens: int | None) -> None:
        """The call gave nothing; ``tokens`` were charged (None = not known)."""
        ...

    def done(self, call: Any, batch: int, rows: Sequence[int], encoded: Encoded) -> None:
        """The call gave the vectors of these rows of a batch: keep them now."""
        ...

    def refused(self, batch: int, row: int, reason: str) -> None:
        """This text has no vector and will get none; the others go on."""
        ...


class RemoteEncoder:
    """Turns texts into vectors of one remote space. Satisfies ``workbench.protocols.Encoder``.

    Args:
        spec: From ``spec_of_remote``.
        config: How the provider is reached.
        env: Where the key is looked up; None = the environment.
        rng: Jitter between attempts.
        clock: Rising seconds.
        sleep: Waits on the loop.
        counter: Counts tokens; None = the best one here.

    Raises:
        ConfigError: The address is not allowed, or there is no usable key.
    """

    def __init__(
        self,
        spec: EmbeddingSpec,
        config: ProviderConfig,
        *,
        env: Mapping[str, str] | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        counter: Counter | None = None,
    ) -> None:
        self._spec = spec
        self.config = config
        self.wire = WIRES[spec.provider](spec, config, key_of(spec.provider, config, env))
        self.rng = rng or random.Random()  # noqa: S311 (jitter, not a secret)
        self.clock = clock
        self.sleep = sleep
        self.limiter = TokenLimiter(config.tokens_per_minute, clock, sleep)
        self.slots = asyncio.Semaphore(config.concurrency)
        self.proven = False
        self.loop = LoopThread()
        self._counter = counter or counter_of(spec)
        self._limits = Limits(
            min(config.max_inputs or self.wire.max_inputs, self.wire.max_inputs),
            spec.max_tokens,
            model_of(spec).request_tokens,
            self.wire.cuts,
        )

    @property
    def spec(self) -> EmbeddingSpec:
        """The space."""
        return self._spec

    @property
    def max_inputs(self) -> int:
        """Texts that one call carries at most."""
        return self._limits.inputs

    @property
    def counts_exactly(self) -> bool:
        """Whether tokens are counted with the model's own vocabulary, not estimated."""
        return self._counter.exact

    def pack(self, batch: int, texts: Sequence[str]) -> tuple[list[Part], list[int]]:
        """The requests that ``texts`` make, and the rows that are blank."""
        return pack(batch, texts, self._counter, self._limits)

    def shortened(self, part: Part) -> Part:
        """A text that was refused for its length, cut to the tokens that are surely read."""
        return shortened(part, self._counter, self._limits.input_tokens)

    def run(self, batches: Iterable[Sequence[str]], role: Role, events: Events) -> Iterator[int]:
        """Encode ``batches``; gives the number of each, in order, when all its texts are told.

        Batches are taken lazily, while calls are on their way. ``events`` hears of every attempt
        before it is made and of every answer as soon as it has come, in any order.

        Raises:
            ProviderError: A request was refused, or failed on every attempt. Calls that were on
                their way are finished and told first.
            InvalidVectors: The provider answered every attempt with unusable vectors.
        """
        return Calls(self, role, events).results(batches)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Encode ``texts`` to shape (n, spec.dimension), float32, in order; nothing is recorded.

        Raises:
            ProviderError: The provider failed, or refused one of the texts (names it).
        """
        gathered = _Gathered(len(texts), self._spec.dimension)
        for _ in self.run([tuple(texts)], role, gathered):
            pass
        if gathered.reasons:
            row, reason = min(gathered.reasons.items())
            raise ProviderError(
                f"{len(gathered.reasons)} of {len(texts)} texts were refused; text {row} "
                f"(counted from 0): {reason}"
            )
        return gathered.vectors

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:  # noqa: ARG002
        """Tokens of each text before truncation, exact or estimated (see ``counts_exactly``)."""
        return [self._counter.count(text) for text in texts]

    def close(self) -> None:
        """End the calls on their way and the thread that makes them."""
        self.loop.close(self.wire.close)


class _Gathered:
    """Events that only keep vectors."""

    def __init__(self, n: int, dimension: int) -> None:
        self.vectors: Vectors = np.zeros((n, dimension), dtype=np.float32)
        self.reasons: dict[int, str] = {}

    def attempt(self, batch: int, texts: int, tokens: int) -> None:
        """Nothing is recorded."""

    def failed(self, call: Any, reason: str, tokens: int | None) -> None:
        """Nothing is recorded."""

    def done(self, call: Any, batch: int, rows: Sequence[int], encoded: Encoded) -> None:  # noqa: ARG002
        """Keep the rows."""
        self.vectors[list(rows)] = encoded.vectors

    def refused(self, batch: int, row: int, reason: str) -> None:  # noqa: ARG002
        """Keep the reason."""
        self.reasons[row] = reason

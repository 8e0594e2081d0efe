"""One run over batches: requests in flight, one retry layer, and the search for refused texts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.errors import ProviderError
from workbench.models.api.answers import Answer
from workbench.models.api.faults import Cure, Fault, delay
from workbench.models.api.loop import Desk
from workbench.models.api.packing import BLANK, Part
from workbench.models.stages import Encoded
from workbench.records import Role

if TYPE_CHECKING:
    from workbench.models.api.encoder import Events, RemoteEncoder

HARMLESS = "The sky is blue."
"""A text no provider refuses: tells a refused text from a refused request."""


class Stopped(Exception):
    """The run ends: no further attempt is made."""


class Calls:
    """Requests of one run. Coroutines call the provider; the driver's thread does the rest."""

    def __init__(self, encoder: RemoteEncoder, role: Role, events: Events) -> None:
        """Encode for ``role`` and tell ``events``."""
        self._encoder = encoder
        self._role = role
        self._events = events
        self._desk = Desk(encoder.loop)
        self._running: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(encoder.config.concurrency)
        self._open = 0
        self._left: dict[int, int] = {}
        self._next = 0
        self._error: Exception | None = None

    def results(self, batches: Iterable[Sequence[str]]) -> Iterator[int]:
        """See ``RemoteEncoder.run``."""
        source = enumerate(batches)
        more = True
        try:
            while more or self._open:
                while more and self._open < self._encoder.config.concurrency and not self._error:
                    more = self._submit(next(source, None))
                    yield from self._finished()
                if self._open:
                    self._desk.serve()
                elif self._error:
                    break
                yield from self._finished()
        finally:
            self._cancel(everything=True)
        if self._error is not None:
            raise self._error

    def _submit(self, item: tuple[int, Sequence[str]] | None) -> bool:
        if item is None:
            return False
        number, texts = item
        parts, blank = self._encoder.pack(number, texts)
        self._left[number] = len(parts)
        self._open += len(parts)
        for row in blank:
            self._events.refused(number, row, BLANK)
        for part in parts:
            self._encoder.loop.start(self._request(part))
        return True

    def _finished(self) -> Iterator[int]:
        while self._left.get(self._next) == 0:
            del self._left[self._next]
            self._next += 1
            yield self._next - 1

    def _over(self, part: Part, error: BaseException | None) -> None:
        """A request has ended; runs in the driver's thread."""
        self._open -= 1
        if error is None:
            self._left[part.batch] -= 1
        elif isinstance(error, Exception) and not isinstance(error, Stopped) and not self._error:
            self._error = error
            self._cancel(everything=False)

    def _cancel(self, *, everything: bool) -> None:
        """End requests that wait; with ``everything`` also those on their way."""
        tasks = self._running if everything else self._waiting
        self._encoder.loop.soon(lambda: [task.cancel() for task in list(tasks)])

    async def _request(self, part: Part) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._running.add(task)
        error: BaseException | None = None
        try:
            self._waiting.add(task)
            # Held until the driver has the vectors: a kill loses no more calls than this.
            async with self._slots:
                await self._deliver(part)
        except BaseException as found:  # noqa: BLE001 (handed to the driver, which raises it)
            error = found
        finally:
            self._waiting.discard(task)
            self._running.discard(task)
            self._desk.tell(partial(self._over, part, error))

    async def _deliver(self, part: Part, *, mended: bool = False) -> None:
        """Get the vectors of ``part`` to the driver, leaving out texts that are refused.

        ``mended``: texts were left out already, because their vectors could never be used.
        """
        try:
            call, answer = await self._attempts(part)
        except Fault as fault:
            if fault.cure is Cure.SPLIT:
                await self._split(part, fault)
            else:
                await self._leave_out(part, fault, mended=mended)
            return
        tokens = part.total if answer.tokens is None else answer.tokens
        encoded = Encoded(answer.vectors, tokens, len(part.cut))
        await self._desk.ask(lambda: self._events.done(call, part.batch, part.rows, encoded))

    async def _split(self, part: Part, fault: Fault) -> None:
        """Find the text that makes the provider refuse ``part``, by halves."""
        if part.unsure:
            await self._deliver(self._encoder.shortened(part))
        elif len(part.rows) > 1:
            for half in part.halves():
                await self._deliver(half)
        else:
            await self._prove(part.batch, fault)
            await self._refuse(part, [0], fault)

    async def _leave_out(self, part: Part, fault: Fault, *, mended: bool) -> None:
        """Ask again without the few texts whose vectors were unusable in every answer.

        Only when the others then succeed is it the texts' fault and not the provider's.

        Raises:
            WorkbenchError: It is the provider's.
        """
        n = len(part.rows)
        if mended or not fault.bad or 2 * len(fault.bad) >= n:
            raise fault.error(self._told(part, fault)) from None
        rest = [place for place in range(n) if place not in fault.bad]
        await self._deliver(part.take(rest), mended=True)
        await self._refuse(part, sorted(fault.bad), fault)

    async def _refuse(self, part: Part, places: Sequence[int], fault: Fault) -> None:
        reason = f"{self._encoder.spec.model} refuses this text: {fault.reason}"
        for place in places:
            await self._desk.ask(
                partial(self._events.refused, part.batch, part.rows[place], reason)
            )
        self._encoder.proven = False

    async def _prove(self, batch: int, fault: Fault) -> None:
        """Make sure that a harmless text is not refused too, unless a call has just succeeded."""
        if self._encoder.proven:
            return
        probe = Part(batch, (), (HARMLESS,), (len(HARMLESS.split()) + 2,))
        try:
            call, answer = await self._attempts(probe)
        except Fault as refused:
            if refused.cure is not Cure.SPLIT:
                raise refused.error(self._told(probe, refused)) from None
            raise ProviderError(
                f"{self._encoder.spec.model} refuses every text: {fault.reason}. The request "
                "itself is wrong: check the model, its dimension and the provider's base_url."
            ) from None
        none = Encoded(answer.vectors[:0], answer.tokens or probe.total, 0)
        await self._desk.ask(lambda: self._events.done(call, batch, (), none))

    async def _attempts(self, part: Part) -> tuple[Any, Answer]:
        """Try until there is an answer, the attempts or the time are used up, or it is useless."""
        encoder, config = self._encoder, self._encoder.config
        until = encoder.clock() + config.deadline
        always_bad: frozenset[int] | None = None
        attempt = 0
        while True:
            attempt += 1
            await encoder.limiter.take(part.total)
            call = await self._desk.ask(partial(self._intend, part))
            try:
                answer = await self._call(part)
            except Fault as fault:
                await self._desk.ask(partial(self._events.failed, call, fault.reason, fault.tokens))
                always_bad = fault.bad if always_bad is None else always_bad & fault.bad
                wait = delay(attempt, fault, config.backoff, encoder.rng)
                late = encoder.clock() + wait > until
                if fault.cure is not Cure.AGAIN or attempt >= config.attempts or late:
                    raise _given_up(fault, attempt, always_bad, wait if late else None) from None
            else:
                encoder.proven = True
                return call, answer
            await encoder.sleep(wait)

    def _intend(self, part: Part) -> Any:
        if self._error is not None:
            raise Stopped
        return self._events.attempt(part.batch, len(part.texts), part.total)

    async def _call(self, part: Part) -> Answer:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._waiting.discard(task)  # what is on its way is paid for: it is not cancelled
        try:
            async with self._encoder.slots:
                return await self._encoder.wire.call(part.texts, self._role)
        finally:
            self._waiting.add(task)

    def _told(self, part: Part, fault: Fault) -> str:
        rows = f"{len(part.texts)} texts" if len(part.texts) > 1 else "1 text"
        return (
            f"{self._encoder.spec.model} gave no vectors for a request of {rows}: {fault.reason}. "
            "What was finished is kept; run the command again to go on."
        )


def _given_up(
    fault: Fault, attempts: int, always_bad: frozenset[int], too_late: float | None
) -> Fault:
    """The last fault of a request, with what was tried in its reason."""
    reason = fault.reason
    if attempts > 1:
        reason += f" (after {attempts} attempts)"
    if too_late is not None and fault.cure is Cure.AGAIN:
        reason += f"; to wait {too_late:.0f} s more would pass the deadline"
    return Fault(reason, fault.cure, bad=always_bad, error=fault.error)

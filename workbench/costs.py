"""What was spent, and what a run would cost: the verbs behind ``Workbench.costs``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cost.budget import Budget
from workbench.cost.forecast import (
    ASSUMED_CHUNKS_PER_S,
    ESTIMATE_EXCESS,
    SAMPLE_DOCUMENTS,
    CostForecast,
    Estimate,
    Sampled,
    Speed,
    dollars_of,
    hours_of,
    reservoir,
    scaled,
    speed_of,
)
from workbench.cost.prices import LOCAL, Price, price_of
from workbench.cost.report import CostReport, cost_report
from workbench.cost.trial import Workers, tried
from workbench.data.chunk import chunk_document
from workbench.data.load import data_dirs, open_source
from workbench.errors import SourceError, UnknownName
from workbench.index.plan import cleaned
from workbench.models import counter_for
from workbench.records import DEFAULT_TENANT, SourceDocument
from workbench.run.inline import usable_cpus
from workbench.spec import ChunkingSpec, EmbeddingSpec
from workbench.specs import specs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.config import ExecutorConfig
    from workbench.data.source import Source
    from workbench.protocols import TokenCounter
    from workbench.session import Workbench
    from workbench.state.ledger import By
    from workbench.state.vault import Vault

KEYS: tuple[By, ...] = ("model", "corpus", "tenant", "day")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a forecast is of."""

    source: str
    tenant: str
    embedding: EmbeddingSpec
    chunking: ChunkingSpec
    price: Price
    counter: TokenCounter

    @property
    def exact(self) -> bool:
        """Whether tokens are counted as the model counts them (some providers' are estimated)."""
        return bool(getattr(self.counter, "exact", True))


@dataclass(slots=True)
class _Read:
    """What reading a source told."""

    documents: int = 0
    characters: int = 0
    quarantined: int = 0


class Costs:
    """Costs of one session."""

    def __init__(self, bench: Workbench) -> None:
        """Use ``Workbench.costs``."""
        self._bench = bench

    def report(self, by: str = "model", corpus: str | None = None) -> CostReport:
        """The ledger added up by ``model``, ``corpus``, ``tenant`` or ``day``.

        Raises:
            UnknownName: There is no such key, or no such corpus.
        """
        registry = self._bench.workspace.registry
        chosen = next((key for key in KEYS if key == by), None)
        if chosen is None:
            raise UnknownName.among("key of the report", by, KEYS)
        if corpus is not None:
            registry.documents.corpus(corpus)
        return cost_report(registry, self._bench.config.budget, by=chosen, corpus=corpus)

    def forecast(
        self,
        source: str,
        *,
        model: str | None = None,
        chunking: str | None = None,
        tenant: str = DEFAULT_TENANT,
        sample: int = SAMPLE_DOCUMENTS,
    ) -> CostForecast:
        """What ingesting ``source`` would take; it is written down and compared with the run.

        The source is read to its end; ``sample`` of its documents are cut and counted. A model
        that runs here encodes some of their chunks when no former run tells its speed. A provider
        is never called.

        Raises:
            SourceError: The source holds no readable document.
            UnknownPrice: The model has no price.
        """
        bench = self._bench
        config = bench.config
        embedding, spec = specs_of(
            model or config.model, chunking or config.chunking, config, bench.notify
        )
        price = price_of(embedding, config.budget.prices)
        opened = open_source(source, data_dirs=data_dirs(), options=config.source)
        asked = _Asked(opened.name, tenant, embedding, spec, price, counter_for(embedding))
        read = _Read()
        chosen, _ = reservoir(_readable(opened, read, bench.progress), sample)
        if not chosen:
            raise SourceError(
                f"{opened.name} holds no readable document ({read.quarantined} quarantined); "
                "there is nothing to forecast. Check the path and the columns."
            )
        counted = _Counted(asked, bench.workspace.vault)
        samples = [counted.sampled(document) for document in chosen]
        runs = bench.workspace.registry.runs
        speed = speed_of(runs.all(), embedding.fingerprint)
        if not speed.tokens_per_s and embedding.provider in LOCAL and counted.texts:
            here = _workers(config.executor)
            speed = tried(embedding, counted.texts, here, speed, counted.seconds_per_token)
        found = _put_together(bench, asked, read, samples, speed)
        runs.forecast(
            asked.source, embedding.model, embedding.fingerprint, spec.chunking_id, found.to_dict()
        )
        return found


def _put_together(
    bench: Workbench, asked: _Asked, read: _Read, samples: list[Sampled], speed: Speed
) -> CostForecast:
    settings = bench.config.budget
    embedding, price = asked.embedding, asked.price
    complete = len(samples) == read.documents

    def total(field: Callable[[Sampled], int]) -> tuple[Estimate, NDArray[np.float64]]:
        return scaled(samples, read.characters, field, complete=complete)

    known = bench.workspace.registry.ledger.charged_per_expected(embedding.fingerprint)
    sure = asked.exact or known is not None
    counted, draws = total(lambda one: one.new_tokens)
    tokens = counted.times(known or 1.0, 1.0 if sure else ESTIMATE_EXCESS)
    chunks = total(lambda one: one.chunks)[0].value
    all_tokens = total(lambda one: one.tokens)[0].value * (known or 1.0)
    hours = hours_of(draws * (known or 1.0), chunks, speed)
    dollars = dollars_of(tokens, hours, price, settings)
    left = Budget.of(bench.workspace.registry.ledger, settings).left("")
    charged = price.dollars(round(tokens.value))
    return CostForecast(
        source=asked.source, model=embedding.model, fingerprint=embedding.fingerprint,
        chunking=asked.chunking.name, documents=read.documents, sampled=len(samples),
        chunks=round(chunks), all_tokens=round(all_tokens),
        cached_share=1 - tokens.value / all_tokens if all_tokens else 0.0,
        tokens=round(tokens.value), tokens_low=round(tokens.low), tokens_high=round(tokens.high),
        dollars=dollars.value, dollars_low=dollars.low, dollars_high=dollars.high,
        hours=None if hours is None else hours.value,
        hours_low=None if hours is None else hours.low,
        hours_high=None if hours is None else hours.high,
        price=str(price), speed=speed.origin,
        within_budget=left is None or charged <= left,
        notes=_notes(read, speed, left, charged, sure=sure),
    )  # fmt: skip


class _Counted:
    """Cuts documents as an ingest would, and counts what is not in the vault."""

    def __init__(self, asked: _Asked, vault: Vault) -> None:
        self._asked = asked
        self._vault = vault
        self._seen: set[bytes] = set()
        self._seconds = 0.0
        self._all_tokens = 0
        self.texts: list[str] = []

    @property
    def seconds_per_token(self) -> float:
        """What cutting took, for each token that came of it."""
        return self._seconds / self._all_tokens if self._all_tokens else 0.0

    def sampled(self, item: SourceDocument) -> Sampled:
        """The sizes of one document; a text that an earlier one had counts as kept."""
        asked = self._asked
        started = time.perf_counter()
        document = cleaned(item, asked.tenant)
        chunks = chunk_document(document, asked.chunking, self._asked.counter, asked.source)
        self._seconds += time.perf_counter() - started
        keys = [
            asked.embedding.vault_key("document", asked.tenant, chunk.encoded) for chunk in chunks
        ]
        tokens = {key: self._tokens(chunk.encoded) for key, chunk in zip(keys, chunks, strict=True)}
        fresh = [key for key in tokens if key not in self._seen]
        known = self._vault.get(fresh)
        self._seen.update(fresh)
        self.texts += [chunk.encoded for chunk in chunks]
        all_tokens = sum(tokens[key] for key in keys)
        self._all_tokens += all_tokens
        return Sampled(
            characters=len(item.text) + len(item.title),
            chunks=len(chunks),
            tokens=all_tokens,
            new_tokens=sum(tokens[key] for key in fresh if key not in known),
        )

    def _tokens(self, text: str) -> int:
        embedding = self._asked.embedding
        found = self._asked.counter.count(embedding.prompt("document") + text)
        return min(found, embedding.max_tokens) if embedding.max_tokens else found


def _workers(settings: ExecutorConfig) -> Workers:
    if settings.kind == "ray":
        return Workers(settings.actors or usable_cpus(), settings.threads)
    return Workers(1, usable_cpus())


def _readable(
    source: Source, read: _Read, progress: Callable[[str, int, int], None]
) -> Iterator[SourceDocument]:
    for item in source:
        if not isinstance(item, SourceDocument):
            read.quarantined += 1
            continue
        read.documents += 1
        read.characters += len(item.text) + len(item.title)
        progress("read", read.documents, 0)
        yield item


def _notes(
    read: _Read, speed: Speed, left: float | None, charged: float, *, sure: bool
) -> tuple[str, ...]:
    notes = []
    if not sure:
        notes.append(
            "the tokens of this model are estimated, on the high side; calls of it correct that"
        )
    if not speed.tokens_per_s:
        notes.append("no former run of this model tells its speed, and a provider is not called")
    elif not speed.chunks_per_s:
        notes.append(
            f"writing was not measured here yet: {ASSUMED_CHUNKS_PER_S:,.0f} chunks per second are "
            "assumed"
        )
    if left is not None and charged > left:
        notes.append(f"the budget has ${left:.6f} left: the run would be stopped before it ends")
    if read.quarantined:
        notes.append(f"{read.quarantined:,} documents can not be read and are not in it")
    return tuple(notes)

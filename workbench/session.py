"""The one place that wires things together: a session over a home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from workbench.config import Config
from workbench.corpus import Corpus
from workbench.errors import ConfigError, ServiceError
from workbench.records import DEFAULT_TENANT
from workbench.resources import Notify, Progress, Resources
from workbench.run import services

if TYPE_CHECKING:
    from workbench.chunked import ChunkedDocument
    from workbench.costs import Costs
    from workbench.evaluate.compare import CompareResult
    from workbench.evaluate.evaluate import EvaluateResult
    from workbench.models.canary import ModelCheck
    from workbench.models.listing import ModelList
    from workbench.models.quantise import QuantizeResult
    from workbench.run.services import Services, ServicesStatus
    from workbench.tiers import TieredCorpus


def _silent(_message: str) -> None:
    """Notify nobody."""


def _no_progress(_stage: str, _done: int, _total: int) -> None:
    """Show nothing."""


class Workbench(Resources):
    """A session. Use it as a context manager: leaving it closes the store cleanly.

    Attributes:
        config: What the session was opened with.
        progress: Called with (stage, done, total) while long work goes on; total 0 = unknown.
    """

    @classmethod
    def open(
        cls,
        config: Config | Path | str | None = None,
        *,
        home: Path | str | None = None,
        notify: Notify = _silent,
        progress: Progress = _no_progress,
    ) -> Self:
        """Open a session over a configuration (an object, a YAML file, or the defaults).

        Args:
            config: Where settings come from; ``WORKBENCH_…`` variables win over a file.
            home: The directory that holds everything; wins over the configuration.
            notify: Gets a sentence whenever the session does something a person should know.
            progress: Gets (stage, done, total) while long work goes on.

        Raises:
            ConfigError: The configuration is not usable.
            HomeLocked: Another process owns this embedded home.
        """
        if isinstance(config, Config):
            chosen = config if home is None else config.model_copy(update={"home": Path(home)})
        else:
            chosen = Config.load(config, home=home)
        return cls(chosen, notify=notify, progress=progress)

    def corpus(self, name: str, *, tenant: str = DEFAULT_TENANT) -> Corpus:
        """The corpus called ``name``; its first ingest makes it.

        Raises:
            ConfigError: The name is empty, or the configuration gives that corpus tiers.
        """
        if not name.strip():
            raise ConfigError("a corpus needs a name; found an empty one")
        if name in self.config.tiers:
            parts = ", ".join(f"{name}/{rule.name}" for rule in self.config.tiers[name])
            raise ConfigError(
                f"corpus {name!r} has tiers (`tiers:` in the configuration); this verb works on "
                f"one of them: {parts}"
            )
        return Corpus(self, self.workspace, name, tenant)

    def documents(self, name: str, *, tenant: str = DEFAULT_TENANT) -> Corpus | TieredCorpus:
        """The corpus called ``name``, with tiers if the configuration gives it some."""
        rules = self.config.tiers.get(name)
        if rules is None:
            return self.corpus(name, tenant=tenant)
        from workbench.tiers import TieredCorpus

        return TieredCorpus(self, self.workspace, name, rules, tenant)

    def evaluate(
        self,
        eval_set: str,
        *,
        models: Sequence[str] | None = None,
        rerankers: Sequence[str | None] = (None,),
        chunking: str | None = None,
        store: str | None = None,
        exclude_self: bool = False,
    ) -> EvaluateResult:
        """Measure models on an evaluation set; see ``workbench.systems``.

        Args:
            eval_set: Name or folder of a set in BEIR layout, or ``python-docs``.
            models: Embedding models or ``bm25``; by default the configured one.
            rerankers: Each model is measured with each; None = without.
            chunking: Preset; by default the configured one.
            store: ``memory`` (exact) or the configured store.
            exclude_self: Drop the document whose id is the query's.
        """
        from workbench.systems import evaluate

        return evaluate(
            self,
            eval_set,
            models=tuple(models or (self.config.model,)),
            rerankers=tuple(rerankers),
            chunking=chunking or self.config.chunking,
            store=store or self.config.store.kind,
            exclude_self=exclude_self,
        )

    def compare(
        self,
        eval_set: str,
        *,
        baseline: str,
        candidates: Sequence[str],
        rerankers: Sequence[str | None] = (None,),
        chunking: str | None = None,
        store: str | None = None,
        exclude_self: bool = False,
    ) -> tuple[EvaluateResult, CompareResult]:
        """Evaluate ``baseline`` and ``candidates`` on one set and test their differences."""
        from workbench.systems import compare_models

        result = self.evaluate(
            eval_set,
            models=(baseline, *candidates),
            rerankers=rerankers,
            chunking=chunking,
            store=store,
            exclude_self=exclude_self,
        )
        return result, compare_models(self, result, baseline)

    def chunk(
        self,
        source: str,
        *,
        model: str | None = None,
        chunking: str | None = None,
        document_id: str | None = None,
    ) -> ChunkedDocument:
        """The chunks of one document of ``source``, as an ingest would make them.

        Args:
            source: A file, or any source that ingest takes.
            model: Whose tokenizer counts; by default the configured one.
            chunking: Preset; by default the configured one.
            document_id: Which document, where the source holds several.
        """
        from workbench.chunked import chunk_source

        return chunk_source(
            self.config,
            self.notify,
            source,
            model=model or self.config.model,
            chunking=chunking or self.config.chunking,
            document_id=document_id,
        )

    @property
    def costs(self) -> Costs:
        """What was spent and what a run would cost."""
        from workbench.costs import Costs

        return Costs(self)

    @property
    def models(self) -> ModelList:
        """The models of the catalogue: usable here or why not."""
        from workbench.models.listing import list_models

        return list_models()

    @property
    def eval_sets(self) -> tuple[str, ...]:
        """Names of the evaluation sets found here; those that ship come first."""
        from workbench.data.load import eval_set_names

        return eval_set_names()

    @property
    def chunkings(self) -> tuple[str, ...]:
        """Names of the chunking presets, in the order of their file."""
        from workbench.data.presets import preset_names

        return preset_names()

    def check_model(self, name: str) -> ModelCheck:
        """Verify a model's digest and embed canaries with it."""
        from workbench.models.canary import check_model

        return check_model(name)

    def quantize_model(self, name: str, calibrate: str | None = None) -> QuantizeResult:
        """Make ``NAME@int8``: calibrate it once and keep the artifact on this machine.

        Args:
            name: A sentence-transformers model, without precision and dimension.
            calibrate: A source of texts like yours; by default the handbook that ships.

        Raises:
            ModelError: It can not be quantised, or the result is too far from float32.
        """
        from workbench.calibration import quantize

        return quantize(self.config, name, calibrate)

    def up(self, on_stage: Callable[[str, str], None] = lambda _name, _state: None) -> Services:
        """Start the services of this home that are not running; sessions then join them.

        A store that its server did not close cleanly is probed first, and its indexes rebuilt.

        Raises:
            ServiceError: A port is taken, a server did not get ready, or this very session has
                the home's embedded store open.
        """
        if self._workspaces and self._endpoints is None:
            raise ServiceError(
                "this session has the embedded store of its home open; close it and open a new one "
                "before `up`, or run `workbench up` instead"
            )
        started = services.up(self.config, on_stage=on_stage, prepare_store=self._probe)
        self._endpoints = services.read(self.config.home)
        if "chroma" in started.started:
            self.recover()
        return started

    def down(self, on_stage: Callable[[str, str], None] = lambda _name, _state: None) -> None:
        """Stop exactly the services that ``up`` started."""
        services.down(self.config, on_stage=on_stage)
        self._endpoints = None

    def status(self) -> ServicesStatus:
        """Which services of this home run, and where."""
        return services.status(self.config)

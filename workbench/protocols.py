"""The seams. Each is a tiny protocol with one factory; nothing here imports a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.records import Metadata, Query, Role, Run, Scalar
    from workbench.spec import EmbeddingSpec

    Vectors = NDArray[np.float32]

In = TypeVar("In")
Out = TypeVar("Out")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class TokenCounter(Protocol):
    """Counts tokens as one encoder's own tokenizer does."""

    @property
    def additive(self) -> bool:
        """Whether a text has just the tokens of its parts when it is cut at white space."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range of every token of ``text``, in order, special tokens left out."""
        ...

    def count(self, text: str) -> int:
        """Tokens the encoder would see for ``text``, special tokens included, before truncation."""
        ...


class Encoder(Protocol):
    """Turns texts into vectors of exactly one space."""

    @property
    def spec(self) -> EmbeddingSpec:
        """The space."""
        ...

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Encode ``texts`` to shape (n, spec.dimension), float32, one row per text, in order."""
        ...

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text with its prompt and the special tokens, before truncation."""
        ...


class Reranker(Protocol):
    """Scores query-passage pairs."""

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Relevance of each text to ``query``, shape (n,); each pair scored as if alone."""
        ...


class Store(Protocol):
    """A disposable projection of vectors. ``index`` is the name of one collection.

    Metadata are flat scalars. Scores are cosine similarities: higher is nearer.
    """

    def create(self, index: str, dimension: int, fingerprint: str) -> None:
        """Make the collection if it is not there; ``SpaceMismatch`` if it holds another space."""
        ...

    def exists(self, index: str) -> bool:
        """Whether the collection is there."""
        ...

    def upsert(
        self, index: str, ids: Sequence[str], vectors: Vectors, metadata: Sequence[Metadata]
    ) -> None:
        """Write or overwrite; ``vectors`` has shape (len(ids), dimension)."""
        ...

    def delete(self, index: str, ids: Sequence[str]) -> None:
        """Remove; unknown ids are no error."""
        ...

    def query(
        self, index: str, vectors: Vectors, k: int, where: Mapping[str, Scalar] | None = None
    ) -> list[list[tuple[str, float]]]:
        """For each row of ``vectors`` up to ``k`` (id, score), best first, ties by id."""
        ...

    def ids(self, index: str) -> Iterator[str]:
        """Every id of the collection, in any order."""
        ...

    def drop(self, index: str) -> None:
        """Remove the collection; no error when it is not there."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


class Retriever(Protocol):
    """What evaluation and serving know of searching."""

    def search(
        self, queries: Sequence[Query], k: int, where: Mapping[str, Scalar] | None = None
    ) -> Run:
        """Up to ``k`` hits for each query; every query id is a key of the answer."""
        ...


@runtime_checkable
class Stage(Protocol[In_contra, Out_co]):
    """A frozen, picklable description of pure work: built where it runs, never sent alive."""

    @property
    def name(self) -> str:
        """Short name for progress and errors, e.g. ``"encode"``."""
        ...

    def build(self, threads: int) -> Callable[[In_contra], Out_co]:
        """Load what the work needs and return the function of one batch.

        Args:
            threads: CPU threads this worker may use.
        """
        ...


@runtime_checkable
class Carrier(Protocol):
    """A stage that needs files which other machines may not have: they are sent along once."""

    def cargo(self) -> bytes | None:
        """What must be on the machine that builds the stage; None = nothing."""
        ...

    def unload(self, cargo: bytes) -> None:
        """Put it there, unless it is there already; called before ``build``."""
        ...


OnAttempt = Callable[[int, Any], None]
"""Called by the driver right before batch ``i`` is sent out, once for every attempt."""


class Executor(Protocol):
    """Runs stages over batches."""

    @property
    def parallelism(self) -> int:
        """How many batches run at the same time."""
        ...

    def map(
        self, stage: Stage[In, Out], batches: Iterable[In], on_attempt: OnAttempt | None = None
    ) -> Iterator[Out]:
        """Results in the order of ``batches``, which is consumed lazily.

        Raises:
            ExecutionError: A batch failed on every attempt; names stage, batch and cause.
        """
        ...

    def close(self) -> None:
        """Free what the executor started, and only that."""
        ...


class TrackedRun(Protocol):
    """One run of a tracker."""

    @property
    def run_id(self) -> str:
        """The tracker's id of the run; empty when nothing is tracked."""
        ...

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log immutable facts."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log finite numbers; ``step`` draws a line."""
        ...

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log rows as ``name`` (``*.json``); all rows have the same keys."""
        ...

    def log_figure(self, name: str, png: bytes) -> None:
        """Log a PNG as ``name``."""
        ...

    def log_dataset(self, name: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Log which data the run used."""
        ...


class Tracker(Protocol):
    """Records runs and model versions."""

    def run(
        self,
        experiment: str,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        parent: TrackedRun | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run, nested under ``parent`` when given; it fails when the block raises."""
        ...

    def register(self, registry_name: str, spec: EmbeddingSpec, run: TrackedRun) -> str:
        """Version of ``spec`` under ``registry_name``, made once per fingerprint."""
        ...

    def alias(self, registry_name: str, alias: str) -> str | None:
        """Fingerprint that ``alias`` points at, or None."""
        ...

    def set_alias(self, registry_name: str, alias: str, fingerprint: str) -> None:
        """Point ``alias`` at the version of ``fingerprint``."""
        ...

    def url(self, run: TrackedRun) -> str:
        """Where a person looks at the run; empty when there is nowhere."""
        ...

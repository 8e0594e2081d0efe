"""An executor that says after every batch how far its maps are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from workbench.protocols import Executor, In, OnAttempt, Out, Stage


class TellingExecutor:
    """Runs stages on another executor and tells (stage, batches done, 0) after every batch.

    What ``tell`` raises ends the map. The batch before it has been taken by then, so what was
    computed is not lost.

    Args:
        inner: Where stages run.
        tell: Gets the name of the stage, the batches its map has given back, and 0: how many
            there will be is not known.
    """

    def __init__(self, inner: Executor, tell: Callable[[str, int, int], None]) -> None:
        self._inner = inner
        self._tell = tell

    @property
    def parallelism(self) -> int:
        """How many batches run at the same time."""
        return self._inner.parallelism

    def map(
        self, stage: Stage[In, Out], batches: Iterable[In], on_attempt: OnAttempt | None = None
    ) -> Iterator[Out]:
        """Results in the order of ``batches``, as the inner executor gives them."""
        for done, result in enumerate(self._inner.map(stage, batches, on_attempt), start=1):
            yield result
            self._tell(stage.name, done, 0)

    def close(self) -> None:
        """Close the inner executor."""
        self._inner.close()

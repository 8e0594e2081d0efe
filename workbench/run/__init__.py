"""Where stages run: in this process, or in actors on Ray. The only room that knows Ray."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import UnknownName
from workbench.protocols import Executor


def make_executor(  # noqa: PLR0917 (one parameter per key of the configuration's section)
    kind: str,
    actors: int = 0,
    threads: int = 1,
    attempts: int = 3,
    address: str | None = None,
    token_path: Path | None = None,
) -> Executor:
    """The executor called ``kind``; nothing starts before its first ``map``.

    Args:
        kind: ``"inline"`` or ``"ray"``.
        actors: Actors on Ray, 0 = as many as the CPUs allow; unused inline.
        threads: CPU threads of each actor; inline uses all CPUs of this process.
        attempts: Tries of a batch in all, on Ray; inline the first exception ends the run.
        address: ``host:port`` of a running Ray cluster.
        token_path: File with the cluster's token.

    Raises:
        UnknownName: There is no such kind.
    """
    if kind == "inline":
        from workbench.run.inline import InlineExecutor

        return InlineExecutor()
    if kind == "ray":
        from workbench.run.on_ray import RayExecutor

        return RayExecutor(actors, threads, attempts, address, token_path)
    raise UnknownName.among("executor", kind, ["inline", "ray"])

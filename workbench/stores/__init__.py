"""Vector stores: disposable projections of the vault. One factory, backends imported when used."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import UnknownName
from workbench.protocols import Store
from workbench.stores.embedded import discard, was_unclean

__all__ = ["discard", "open_store", "was_unclean"]


def open_store(
    kind: str,
    *,
    path: Path,
    url: str | None = None,
    quantization: str = "none",
    oversampling: int = 3,
    rescore: bool = True,
) -> Store:
    """Open a store.

    Args:
        kind: ``"memory"`` (exact, lost on exit) or ``"chroma"``.
        path: Directory of an embedded store; made when it is not there. Not used with ``url``.
        url: Of a Chroma server, e.g. ``http://127.0.0.1:8600``; None = embedded, which means one
            process, readers included. After an unclean close it is probed before it is opened.
        quantization: Of the memory store: ``"none"``, ``"float16"``, ``"int8"`` or ``"binary"``.
        oversampling: Candidates per wanted hit that the float32 vectors rank again.
        rescore: False ranks by the codes alone.

    Raises:
        UnknownName: No such kind or quantization.
        StoreDamaged: The embedded store was not closed and its probe found it damaged: call
            ``discard(path)``, open again and rebuild from the vault.
        StoreError: The server can not be reached or the directory not written.
    """
    if quantization != "none" and kind == "memory":
        from workbench.stores.codes import code_of
        from workbench.stores.quantised import QuantisedStore

        return QuantisedStore(code_of(quantization), oversampling=oversampling, rescore=rescore)
    if kind == "memory":
        from workbench.stores.memory import MemoryStore

        return MemoryStore()
    if kind == "chroma":
        from workbench.stores.chroma import ChromaStore

        return ChromaStore.server(url) if url else ChromaStore.embedded(path)
    raise UnknownName.among("store", kind, ["memory", "chroma"])

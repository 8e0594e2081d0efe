"""What Chroma raises, as errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import StoreDamaged, StoreError
from workbench.stores.base import REBUILD

NO_DAMAGE = ("readonly database", "database is locked", "unable to open", "permission denied")
"""What SQLite says when the files are in order but out of reach."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what Chroma raises into this package's errors.

    Raises:
        StoreDamaged: Chroma can not read its own files.
        StoreError: The server is out of reach or refuses.
    """
    try:
        yield
    except StoreError:
        raise
    except BaseException as error:
        ours = _translation(where, error)
        if ours is None:
            raise
        raise ours from error


def _translation(where: str, error: BaseException) -> StoreError | None:
    from chromadb.errors import ChromaError, InternalError

    kind = type(error)
    panic = kind.__name__ == "PanicException"  # a BaseException of the Rust bindings
    said = str(error)
    remote = "://" in where
    if not isinstance(error, Exception) and not panic:
        return None
    if kind.__module__.startswith(("httpx", "httpcore")) or "Could not connect to a" in said:
        return StoreError(
            f"no Chroma server answers at {where} ({said}); start it with `workbench up`, or "
            "leave store.url out to use an embedded store"
        )
    if any(phrase in said.lower() for phrase in NO_DAMAGE):
        return StoreError(f"{where} can not be used: {said}; see that this process owns the files")
    unreadable = isinstance(error, ValueError) and not remote
    if panic or isinstance(error, InternalError) or unreadable:
        return StoreDamaged(f"the store at {where} is damaged: {said}; {REBUILD}")
    if isinstance(error, ChromaError) or kind is Exception:
        return StoreError(f"{where} refused: {said}")
    return None

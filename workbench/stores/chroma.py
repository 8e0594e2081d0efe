"""Chroma, embedded or as a server. It gets vectors, ids and filters; never text, never a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from workbench.errors import StoreDamaged, StoreError
from workbench.records import Scalar
from workbench.stores import embedded
from workbench.stores.base import REBUILD, BaseStore, Ranking, Space
from workbench.stores.chroma_errors import translated

if TYPE_CHECKING:
    from workbench.protocols import Vectors

BATCH = 5_000
"""Ids of one call; Chroma refuses more than 5,461 records and fails on `get` of 40,000."""
QUERY_BATCH = 500
TIE_SLACK = 10
"""Neighbours asked for beyond k, so that ties across the cut are broken by id, not by the graph."""
HNSW = {"space": "cosine", "ef_search": 400, "ef_construction": 200}
"""Recall@10 on scifact with wordllama: .9999 (Chroma's own values: .989), 0.2 ms more a query."""
DEFAULT_PORT = 8000
SERVER_SECONDS = 120.0  # for one request
Answer = TypeVar("Answer")

_open: WeakValueDictionary[str, ChromaStore] = WeakValueDictionary()


class ChromaStore(BaseStore):
    """One collection per index, named by a hash; its metadata carry the space and the name.

    Approximate (HNSW, cosine). Made by ``embedded`` or ``server``.

    Args:
        client: A Chroma client.
        where: What people know the store by: a directory or a URL.
        path: Directory of an embedded store, whose marker ``close`` removes.
    """

    def __init__(self, client: Any, where: str, path: Path | None = None) -> None:
        super().__init__()
        self._client = client
        self._where = where
        self._path = path
        self._damaged = False
        self._collections: dict[str, Any] = {}

    @classmethod
    def embedded(cls, path: Path) -> ChromaStore:
        """Open the store in the directory ``path``; this process must be its only one.

        Raises:
            StoreDamaged: It was not closed and its probe found it damaged, or it can not be read.
            StoreError: It is open in this process already, or can not be written.
        """
        path = path.absolute()
        if str(path) in _open:
            raise StoreError(f"the store at {path} is open in this process already; close it first")
        if embedded.was_unclean(path):
            embedded.check(path)
        embedded.mark_open(path)
        with translated(str(path)):
            client = persistent_client(path)
        store = _open[str(path)] = cls(client, str(path), path)
        return store

    @classmethod
    def server(cls, url: str) -> ChromaStore:
        """Connect to a Chroma server, e.g. ``http://127.0.0.1:8600``.

        Raises:
            StoreError: The URL is not one of a server, or nothing answers there.
        """
        host, port, ssl = _parse(url)
        import chromadb

        with translated(url):
            client = chromadb.HttpClient(host, port, ssl=ssl, settings=_settings())
        for session in _sessions_of(client):
            session.timeout = SERVER_SECONDS  # Chroma's own is to wait for ever
        return cls(client, url)

    def _space(self, index: str) -> Space | None:
        if index not in self._collections:
            found = self._find(index)
            if found is None:
                return None
            self._collections[index] = found
        return _space_of(self._collections[index], index)

    def _find(self, index: str) -> Any | None:
        from chromadb.errors import NotFoundError

        with self._watched():
            try:
                return self._client.get_collection(_name(index), embedding_function=None)
            except NotFoundError:
                return None

    def _create(self, index: str, space: Space) -> Space:
        facts = {"index": index, "fingerprint": space.fingerprint, "dimension": space.dimension}
        with self._watched():
            # When another writer was first, the answer has that one's metadata.
            self._collections[index] = self._client.get_or_create_collection(
                _name(index),
                embedding_function=None,
                metadata=facts,
                configuration={"hnsw": dict(HNSW)},
            )
        return _space_of(self._collections[index], index)

    def _upsert(
        self, index: str, ids: list[str], vectors: Vectors, metadata: list[dict[str, Scalar]]
    ) -> None:
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            self._upsert_batch(index, ids[part], vectors[part], metadata[part])

    def _upsert_batch(
        self, index: str, ids: list[str], vectors: Vectors, metadata: list[dict[str, Scalar]]
    ) -> None:
        old = self._call(index, lambda chroma: chroma.get(ids=ids, include=["metadatas"]))
        stale = dict(zip(old["ids"], old["metadatas"], strict=True))
        # Chroma merges metadata into the old ones: a key goes only when it is set to None.
        merged = [
            dict.fromkeys(stale.get(found) or {}) | facts or None
            for found, facts in zip(ids, metadata, strict=True)
        ]
        self._call(
            index, lambda chroma: chroma.upsert(ids=ids, embeddings=vectors, metadatas=merged)
        )
        there = self._call(index, lambda chroma: chroma.get(ids=ids, include=[]))["ids"]
        if missing := set(ids).difference(there):
            raise StoreError(
                f"{self._where} acknowledged {len(ids)} records of index {index!r} and lacks "
                f"{len(missing)} of them, e.g. {min(missing)!r}; {REBUILD}"
            )

    def _delete(self, index: str, ids: list[str]) -> None:
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            self._call(index, partial(_delete_part, part=part))

    def _query(
        self, index: str, vectors: Vectors, k: int, where: dict[str, Scalar]
    ) -> list[Ranking]:
        rankings: list[Ranking] = []
        for start in range(0, len(vectors), QUERY_BATCH):
            queries = vectors[start : start + QUERY_BATCH]
            rankings += self._query_batch(index, queries, k, _condition(where))
        return rankings

    def _query_batch(
        self, index: str, queries: Vectors, k: int, condition: dict[str, Any] | None
    ) -> list[Ranking]:
        answer = self._call(
            index,
            lambda chroma: chroma.query(
                query_embeddings=queries,
                n_results=k + TIE_SLACK,
                where=condition,
                include=["distances"],
            ),
        )
        return [
            _ranked(ids, distances)[:k]
            for ids, distances in zip(answer["ids"], answer["distances"], strict=True)
        ]

    def _ids(self, index: str) -> list[str]:
        return self._call(index, lambda chroma: list(all_ids(chroma)))

    def _drop(self, index: str) -> None:
        from chromadb.errors import NotFoundError

        self._collections.pop(index, None)
        with self._watched():
            try:
                self._client.delete_collection(_name(index))
            except NotFoundError:
                return

    def _close(self) -> None:
        self._collections.clear()
        if self._path is None:
            for session in _sessions_of(self._client):
                session.close()  # Chroma leaves its sockets open
        with self._watched():
            self._client.close()
        if self._path is not None:
            _open.pop(str(self._path), None)
            if not self._damaged:
                embedded.mark_closed(self._path)

    def _call(self, index: str, action: Callable[[Any], Answer]) -> Answer:
        """Do ``action`` on the collection; once more when another client has replaced it."""
        from chromadb.errors import NotFoundError

        with self._watched():
            try:
                return action(self._collections[index])
            except NotFoundError:
                del self._collections[index]
            self._opened(index)
            return action(self._collections[index])

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Translate errors, and remember damage: then ``close`` leaves the marker."""
        try:
            with translated(self._where):
                yield
        except StoreDamaged:
            self._damaged = True
            raise


def persistent_client(path: Path) -> Any:
    """A Chroma client that owns the directory ``path``, telemetry off."""
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient

    try:
        return chromadb.PersistentClient(str(path), settings=_settings())
    except BaseException:
        # Chroma remembers a system that failed to start and would hand it out again.
        SharedSystemClient._identifier_to_system.pop(str(path), None)  # noqa: SLF001
        SharedSystemClient._identifier_to_refcount.pop(str(path), None)  # noqa: SLF001
        raise


def all_ids(chroma: Any) -> Iterator[str]:
    """Ids of a Chroma collection, read in pages."""
    offset = 0
    while page := chroma.get(limit=BATCH, offset=offset, include=[])["ids"]:
        yield from page
        offset += len(page)


def _sessions_of(client: Any) -> list[Any]:
    """The HTTP sessions of a client of a server: its own and the one it checks tenants with."""
    servers = (client._server, client._admin_client._server)  # noqa: SLF001 - no public way
    return [server._session for server in servers]  # noqa: SLF001


def _settings() -> Any:
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False)


def _delete_part(chroma: Any, part: list[str]) -> None:
    chroma.delete(ids=part)


def _name(index: str) -> str:
    """Name of the collection: Chroma allows neither every letter nor every length."""
    return "wb-" + hashlib.blake2b(index.encode(), digest_size=16).hexdigest()


def _space_of(chroma: Any, index: str) -> Space:
    facts = chroma.metadata or {}
    space = ((chroma.configuration_json or {}).get("hnsw") or {}).get("space")
    dimension, fingerprint = facts.get("dimension"), facts.get("fingerprint")
    if facts.get("index") != index or space != "cosine" or not dimension or not fingerprint:
        raise StoreDamaged(
            f"the collection {chroma.name} was not made for index {index!r}: found {facts} with "
            f"space {space!r}; {REBUILD}"
        )
    return Space(int(dimension), str(fingerprint))


def _condition(where: dict[str, Scalar]) -> dict[str, Any] | None:
    parts = [{key: {"$eq": value}} for key, value in where.items()]
    return {"$and": parts} if len(parts) > 1 else (parts[0] if parts else None)


def _ranked(ids: list[str], distances: list[float]) -> Ranking:
    hits = [
        (found, min(1.0, max(-1.0, 1.0 - distance)))
        for found, distance in zip(ids, distances, strict=True)
    ]
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))


def _parse(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise StoreError("the URL of the Chroma server carries credentials; leave them out")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise StoreError(f"found the store URL {url!r}; expected e.g. http://127.0.0.1:8600")
    return parts.hostname, parts.port or DEFAULT_PORT, parts.scheme == "https"

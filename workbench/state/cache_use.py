"""Who uses which vectors, and what encoding them cost: for reports and purges of the cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sqlalchemy import func, select

from workbench.state.db import Database
from workbench.state.schema import corpora, index_chunks, indexes, ledger


class Holder(NamedTuple):
    """An index that holds vectors."""

    corpus: str
    fingerprint: str


class CacheUse:
    """Reads the registry; changes nothing."""

    def __init__(self, db: Database, accounts: Database) -> None:
        """Chunks are in ``db``, the ledger in ``accounts``."""
        self._db = db
        self._accounts = accounts

    def keys_of_tenant(self, tenant: str) -> set[bytes]:
        """Vault keys of the chunks of ``tenant`` in all indexes."""
        query = select(index_chunks.c.vault_key).where(index_chunks.c.tenant == tenant)
        with self._db.read() as connection:
            return set(connection.execute(query).scalars())

    def keys_of_corpus(self, corpus_id: int) -> set[bytes]:
        """Vault keys of the chunks of a corpus, but those that another corpus holds as well."""
        keys = select(index_chunks.c.vault_key).join(
            indexes, indexes.c.index_id == index_chunks.c.index_id
        )
        own = keys.where(indexes.c.corpus_id == corpus_id)
        with self._db.read() as connection:
            query = own.except_(keys.where(indexes.c.corpus_id != corpus_id))
            return set(connection.execute(query).scalars())

    def holders(self, keys: AbstractSet[bytes]) -> Counter[Holder]:
        """Chunks whose vector is one of ``keys``, by corpus and space; reads every chunk once."""
        query = (
            select(corpora.c.name, indexes.c.fingerprint, index_chunks.c.vault_key)
            .join(indexes, indexes.c.index_id == index_chunks.c.index_id)
            .join(corpora, corpora.c.corpus_id == indexes.c.corpus_id)
        )
        with self._db.read() as connection:
            rows = connection.execute(query)
            return Counter(Holder(name, space) for name, space, key in rows if key in keys)

    def cost_per_text(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Mean tokens and dollars of one text by (fingerprint, role), of what was encoded here."""
        names = (ledger.c.fingerprint, ledger.c.role)
        sums = (func.sum(ledger.c.texts), func.sum(ledger.c.tokens), func.sum(ledger.c.dollars))
        query = select(*names, *sums).where(ledger.c.state == "settled").group_by(*names)
        with self._accounts.read() as connection:
            return {
                (fingerprint, role): (tokens / texts, dollars / texts)
                for fingerprint, role, texts, tokens, dollars in connection.execute(query)
                if texts
            }

"""Tables of the registry as queries see them, and the append-only migrations that make them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from workbench.state.db import Migration, run_statements

metadata = MetaData()

corpora = Table(
    "corpora",
    metadata,
    Column("corpus_id", Integer, primary_key=True),
    Column("name", Text),
    Column("head", Integer),
)
texts = Table(
    "texts",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("body", LargeBinary),
)
documents = Table(
    "documents",
    metadata,
    Column("corpus_id", Integer, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("source", Text),
    Column("source_digest", LargeBinary),
    Column("text_digest", LargeBinary),
    Column("title", Text),
    Column("metadata", Text),
    Column("seq", Integer),
    Column("deleted", Integer),
)
indexes = Table(
    "indexes",
    metadata,
    Column("index_id", Integer, primary_key=True),
    Column("corpus_id", Integer),
    Column("fingerprint", Text),
    Column("chunking_id", Text),
    Column("embedding", Text),
    Column("chunking", Text),
    Column("generation", Integer),
    Column("cursor", Integer),
)
index_documents = Table(
    "index_documents",
    metadata,
    Column("index_id", Integer, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("text_digest", LargeBinary),
    Column("seq", Integer),
)
index_chunks = Table(
    "index_chunks",
    metadata,
    Column("index_id", Integer, primary_key=True),
    Column("chunk_id", Text, primary_key=True),
    Column("tenant", Text),
    Column("document_id", Text),
    Column("ordinal", Integer),
    Column("start", Integer),
    Column("end", Integer),
    Column("vault_key", LargeBinary),
)
pending_chunks = Table(
    "pending_chunks",
    metadata,
    Column("index_id", Integer, primary_key=True),
    Column("chunk_id", Text, primary_key=True),
)
routes = Table(
    "routes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("corpus_id", Integer),
    Column("version", Integer),
    Column("targets", Text),
)
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("token", Integer),
    Column("expires_at", Float),
)
ledger = Table(
    "ledger",
    metadata,
    Column("entry_id", Integer, primary_key=True),
    Column("at", Float),
    Column("run", Text),
    Column("fingerprint", Text),
    Column("role", Text),
    Column("texts", Integer),
    Column("tokens", Integer),
    Column("dollars", Float),
    Column("state", Text),
    Column("model", Text),
    Column("corpus", Text),
    Column("tenant", Text),
    Column("expected_tokens", Integer),
    Column("expected_dollars", Float),
    Column("reason", Text),
)
encoding_runs = Table(
    "encoding_runs",
    metadata,
    Column("run", Text, primary_key=True),
    Column("at", Float),
    Column("source", Text),
    Column("corpus", Text),
    Column("tenant", Text),
    Column("model", Text),
    Column("fingerprint", Text),
    Column("chunking_id", Text),
    Column("chunks", Integer),
    Column("calls", Integer),
    Column("encoded", Integer),
    Column("hits", Integer),
    Column("tokens", Integer),
    Column("truncated", Integer),
    Column("dollars", Float),
    Column("seconds", Float),
    Column("commit_seconds", Float),
)
forecasts = Table(
    "forecasts",
    metadata,
    Column("forecast_id", Integer, primary_key=True),
    Column("at", Float),
    Column("source", Text),
    Column("model", Text),
    Column("fingerprint", Text),
    Column("chunking_id", Text),
    Column("forecast", Text),
    Column("run", Text),
)


def m001_registry(connection: Connection) -> None:
    """Corpora and their compacted log, indexes and their actual state, routes, leases, ledger."""
    run_statements(
        connection,
        """
        CREATE TABLE corpora (
            corpus_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
            head INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE texts (digest BLOB PRIMARY KEY, body BLOB NOT NULL);
        CREATE TABLE documents (
            corpus_id INTEGER NOT NULL, tenant TEXT NOT NULL, document_id TEXT NOT NULL,
            source TEXT NOT NULL, source_digest BLOB NOT NULL, text_digest BLOB NOT NULL,
            title TEXT NOT NULL, metadata TEXT NOT NULL, seq INTEGER NOT NULL,
            deleted INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (corpus_id, tenant, document_id));
        CREATE UNIQUE INDEX documents_log ON documents (corpus_id, seq);
        CREATE TABLE indexes (
            index_id INTEGER PRIMARY KEY, corpus_id INTEGER NOT NULL, fingerprint TEXT NOT NULL,
            chunking_id TEXT NOT NULL, embedding TEXT NOT NULL, chunking TEXT NOT NULL,
            generation INTEGER NOT NULL DEFAULT 1, cursor INTEGER NOT NULL DEFAULT 0,
            UNIQUE (corpus_id, fingerprint, chunking_id));
        CREATE TABLE index_documents (
            index_id INTEGER NOT NULL, tenant TEXT NOT NULL, document_id TEXT NOT NULL,
            text_digest BLOB NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (index_id, tenant, document_id));
        CREATE TABLE index_chunks (
            index_id INTEGER NOT NULL, chunk_id TEXT NOT NULL, tenant TEXT NOT NULL,
            document_id TEXT NOT NULL, ordinal INTEGER NOT NULL, start INTEGER NOT NULL,
            "end" INTEGER NOT NULL, vault_key BLOB NOT NULL, PRIMARY KEY (index_id, chunk_id));
        CREATE INDEX index_chunks_document ON index_chunks (index_id, tenant, document_id);
        CREATE TABLE pending_chunks (
            index_id INTEGER NOT NULL, chunk_id TEXT NOT NULL, PRIMARY KEY (index_id, chunk_id));
        CREATE TABLE routes (
            name TEXT PRIMARY KEY, corpus_id INTEGER NOT NULL, version INTEGER NOT NULL,
            targets TEXT NOT NULL);
        CREATE TABLE leases (
            name TEXT PRIMARY KEY, holder TEXT NOT NULL, token INTEGER NOT NULL,
            expires_at FLOAT NOT NULL);
        CREATE TABLE ledger (
            entry_id INTEGER PRIMARY KEY, at FLOAT NOT NULL, run TEXT NOT NULL,
            fingerprint TEXT NOT NULL, role TEXT NOT NULL, texts INTEGER NOT NULL,
            tokens INTEGER NOT NULL DEFAULT 0, dollars FLOAT NOT NULL DEFAULT 0,
            state TEXT NOT NULL)
        """,
    )


def m002_costs(connection: Connection) -> None:
    """Whose call it was and what was expected of it; finished runs and the forecasts of them."""
    run_statements(
        connection,
        """
        ALTER TABLE ledger ADD COLUMN model TEXT NOT NULL DEFAULT '';
        ALTER TABLE ledger ADD COLUMN corpus TEXT NOT NULL DEFAULT '';
        ALTER TABLE ledger ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
        ALTER TABLE ledger ADD COLUMN expected_tokens INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE ledger ADD COLUMN expected_dollars FLOAT NOT NULL DEFAULT 0;
        ALTER TABLE ledger ADD COLUMN reason TEXT NOT NULL DEFAULT '';
        CREATE INDEX ledger_run ON ledger (run);
        CREATE INDEX ledger_paid ON ledger (at) WHERE dollars > 0;
        UPDATE ledger SET model = coalesce((SELECT json_extract(indexes.embedding, '$.model')
            FROM indexes WHERE indexes.fingerprint = ledger.fingerprint), '');
        CREATE TABLE encoding_runs (
            run TEXT PRIMARY KEY, at FLOAT NOT NULL, source TEXT NOT NULL, corpus TEXT NOT NULL,
            tenant TEXT NOT NULL, model TEXT NOT NULL, fingerprint TEXT NOT NULL,
            chunking_id TEXT NOT NULL, chunks INTEGER NOT NULL, calls INTEGER NOT NULL,
            encoded INTEGER NOT NULL, hits INTEGER NOT NULL, tokens INTEGER NOT NULL,
            truncated INTEGER NOT NULL, dollars FLOAT NOT NULL, seconds FLOAT NOT NULL,
            commit_seconds FLOAT NOT NULL);
        CREATE TABLE forecasts (
            forecast_id INTEGER PRIMARY KEY, at FLOAT NOT NULL, source TEXT NOT NULL,
            model TEXT NOT NULL, fingerprint TEXT NOT NULL, chunking_id TEXT NOT NULL,
            forecast TEXT NOT NULL, run TEXT)
        """,
    )


MIGRATIONS: tuple[Migration, ...] = (m001_registry, m002_costs)

"""One database: engine, transactions, schema version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from workbench.errors import StateError

Migration = Callable[[Connection], None]
BUSY_SECONDS = 30


class Database:
    """A SQLite file (or memory) with explicit transactions.

    SQLite before 3.51.3 can corrupt a write-ahead log, so the rollback journal is used, and every
    write begins IMMEDIATE: two writers queue up instead of failing half-way.
    """

    def __init__(
        self, path: Path | None, migrations: Sequence[Migration], pragmas: Sequence[str] = ()
    ) -> None:
        """Open ``path`` (None = in memory) and bring it to the newest schema.

        ``pragmas`` are set on every connection.

        Raises:
            StateError: The file is not a database or has a newer schema than this version knows.
        """
        self.path = path
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
        if path is None:
            options["poolclass"] = StaticPool
            options["connect_args"]["check_same_thread"] = False
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}" if path else "sqlite://", **options)

        def on_connect(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None  # transactions are explicit
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

        event.listen(self._engine, "connect", on_connect)
        try:
            self._migrate(migrations)
        except DatabaseError as error:
            raise StateError(
                f"{path} is not a usable SQLite database ({error.orig}); restore it from a snapshot"
            ) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading a consistent state; it never blocks another reader."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed at the end of the block, undone when it raises."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        with self._engine.connect() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version > len(migrations):
            raise StateError(
                f"{self.path} has schema {version}; this version of the workbench knows up to "
                f"{len(migrations)}. Upgrade the workbench, or open another home."
            )
        for number in range(version, len(migrations)):
            with self.write() as connection:
                found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                if found == number:
                    migrations[number](connection)
                    connection.exec_driver_sql(f"PRAGMA user_version = {number + 1}")


def run_statements(connection: Connection, statements: str) -> None:
    """Execute DDL statements separated by ``;``."""
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(text(statement))

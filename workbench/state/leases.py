"""Leases with fencing tokens: one driver writes an index, a late one is refused."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from sqlalchemy import Connection, insert, select, update

from workbench.errors import LeaseLost
from workbench.state.db import Database
from workbench.state.schema import leases

LEASE_SECONDS = 120.0
SAME_START_SECONDS = 2.0
"""A stepped clock moves the start times that the system reports."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease. Only the ``token`` decides whether a write is allowed, never the clock."""

    name: str
    holder: str
    token: int

    def check(self, connection: Connection) -> None:
        """Refuse inside a write transaction when the lease has gone to another holder.

        Raises:
            LeaseLost: Names the holder of now.
        """
        row = connection.execute(
            select(leases.c.token, leases.c.holder).where(leases.c.name == self.name)
        ).one_or_none()
        if row is None or row.token != self.token:
            now = row.holder if row else "nobody"
            raise LeaseLost(
                f"{self.name} is now held by {now}; this driver ({self.holder}) stops before "
                "writing. Nothing is lost: run the command again when the other one is done."
            )


class Leases:
    """Acquires and releases leases."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.time) -> None:
        """Keep leases in ``db``; ``clock`` only decides how long a silent holder is waited for."""
        self._db = db
        self._clock = clock

    def acquire(self, name: str) -> Lease:
        """Take ``name``: free, held by an ended process of this machine, or expired elsewhere.

        Raises:
            LeaseLost: Another living driver holds it; names it.
        """
        holder = _identity(os.getpid())
        with self._db.write() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
            if row and row.holder and self._is_held(row.holder, row.expires_at):
                raise LeaseLost(
                    f"{name} is being written by {row.holder}. Wait for it to finish, or stop it."
                )
            values: dict[str, object] = {
                "holder": holder,
                "expires_at": self._clock() + LEASE_SECONDS,
            }
            token = row.token + 1 if row else 1
            if row is None:
                connection.execute(insert(leases).values(name=name, token=token, **values))
            else:
                connection.execute(
                    update(leases).where(leases.c.name == name).values(token=token, **values)
                )
        return Lease(name, holder, token)

    def renew(self, connection: Connection, lease: Lease) -> None:
        """Check ``lease`` and prolong it, inside the caller's write transaction."""
        lease.check(connection)
        connection.execute(
            update(leases)
            .where(leases.c.name == lease.name)
            .values(expires_at=self._clock() + LEASE_SECONDS)
        )

    def release(self, lease: Lease) -> None:
        """Give the lease back, if it is still ours; the token stays so that it only grows."""
        with self._db.write() as connection:
            connection.execute(
                update(leases)
                .where(leases.c.name == lease.name, leases.c.token == lease.token)
                .values(holder="", expires_at=0.0)
            )

    def _is_held(self, holder: str, expires_at: float) -> bool:
        """A living process of this machine keeps its lease; elsewhere only time can tell."""
        host = holder.rsplit("/", 2)[0]
        return _is_alive(holder) if host == socket.gethostname() else expires_at > self._clock()


def _identity(pid: int) -> str:
    started = psutil.Process(pid).create_time()
    return f"{socket.gethostname()}/{pid}/{started:.2f}"


def _is_alive(holder: str) -> bool:
    _host, pid, started = holder.rsplit("/", 2)
    try:
        found = psutil.Process(int(pid)).create_time()
    except psutil.NoSuchProcess:
        return False
    return abs(found - float(started)) < SAME_START_SECONDS

"""Stable names that queries use, changed by compare-and-set."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from workbench.errors import StateError, UnknownName
from workbench.state.db import Database
from workbench.state.schema import routes


@dataclass(frozen=True, slots=True)
class Route:
    """A name, the weights of the indexes behind it (by index id) and a version."""

    name: str
    corpus_id: int
    version: int
    targets: tuple[tuple[int, float], ...]

    @property
    def index_id(self) -> int:
        """The index with the largest weight."""
        return max(self.targets, key=lambda target: (target[1], -target[0]))[0]


class Routes:
    """Routes by name."""

    def __init__(self, db: Database) -> None:
        """Keep the routes in ``db``."""
        self._db = db

    def find(self, name: str) -> Route | None:
        """The route called ``name``, or None."""
        with self._db.read() as connection:
            row = connection.execute(select(routes).where(routes.c.name == name)).one_or_none()
        if row is None:
            return None
        targets = tuple((int(i), float(w)) for i, w in json.loads(row.targets))
        return Route(row.name, row.corpus_id, row.version, targets)

    def get(self, name: str) -> Route:
        """The route called ``name``.

        Raises:
            UnknownName: There is none; names the nearest.
        """
        route = self.find(name)
        if route is None:
            with self._db.read() as connection:
                known = connection.execute(select(routes.c.name)).scalars().all()
            raise UnknownName.among(
                "route", name, known, "`workbench ingest SOURCE --corpus NAME` makes one."
            )
        return route

    def create(self, name: str, corpus_id: int, index_id: int) -> Route:
        """Make the route if it is not there; an existing one stays as it is."""
        with self._db.write() as connection:
            connection.execute(
                upsert(routes)
                .values(
                    name=name, corpus_id=corpus_id, version=1, targets=json.dumps([[index_id, 1.0]])
                )
                .on_conflict_do_nothing()
            )
        return self.get(name)

    def switch(self, route: Route, targets: tuple[tuple[int, float], ...]) -> Route:
        """Point ``route`` elsewhere, if nobody has changed it since it was read.

        Raises:
            StateError: Another change came first.
        """
        with self._db.write() as connection:
            done = connection.execute(
                update(routes)
                .where(routes.c.name == route.name, routes.c.version == route.version)
                .values(version=route.version + 1, targets=json.dumps(targets))
            )
        if done.rowcount != 1:
            raise StateError(
                f"route {route.name!r} has changed since version {route.version} was read; "
                "read it again and decide anew"
            )
        return self.get(route.name)

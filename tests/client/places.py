"""Stores of both kinds in which the same tests run: what a service has written there, and what choreo has."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from tests.client import postgresql_sessions, sessions
from tests.client.sessions import Way

WISHES = "create table wishes (id text)"

KINDS = ["sqlite3 begun", "plain Session", "AsyncSession", "Django"]
KINDS_OF_POSTGRESQL = ["psycopg begun", "Session", "AsyncSession", "Django"]
"""One of each kind of framework, where the others make no difference."""


class Place(NamedTuple):
    """A store: ``address`` is what `choreo.connect` takes; ``ways`` are the sessions that may be on it."""

    address: Any

    @property
    def is_file(self) -> bool:
        return isinstance(self.address, Path)

    @property
    def ways(self) -> dict[str, Way]:
        return sessions.WAYS if self.is_file else postgresql_sessions.WAYS

    @property
    def wishes_table(self) -> str:
        """The statement that makes a table of the service's own, with the order of its rows."""
        if self.is_file:
            return "create table wishes (id integer primary key, saga text, what text, unique (saga, what))"
        return "create table wishes (id serial primary key, saga text, what text)"

    @property
    def wish(self) -> str:
        """The statement that inserts a row into it, once where a transaction waits for the others."""
        return f"insert {'or ignore ' if self.is_file else ''}into wishes (saga, what) values (?, ?)"

    def execute(self, sql: str) -> Sequence[Any]:
        """Execute a statement beside all others, and return the first column of its rows."""
        if self.is_file:
            with closing(sqlite3.connect(self.address)) as own, own:
                return [row[0] for row in own.execute(sql).fetchall()]
        with closing(psycopg.connect(self.address, autocommit=True)) as other:
            cursor = other.execute(sql.encode())
            return [row[0] for row in cursor.fetchall()] if cursor.description else []

    def wishes(self) -> Sequence[str]:
        """Return the service's own rows."""
        return self.execute(f"select id from wishes order by {'rowid' if self.is_file else 'ctid'}")

    def started(self) -> Sequence[str]:
        """Return the sagas of which the store holds an event that was not published."""
        if self.is_file:
            started = self.execute("select saga_id from outbox order by seq")
            assert started == self.execute("select saga_id from saga_log order by id")
            return started
        return self.execute("select saga_id from choreo.requests order by id")

    def check_same(self, *expected: str) -> None:
        """What is started is what the service has written down."""
        assert self.wishes() == self.started() == list(expected)

    def refuse(self, saga_id: str) -> None:
        """Let the database refuse one row of a start."""
        if self.is_file:
            self.execute(
                f"create trigger full before insert on outbox when new.saga_id = '{saga_id}' "
                "begin select raise(abort, 'no room'); end"
            )
            return
        self.execute(
            "create function no_room() returns trigger language plpgsql as "
            "$$ begin raise exception 'no room'; end $$;"
            "create trigger full_up before insert on choreo.requests for each row "
            f"when (new.saga_id = '{saga_id}') execute function no_room()"
        )

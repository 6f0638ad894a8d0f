"""Django's ORM on the connection of a turn, for handlers; who declares no alias does not need Django."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django import conf
from django.db import connections

from choreo.errors import ConfigurationError, TransactionControl

_HINT = (
    "the turn commits for all of its items together; `with transaction.atomic():` undoes a part; what is to "
    "happen after the commit is a handler of the event"
)
_ZONE = "SELECT set_config('TimeZone', %s, true)"


class DjangoSessions:
    """Implements `choreo.participant.context.Sessions`: in a handler, an alias is the turn's connection.

    ``driver`` returns the connection of the store that is open now; ``vendor`` says what kind of database it
    is of. To Django the connection is in an ``atomic()`` block that somebody else has opened.
    """

    def __init__(
        self, alias: str, vendor: str, driver: Callable[[], Any], cursor: type[Any] | None = None
    ) -> None:
        if alias not in connections:
            raise ConfigurationError(
                f"session={alias!r} is no alias of a Django database",
                hint=f"aliases in DATABASES: {', '.join(connections)}",
            )
        if connections[alias].vendor != vendor:
            raise ConfigurationError(
                f"session={alias!r} is a database of {connections[alias].vendor}, the store one of {vendor}",
                hint="the service's tables are in the store's database: give that to DATABASES",
            )
        self._alias = alias
        self._driver = driver
        self._cursor = cursor
        self._on: Any = None
        self._wrapper: Any = None

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Open a block for one attempt of a handler, in which the alias is the turn's connection."""
        theirs = connections[self._alias]
        own = self._begun()
        connections[self._alias] = own
        try:
            yield
            _refuse(own)
        finally:
            connections[self._alias] = theirs

    def open(self) -> Any:
        """Return Django's connection of the alias."""
        return connections[self._alias]

    def _begun(self) -> Any:
        """Return Django's connection, in the state at the beginning of a block."""
        driver = self._driver()
        if self._wrapper is None or driver is not self._on:
            self._wrapper, self._on = _wrapped(self._alias, driver, self._cursor), driver
        own = self._wrapper
        own.in_atomic_block, own.autocommit, own.commit_on_exit = True, False, True
        own.needs_rollback = own.closed_in_transaction = False
        own.savepoint_ids, own.atomic_blocks, own.run_on_commit = [], [], []
        return own


def sessions_of(
    declared: str, url: str, driver: Callable[[], Any], cursor: type[Any] | None
) -> DjangoSessions:
    """Return the sessions of an alias; see `choreo.store.sessions`."""
    return DjangoSessions(declared, url.partition("+")[0].partition(":")[0], driver, cursor)


def _wrapped(alias: str, driver: Any, guarded: type[Any] | None) -> Any:
    """Return a connection of Django's that is set up as its own ones are, and is the store's."""
    made: Any = connections.create_connection(alias)
    made.connection = driver
    made.settings_dict = {**made.settings_dict, "DISABLE_SERVER_SIDE_CURSORS": True}
    if made.vendor == "sqlite":
        from django.db.backends.sqlite3._functions import register

        register(driver)
    else:
        from django.db.backends.postgresql.base import Cursor

        kind = Cursor if guarded is None else type("Cursor", (guarded, Cursor), {})
        made.create_cursor = lambda name=None: _cursor(made, kind, driver)
    return made


def _cursor(made: Any, kind: type[Any], driver: Any) -> Any:
    """Return a cursor that adapts values as Django's own do."""
    from django.db.backends.postgresql.psycopg_any import (
        DjangoRangeDumper,
        Range,
        TextLoader,
        register_tzloader,
    )

    if conf.settings.USE_TZ and driver.info.parameter_status("TimeZone") != made.timezone_name:
        driver.execute(_ZONE, (made.timezone_name,))  # the values that it reads are of this zone
    cursor = kind(driver)
    for name in ("jsonb", "inet", "cidr"):
        cursor.adapters.register_loader(name, TextLoader)
    cursor.adapters.register_dumper(Range, DjangoRangeDumper)
    register_tzloader(made.timezone, cursor)
    return cursor


def _refuse(own: Any) -> None:
    """Raise `TransactionControl` for what would be done at the end of a transaction of Django's."""
    if own.needs_rollback:
        raise TransactionControl("ROLLBACK of Django's was refused inside a turn", hint=_HINT)
    if own.run_on_commit:
        raise TransactionControl("transaction.on_commit() was refused inside a turn", hint=_HINT)

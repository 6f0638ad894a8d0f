"""Sessions of SQLAlchemy's on the connection of a turn; who declares none does not need SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from choreo.errors import ConfigurationError, TransactionControl

_HINT = (
    "the turn commits for all of its items together; session.flush() writes what there is, "
    "`with session.begin_nested():` undoes a part"
)


class SQLAlchemySessions:
    """Implements `choreo.participant.context.Sessions`: a new session for each handler that asks for one.

    ``make`` is called as a ``sessionmaker`` is. ``driver`` returns the connection of the store that is open
    now; ``url`` says what kind of database it is of.

    To SQLAlchemy the connection is one with a transaction that somebody else has begun and ends.
    """

    def __init__(self, make: Callable[..., Any], url: str, driver: Callable[[], Any]) -> None:
        self._make = getattr(make, "session_factory", make)  # of a scoped_session
        self._url = url
        self._driver = driver
        self._on: Any = None
        self._engine: sqlalchemy.Engine | None = None
        self._connection: sqlalchemy.Connection | None = None
        self._session: Any = None
        self._refused = ""

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Open a block for one attempt of a handler: at its end the session is flushed, and closed."""
        self._refused = ""
        try:
            yield
            if self._session is not None:
                if not self._refused:
                    self._session.flush()
                if self._refused:
                    raise _refusal(self._refused)
        finally:
            self._leave()

    def open(self) -> Any:
        """Return the session of this attempt."""
        if self._session is None:
            self._connection = self._engine_now().connect()
            self._connection.begin()
            self._session = self._made(self._connection)
        return self._session

    def _made(self, connection: sqlalchemy.Connection) -> Any:
        given = getattr(self._make, "kw", {})
        others: dict[str, Any] = {"binds": None, "twophase": False}  # another connection, another commit
        options = {name: value for name, value in others.items() if name in given}
        session = self._make(bind=connection, join_transaction_mode="rollback_only", **options)
        if not (hasattr(session, "flush") and hasattr(session, "begin_nested")):
            kind = type(session)
            raise ConfigurationError(
                f"session= gives a {kind.__module__}.{kind.__qualname__}, no Session of SQLAlchemy's",
                hint="session=sessionmaker(engine), or a function with its parameters",
            )
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_begin", self._after_begin)
        return session

    def _engine_now(self) -> sqlalchemy.Engine:
        """Return an engine of the one connection, which it neither ends nor sets up otherwise."""
        driver = self._driver()
        if self._engine is None or driver is not self._on:
            engine = sqlalchemy.create_engine(
                self._url, creator=lambda: driver, poolclass=StaticPool, pool_reset_on_return=None
            )
            dialect: Any = engine.dialect
            dialect.do_commit = lambda _: self._refuse("COMMIT")
            dialect.do_rollback = lambda _: self._rolled_back()
            dialect.do_close = dialect.do_terminate = lambda _: None
            dialect.set_isolation_level = lambda *_: self._refuse("isolation_level")
            self._engine, self._on = engine, driver
        return self._engine

    def _before_commit(self, session: Any) -> None:
        if session.get_nested_transaction() is None:
            self._refuse("COMMIT")

    def _after_begin(self, _session: Any, _transaction: Any, connection: sqlalchemy.Connection) -> None:
        if connection.engine is not self._engine:
            self._refuse("another connection of the session's, which is not committed with the turn,")

    def _rolled_back(self) -> None:
        """Note a rollback, which a flush that fails does as well: what failed there is what is raised."""
        if self._session is not None:
            self._refused = self._refused or "ROLLBACK of the session"

    def _refuse(self, what: str) -> NoReturn:
        self._refused = what
        raise _refusal(what)

    def _leave(self) -> None:
        session, connection = self._session, self._connection
        self._session = self._connection = None
        if session is not None:
            session.close()
        if connection is not None:
            connection.close()


def sessions_of(
    declared: Callable[..., Any], url: str, driver: Callable[[], Any], _cursor: type[Any] | None
) -> SQLAlchemySessions:
    """Return the sessions that a function makes; see `choreo.store.sessions`."""
    return SQLAlchemySessions(declared, url, driver)


def _refusal(what: str) -> TransactionControl:
    return TransactionControl(f"{what} was refused inside a turn", hint=_HINT)

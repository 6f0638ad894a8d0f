"""What ``transaction(within=…)`` takes: a transaction that the service has open, in each framework's shape.

A framework is known by what its objects have, so that none is imported that the service does not use.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from choreo.errors import ConfigurationError, StoreError, wrong_argument

_HINT = (
    "give a SQLAlchemy Session or Connection, a Django alias, or a connection of the driver (sqlite3, "
    "psycopg); of sqlite_utils, its .conn"
)


def _never_ends() -> None:
    """Leave it to the driver to say whether the transaction has ended."""


@dataclass(frozen=True)
class Joined:
    """Implements `choreo.ports.OpenTransaction`; ``given`` is what the caller knows it by."""

    given: Any
    connection: Any
    driver: Any
    check: Callable[[], None] = _never_ends


def joined(within: object) -> Joined:
    """Return the transaction that is open in a session or a connection.

    Raises `ConfigurationError` for anything else, `StoreError` where no transaction is open in it.
    """
    if isinstance(within, str):
        return _django(within, _alias(within))
    if hasattr(within, "in_atomic_block"):
        return _django(within, within)
    if hasattr(within, "run_sync"):
        name = type(within).__name__
        raise ConfigurationError(
            f"within={name}: what writes through it must not be awaited",
            hint=f"await session.run_sync(place, …), where place is a plain function that joins the "
            f"{name.removeprefix('Async').lower()} that it is given",
        )
    if hasattr(within, "exec_driver_sql") and hasattr(within, "get_transaction"):
        return _sqlalchemy(within, within)
    if hasattr(within, "get_bind") and callable(getattr(within, "connection", None)):
        return _sqlalchemy(within, within.connection())  # type: ignore[attr-defined]
    if hasattr(within, "cursor") and hasattr(within, "commit"):
        if inspect.iscoroutinefunction(within.commit):
            raise wrong_argument("within", within, "a connection of a synchronous driver", hint=_HINT)
        return Joined(within, within, within)
    raise wrong_argument("within", within, "a transaction that choreo can join", hint=_HINT)


def _sqlalchemy(given: object, connection: Any) -> Joined:
    if connection.get_transaction() is None:
        connection.exec_driver_sql("SELECT 1")  # begins one, as every statement of the service's does
    transaction = connection.get_transaction()

    def is_open() -> bool:
        current = connection.get_transaction()
        return current is not None and current is transaction and bool(current.is_active)

    check = _check_of(is_open)
    check()
    pooled = connection.connection
    return Joined(given, pooled.dbapi_connection, pooled.driver_connection, check)


def _django(given: object, wrapper: Any) -> Joined:
    if wrapper.get_autocommit():
        raise StoreError(
            f"no atomic() block is open on the database {wrapper.alias!r}",
            hint=f"with transaction.atomic(using={wrapper.alias!r}): …",
        )
    connection = wrapper.connection

    def is_open() -> bool:
        wrapper.validate_no_broken_transaction()
        return wrapper.connection is connection and not wrapper.get_autocommit()

    check = _check_of(is_open)
    check()
    return Joined(given, connection, connection, check)


def _alias(name: str) -> Any:
    django = sys.modules.get("django.db")
    if django is None:
        raise ConfigurationError(
            f"within={name!r} is the alias of a Django database, but Django is not in use here", hint=_HINT
        )
    if name not in django.connections:
        raise ConfigurationError(
            f"within={name!r} is no alias of a Django database",
            hint=f"aliases in DATABASES: {', '.join(django.connections)}",
        )
    return django.connections[name]


def _check_of(is_open: Callable[[], bool]) -> Callable[[], None]:
    def check() -> None:
        if not is_open():
            raise StoreError(
                "the transaction that was joined has ended, or was never begun",
                hint="commit, or roll back, after the block of orders.transaction(within=…)",
            )

    return check

"""PostgreSQL's errors in words for whoever runs the service."""

from __future__ import annotations

import struct

import psycopg
from psycopg.conninfo import conninfo_to_dict

from choreo.errors import StoreError, StoreUnavailable, TurnLost

UNWRITABLE = (psycopg.Error, struct.error, UnicodeError, OverflowError, TypeError, ValueError)
"""What is raised for rows that can't be written: the database's errors, and Python's for odd values."""

_CHECK = "run `choreo store check`"

_MEANINGS = {
    "53100": ("can't grow: the disk is full", "make room on it"),
    "53200": ("has no memory left", "see what uses it"),
    "53300": ("takes no more connections", "see who holds them, or raise max_connections"),
    "55P03": (
        "is locked",
        "see which other process holds a transaction open on it, such as a long one of the service's own, "
        "and try again",
    ),
    "57014": ("was too slow: a statement was cancelled", "see statement_timeout, and what it waited for"),
    "25006": ("can't be written: it is read-only", "give the address of the primary"),
    "40P01": ("broke a deadlock with another transaction", "take locks in the same order everywhere"),
    "40001": ("could not serialize a transaction", "it is repeated"),
}

_PASSING = ("08", "40", "53", "55", "57", "58")
"""The classes of errors that pass: another transaction, the server or the machine is the cause."""

_PASSING_CODES = ("25006", "25P03", "25P04")

_UNPREPARED = ("26000", "42P05")
_REVALIDATES = "RevalidateCachedQuery"  # says that a table has changed under a prepared statement

_NOT_OURS = {
    "42P01": ("lacks tables of choreo's", _CHECK),
    "3F000": ("has no schema of choreo's", _CHECK),
    "42703": ("has other tables than this choreo's", _CHECK),
    "42501": ("refuses this role", "grant it USAGE on the schema choreo, and all rights on its tables"),
}


def is_stale(error: BaseException) -> bool:
    """Whether a prepared statement is gone, or doesn't fit its tables any more: unprepared, it succeeds."""
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate in _UNPREPARED or error.diag.source_function == _REVALIDATES


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction is lost to another one that it met: a deadlock, or a change of a table, say."""
    return isinstance(error, psycopg.Error) and ((error.sqlstate or "").startswith("40") or is_stale(error))


def is_lost(error: BaseException, connection: psycopg.Connection | None) -> bool:
    """Whether an error has ended the connection."""
    return isinstance(error, psycopg.Error) and (connection is None or connection.broken)


def is_passing(error: BaseException) -> bool:
    """Whether the same may succeed later: another transaction, the server or the network is the cause."""
    if not isinstance(error, psycopg.Error):
        return False
    code = error.sqlstate or ""
    return code.startswith(_PASSING) or code in _PASSING_CODES or is_stale(error)


def turn_error(name: str, error: BaseException) -> StoreError:
    """Return the error of a turn: a `TurnLost` unless the server or another transaction is the cause."""
    known = store_error(name, error)
    is_blamed = type(known) is StoreError and getattr(error, "sqlstate", None) not in _NOT_OURS
    return TurnLost(known.message, hint=known.hint) if is_blamed else known


def store_error(name: str, error: BaseException) -> StoreError:
    """Return the error, with a hint, that says why the database called ``name`` could not do its work."""
    code = getattr(error, "sqlstate", None) or ""
    if code in _NOT_OURS:
        meaning, hint = _NOT_OURS[code]
        return StoreError(f"the database {name} {meaning}: {first_line(error)}", hint=hint)
    if not is_passing(error):
        return StoreError(f"the database {name} failed: {first_line(error)}")
    meaning, hint = _MEANINGS.get(code, (f"is away: {first_line(error)}", "see its log"))
    return StoreUnavailable(f"the database {name} {meaning}", hint=hint)


def away(name: str, error: BaseException) -> StoreUnavailable:
    """Return the error for a connection that was lost."""
    return StoreUnavailable(
        f"the connection to the database {name} was lost: {first_line(error)}", hint="is the server running?"
    )


_ASKED = "no password supplied"
_REFUSALS = (
    ("password authentication failed", "refuses the user or its password", "check both, or ~/.pgpass"),
    (_ASKED, "asks for a password", "put it into ~/.pgpass, or set PGPASSWORD"),
    ("pg_hba.conf", "admits no such connection", "see the server's pg_hba.conf"),
    ("role", "knows no such role", "check the user in the address, or PGUSER"),
    ("database", "does not exist", "check its name in the address, or PGDATABASE; createdb makes one"),
    ("permission denied", "refuses this role", "grant it CONNECT on the database"),
)


_NOT_NOW = (
    "starting up",
    "shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "terminating connection",
    # of pgbouncer
    "cannot connect",
    "server_login_retry",
    "query_wait_timeout",
    "server login",
)
"""What is said of a server that takes no connections for a while: there is no code for that here."""


def opening_error(name: str, error: BaseException) -> StoreError:
    """Return the error, with a hint, that says why a database can't be opened; no password is in it."""
    text = first_line(error)
    is_told = "FATAL" in text or _ASKED in text  # by the server, or by libpq about what it wants
    if not is_told or any(sign in text for sign in _NOT_NOW):
        return StoreUnavailable(
            f"the database {name} can't be reached: {text}", hint="is the server running?"
        )
    if "too many" in text or "remaining connection slots" in text or "limit" in text:
        return StoreUnavailable(f"the database {name} takes no more connections", hint=_MEANINGS["53300"][1])
    for sign, meaning, hint in _REFUSALS:
        if sign in text and (sign not in ("role", "database") or "does not exist" in text):
            return StoreError(f"the database {name} {meaning}", hint=hint)
    return StoreError(f"the database {name} can't be opened: {text}")


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line without its details."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = (said or str(error)).strip()
    return text.splitlines()[0].strip() if text else type(error).__name__


def shown(address: str) -> str:
    """Return the address of a database as it may be shown: without its password, and without settings.

    >>> shown("postgresql://shop:secret@db.example:5433/shop?sslmode=require")
    'postgresql://db.example:5433/shop'
    >>> shown("service=shop password=secret")
    'postgresql://service=shop'
    """
    parts = parsed(address)
    host, port, name = (str(parts.get(key) or "") for key in ("host", "port", "dbname"))
    if not (host or name) and parts.get("service"):
        return f"postgresql://service={parts['service']}"
    return f"postgresql://{host}{f':{port}' if port else ''}/{name}"


def parsed(address: str) -> dict[str, object]:
    """Return the parts of an address. Raises `StoreError`, without showing it, where it can't be read."""
    try:
        return dict(conninfo_to_dict(address))
    except psycopg.Error:
        raise StoreError(
            "the address of the PostgreSQL database can't be read",
            hint="postgresql://USER@HOST:PORT/DATABASE; special characters are written as %40",
        ) from None

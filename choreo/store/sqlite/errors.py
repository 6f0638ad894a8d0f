"""SQLite's errors in words for whoever runs the service."""

from __future__ import annotations

import sqlite3

from choreo.errors import StoreError, StoreUnavailable, TurnLost

OLDEST = (3, 40, 0)
"""The oldest SQLite that has all that the statements use."""

_RESTORE = "restore it from a backup"
_MEANINGS = {
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database", "give the path of another file"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _RESTORE),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened", "check the path and who may read and write there"),
    sqlite3.SQLITE_PERM: ("can't be opened", "check who may read and write it"),
    sqlite3.SQLITE_READONLY: ("can't be written", "check who may write the file and its folder"),
    sqlite3.SQLITE_BUSY: (
        "is locked",
        "see which other process holds a transaction open on it, such as a long one of the service's own, "
        "and try again",
    ),
    sqlite3.SQLITE_LOCKED: ("is locked", "see which other connection holds a transaction open on it"),
    sqlite3.SQLITE_FULL: ("can't grow: the disk is full", "make room on it"),
    sqlite3.SQLITE_NOMEM: ("can't be used: there is no memory left", "see what uses it"),
    sqlite3.SQLITE_PROTOCOL: ("is locked", "see which other processes open and close it all the time"),
    sqlite3.SQLITE_IOERR: ("can't be read or written: the disk failed", "check the disk and the mount"),
}


_PASSING = frozenset(
    (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL),
    )
)
"""The kinds of errors that pass: another process, the disk or the machine is the cause."""


_NO_TEXT = "is damaged: it holds what is no text"


def _is_of_no_text(error: Exception) -> bool:
    return "decode to UTF-8" in str(error)  # of Python's, so it has no code


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection is in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


_MOVED = sqlite3.SQLITE_READONLY_DBMOVED


def turn_error(path: str, error: Exception) -> StoreError:
    """Return the error of a turn: a `TurnLost` unless the file, the disk or another process is the cause.

    A database that was writable before may be so again.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _MEANINGS:
        if _is_of_no_text(error):
            return TurnLost(f"the database {path} {_NO_TEXT}", hint=_RESTORE)
        return TurnLost(f"the database {path} failed: {error}")
    if code & 0xFF == sqlite3.SQLITE_READONLY and code != _MOVED:
        return StoreUnavailable(f"the database {path} can't be written", hint="check the disk and the mount")
    return store_error(path, error)


_TABLES = (
    "_sqlite_migrations",
    "choreo_store",
    "dead_letters",
    "outbox",
    "positions",
    "releases",
    "saga_log",
    "sagas_in_flight",
    "schedule",
    "sqlite_sequence",
)


def refuse_old_library(path: str) -> None:
    """Raise `StoreError` where this Python has an SQLite that is too old, as a system's own may be."""
    if sqlite3.sqlite_version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST[:2]))
        raise StoreError(
            f"the database {path} can't be opened: this Python has SQLite {sqlite3.sqlite_version}, "
            f"and choreo needs {oldest} or newer",
            hint="use a Python that has a newer one, such as that of an official container image",
        )


def refuse_views(connection: sqlite3.Connection, path: str) -> None:
    """Raise `StoreError` where a view, which may have no end, has the name of one of choreo's tables."""
    marks = ", ".join("?" * len(_TABLES))
    views = connection.execute(
        f"SELECT name FROM sqlite_master WHERE type = 'view' AND name IN ({marks})", _TABLES
    ).fetchone()
    if views:
        raise StoreError(
            f"the database {path} has a view in the place of the table {views[0]}",
            hint=_RESTORE,
        )


def refuse_unidentified(connection: sqlite3.Connection, path: str) -> None:
    """Raise `StoreError` where the row that identifies a store is gone, or holds what is no text."""
    if connection.execute("SELECT * FROM choreo_store").fetchone() is None:
        raise StoreError(f"the database {path} has lost its id", hint=_RESTORE)


def store_error(path: str, error: Exception) -> StoreError:
    """Return the error, with a hint, that says why SQLite could not work on the database at ``path``.

    >>> import sqlite3
    >>> print(store_error("shop.db", sqlite3.OperationalError("no such column: colour")))
    the database shop.db failed: no such column: colour
    """
    if isinstance(error, UnicodeError) or _is_of_no_text(error):
        return StoreError(f"the database {path} {_NO_TEXT}", hint=_RESTORE)
    # The low byte is the kind of the error, the rest its details.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code not in _MEANINGS:
        return StoreError(f"the database {path} failed: {error}")
    meaning, hint = _MEANINGS[code]
    kind = StoreUnavailable if code in _PASSING else StoreError
    return kind(f"the database {path} {meaning}", hint=hint)

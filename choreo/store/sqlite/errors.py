"""SQLite's errors in words for whoever runs the service."""

from __future__ import annotations

import sqlite3

from choreo.errors import StoreError, TurnLost

_MEANINGS = {
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database", "give the path of another file"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "restore it from a backup"),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened", "check the path and who may read and write there"),
    sqlite3.SQLITE_PERM: ("can't be opened", "check who may read and write it"),
    sqlite3.SQLITE_READONLY: ("can't be written", "check who may write the file and its folder"),
    sqlite3.SQLITE_BUSY: ("is locked", "see which other process holds a transaction open on it"),
    sqlite3.SQLITE_LOCKED: ("is locked", "see which other connection holds a transaction open on it"),
    sqlite3.SQLITE_FULL: ("can't grow: the disk is full", "make room, then start again"),
    sqlite3.SQLITE_IOERR: ("can't be read or written: the disk failed", "check the disk and the mount"),
}


_NOBODYS_FAULT = {*_MEANINGS, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL}


def turn_error(path: str, error: Exception) -> StoreError:
    """Return the error of a turn: a `TurnLost` unless the file, the disk or another process is the cause."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _NOBODYS_FAULT:
        return store_error(path, error)
    return TurnLost(f"the database {path} failed: {error}")


def store_error(path: str, error: Exception) -> StoreError:
    """Return the error, with a hint, that says why SQLite could not work on the database at ``path``.

    >>> import sqlite3
    >>> print(store_error("shop.db", sqlite3.OperationalError("no such column: colour")))
    the database shop.db failed: no such column: colour
    """
    # The low byte is the kind of the error, the rest its details.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code not in _MEANINGS:
        return StoreError(f"the database {path} failed: {error}")
    meaning, hint = _MEANINGS[code]
    return StoreError(f"the database {path} {meaning}", hint=hint)

"""Opens the stores that a command works on: those that the option ``--store`` names, one or more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from choreo.cli.options import Listed, lines_in
from choreo.errors import ArchiveError, ConfigurationError, StoreError
from choreo.project.pyproject import nearest_project
from choreo.store.sqlite.errors import store_error
from choreo.store.sqlite.reader import (
    StoreReader,
    connect_read_only,
    is_at_rest,
    may_be_written,
    private_copy,
)
from choreo.timeline.source import MemorySource

if TYPE_CHECKING:
    from choreo.store.sqlite.store import SQLiteStore
    from choreo.timeline.source import Source

F = TypeVar("F", bound=Callable[..., Any])

_ANY = "{participant}"


def _default() -> list[str]:
    return [nearest_project().get("store") or f"{_ANY}.db"]


def _stores_in(text: str) -> list[str]:
    """Return the paths in a variable: one a line, or the one path that it is, or several with spaces."""
    several = lines_in(text) or text.split()
    is_one = len(several) < 2 or _is_there(text) or not all(map(_is_there, several))
    return [text] if is_one and not lines_in(text) else several


def _is_there(path: str) -> bool:
    return Path(path).exists() or bool(glob(path.replace(_ANY, "*")))


stores = click.option(
    "--store",
    "stores",
    cls=Listed,
    separate=_stores_in,
    envvar="CHOREO_STORE",
    default=_default,
    metavar="PATH",
    help="A participant's SQLite database, or a folder with several (*.db); may be repeated, and "
    "CHOREO_STORE may hold one a line. Default: the store of [tool.choreo], or *.db in the working "
    "directory. Commands that only read also take exports of `choreo log export`.",
)
"""The option that names the stores that a command works on."""


class Opened(NamedTuple):
    """An open store; ``participant`` is empty where no worker has used it yet."""

    participant: str
    path: str
    store: SQLiteStore


@contextmanager
def open_stores(named: Sequence[str], *, reading: bool = False) -> Iterator[list[Opened]]:
    """Open the stores that the option names, in the order of their participants' names.

    ``{participant}`` stands for any name. Raises `ConfigurationError` where a file is missing or is no
    store of choreo's: nothing is made. A worker may use them meanwhile. With ``reading``, one that may not be
    written is read from a private copy.
    """
    from choreo.store.sqlite.store import SQLiteStore

    with ExitStack() as stack:
        opened: list[Opened] = []
        for path in _paths(named):
            is_copied = reading and not may_be_written(path)
            place = stack.enter_context(private_copy(path)) if is_copied else path
            store = stack.enter_context(closing(SQLiteStore(place)))
            opened.append(Opened(_owner(place), path, store))
        yield sorted(opened, key=lambda each: (each.participant, each.path))


@contextmanager
def open_readers(named: Sequence[str]) -> Iterator[list[Source]]:
    """Open the stores that the option names to read them, in the order of their participants' names.

    An export of a saga log is read as well. Raises `ConfigurationError` where a file is missing, or is
    neither, `ArchiveError` for an export that isn't whole. Nothing is made or changed, and no worker waits.
    """
    with ExitStack() as opened:
        exports = [name for name in named if _is_export(name)]
        stores = [name for name in named if name not in exports]
        sources: list[Source] = [_export(name) for name in exports]
        for path in _paths(stores) if stores else ():
            sources.append(_reader(path, opened))
        yield sorted(sources, key=lambda each: each.participant)


@contextmanager
def open_reader(path: str) -> Iterator[StoreReader]:
    """Open one store to read it, also one of an earlier choreo, or a file in which none was made yet.

    Nothing is made or changed, and no worker waits.
    """
    with ExitStack() as opened:
        try:
            reader = opened.enter_context(StoreReader(path))
            reader.newest_release()
        except StoreError as error:
            reader = _reader_of_copy(path, opened, error)
        yield reader


def _reader(path: str, opened: ExitStack) -> StoreReader:
    try:
        reader = opened.enter_context(StoreReader(path))
        reader.views("")
        return reader
    except StoreError as error:
        if may_be_written(path):
            raise
        return _reader_of_copy(path, opened, error)


def _reader_of_copy(path: str, opened: ExitStack, error: StoreError) -> StoreReader:
    """Read a copy: the store has a log that only a writer can open, or it is of an older choreo."""
    from choreo.store.sqlite.store import SQLiteStore

    try:
        copied = opened.enter_context(private_copy(path))
        SQLiteStore(copied).close()
    except StoreError:
        raise error from None
    return opened.enter_context(StoreReader(copied, name=path))


def _is_export(path: str) -> bool:
    """Whether a file begins as ``choreo log export`` writes it: as JSON lines, or as Avro."""
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith((b'{"head"', b"Obj\x01"))
    except OSError:
        return False


def _export(path: str) -> Source:
    from choreo.audit.formats import read_export

    try:
        with open(path, "rb") as file:
            origin, rows = read_export(file)
            return MemorySource(origin.participant, path, ((row.id, row.entry) for row in rows))
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error.message}", hint=error.hint) from None


def _paths(named: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in named:
        pattern = f"{escape(name)}/*.db" if Path(name).is_dir() else name.replace(_ANY, "*")
        if pattern != name:
            found.update(dict.fromkeys(path for path in sorted(glob(pattern)) if _is_store(path)))
        else:
            _refuse_other(name)
            found[name] = None
    if not found:
        raise ConfigurationError(
            f"there is no store at {', '.join(named)}", hint="name it: --store /var/lib/orders.db"
        )
    return list(found)


def _refuse_other(path: str) -> None:
    if not Path(path).is_file():
        raise ConfigurationError(f"there is no file {path}", hint="which store is meant? --store PATH")
    if not _is_store(path):
        raise ConfigurationError(
            f"{path} is not a store of choreo's", hint="which one is meant? --store PATH"
        )


def _is_store(path: str) -> bool:
    # A write-ahead log that can't be opened is no part of what the file is.
    for at_rest in {is_at_rest(path), True}:
        with (
            suppress(sqlite3.Error, UnicodeError),
            closing(connect_read_only(path, at_rest=at_rest)) as connection,
        ):
            connection.execute("SELECT 1 FROM choreo_store")
            return True
    return False


def _owner(path: str) -> str:
    try:
        with closing(connect_read_only(path, at_rest=is_at_rest(path))) as connection:
            owner = connection.execute("SELECT participant FROM choreo_store").fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        raise store_error(path, error) from None
    return str((owner and owner[0]) or "")

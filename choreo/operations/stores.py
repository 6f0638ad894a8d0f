"""Opens the stores that an operator names: one or more, by paths, patterns, folders and addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from choreo.errors import ArchiveError, ConfigurationError, StoreError
from choreo.store import opening
from choreo.store.opening import is_address, is_store, is_writable, shown
from choreo.store.reader import TableReader
from choreo.timeline.source import MemorySource

if TYPE_CHECKING:
    from choreo.store.tables import TableStore
    from choreo.timeline.source import Source

ANY = "{participant}"
"""What stands for the name of any participant in a path."""


class Opened(NamedTuple):
    """An open store; ``participant`` is empty where no worker has used it yet.

    ``path`` is how it is called in messages, ``place`` what it was opened by.
    """

    participant: str
    path: str
    store: TableStore
    place: str


@contextmanager
def open_stores(named: Sequence[str], *, reading: bool = False) -> Iterator[list[Opened]]:
    """Open the stores that the option names, in the order of their participants' names.

    ``{participant}`` stands for any name. Raises `ConfigurationError` where a file is missing or is no
    store of choreo's: nothing is made. A worker may use them meanwhile. With ``reading``, one that may not be
    written is read from a private copy.
    """
    with ExitStack() as stack:
        opened: list[Opened] = []
        for path in named_stores(named):
            place = stack.enter_context(opening.readable(path)) if reading else path
            store = stack.enter_context(closing(opening.open_store(place)))
            opened.append(Opened(store.owner, shown(path), store, place))
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
        for path in named_stores(stores) if stores else ():
            sources.append(reader_at(path, opened))
        yield sorted(sources, key=lambda each: each.participant)


@contextmanager
def open_tables(named: Sequence[str]) -> Iterator[list[TableReader]]:
    """Open the stores that the option names to read their tables, in the order of their participants' names.

    Raises `ConfigurationError` where a file is missing, or is no store. Nothing is made or changed, and no
    worker waits.
    """
    with ExitStack() as opened:
        readers = [reader_at(path, opened) for path in named_stores(named)]
        yield sorted(readers, key=lambda each: (each.participant, each.path))


@contextmanager
def open_reader(path: str) -> Iterator[TableReader]:
    """Open one store to read it, also one of an earlier choreo, or a file in which none was made yet.

    Nothing is made or changed, and no worker waits.
    """
    with ExitStack() as opened:
        try:
            reader = opened.enter_context(opening.open_reader(path))
            reader.newest_release()
        except StoreError as error:
            if is_address(path):
                raise
            reader = _reader_of_copy(path, opened, error)
        yield reader


def reader_at(path: str, opened: ExitStack) -> TableReader:
    """Open a store to read it, until ``opened`` is closed; where it may only be read, a copy of it.

    Raises `StoreError`, `ConfigurationError`.
    """
    try:
        reader = opened.enter_context(opening.open_reader(path))
        reader.views("")
        return reader
    except StoreError as error:
        if is_writable(path):
            raise
        return _reader_of_copy(path, opened, error)


def _reader_of_copy(path: str, opened: ExitStack, error: StoreError) -> TableReader:
    try:
        return opened.enter_context(opening.reader_of_copy(path))
    except StoreError:
        raise error from None


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


def places_of(named: Sequence[str]) -> list[str]:
    """Return the addresses and paths that are named, whether a store is there or not, and what is found."""
    places: dict[str, None] = {}
    for name in named:
        places.update(dict.fromkeys([name] if is_address(name) else _matching(name) or [name]))
    return list(places)


def named_stores(named: Sequence[str]) -> list[str]:
    """Return the addresses that are named, and the paths that are found. Raises `ConfigurationError`."""
    addresses = [name for name in named if is_address(name)]
    for address in addresses:
        if ANY in address:
            raise ConfigurationError(
                f"{shown(address)} stands for any participant's database",
                hint="name each one: --store may be repeated",
            )
    paths = [name for name in named if name not in addresses]
    return [*addresses, *(_paths(paths) if paths or not addresses else ())]


def _paths(named: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in named:
        matching = _matching(name)
        if matching is None:
            _refuse_other(name)
            matching = [name]
        found.update(dict.fromkeys(matching))
    if not found:
        raise ConfigurationError(
            f"there is no store at {', '.join(named)}", hint="name it: --store /var/lib/orders.db"
        )
    return list(found)


def _matching(name: str) -> list[str] | None:
    """Return the stores that a folder or a pattern stands for, None for the path of one file."""
    pattern = f"{escape(name)}/*.db" if Path(name).is_dir() else name.replace(ANY, "*")
    return None if pattern == name else [path for path in sorted(glob(pattern)) if is_store(path)]


def _refuse_other(path: str) -> None:
    if not Path(path).is_file():
        raise ConfigurationError(f"there is no file {path}", hint="which store is meant? --store PATH")
    if not is_store(path):
        raise ConfigurationError(
            f"{path} is not a store of choreo's", hint="which one is meant? --store PATH"
        )

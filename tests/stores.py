"""The stores of tests: files, or databases on a PostgreSQL server, which the files' paths name.

``STORE=postgresql`` puts those of all tests and programs into PostgreSQL, on the server whose address is in
``CHOREO_TEST_POSTGRESQL``, which the session's fixture sets; so do processes that a test starts. With
``POOLER=pgbouncer`` they are reached through one, whose address is in ``CHOREO_TEST_POOLER``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit, urlunsplit

from choreo.records import Lane
from choreo.store import opening

if TYPE_CHECKING:
    from tests.postgresql.server import Server

VARIABLE = "STORE"


def in_postgresql() -> bool:
    """Whether stores are in PostgreSQL now."""
    return os.environ.get(VARIABLE) == "postgresql"


def place(path: str | Path) -> str:
    """Return what ``--store`` takes for the store at a path: the path, or an address with its tables.

    An address is one already.
    """
    if not in_postgresql() or opening.is_address(path):
        return str(path)
    spell()
    return pooled(address_of(path))


def pooled(address: str) -> str:
    """Return the address of a database through the session's pooler, where there is one."""
    pooler = os.environ.get("CHOREO_TEST_POOLER")
    return urlunsplit(urlsplit(pooler)._replace(path=urlsplit(address).path)) if pooler else address


def spell() -> None:
    """Let handlers of this process write SQLite's spelling of statements, whichever their database is."""
    if in_postgresql():
        from tests.postgresql.portable import install

        install(keeps_sessions="CHOREO_TEST_POOLER" not in os.environ)


def open_store(path: str | Path, **options: Any) -> Any:
    """Open the store that has a path; handlers and tests may talk to its ``db`` as to SQLite's."""
    return opening.open_store(place(path), **options)


@contextmanager
def own_server() -> Iterator[Server | None]:
    """Start a PostgreSQL for a program of its own, where stores are to be there; it loses no commit."""
    if not in_postgresql():
        yield None
        return
    from tests.postgresql.server import Server

    server = Server("synchronous_commit=on", "max_connections=200")
    try:
        server.start()
        os.environ["CHOREO_TEST_POSTGRESQL"] = server.address("postgres")
        yield server
    finally:
        server.remove()


def exists(path: str | Path) -> bool:
    """Whether the store at a path has been made."""
    if not in_postgresql():
        return Path(path).exists()
    with closing(_server()) as server:
        return bool(server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_name(path),)).fetchone())


def address_of(path: str | Path) -> str:
    """Return the address of the database that stands for a file, which is made where there is none."""
    from tests.postgresql.databases import made_from_template, on

    given, name = os.environ["CHOREO_TEST_POSTGRESQL"], _name(path)
    if name not in _made:
        made_from_template(given, name)
        _made.add(name)
    return f"{on(given, name)}{'&' if '?' in given else '?'}options={_OPTIONS}"


_made: set[str] = set()
# So that tests find choreo's tables as they find them in a file.
_OPTIONS = "-csearch_path%3Dpublic,choreo"
SEARCHED = "SET search_path = public, choreo"
"""The same as a statement."""


def _name(path: str | Path) -> str:
    stem = re.sub(r"\W", "_", Path(path).stem.lower())[:20]
    return f"t_{stem}_{sha256(str(Path(path).absolute()).encode()).hexdigest()[:16]}"


def copy(source: str | Path, target: str | Path) -> None:
    """Copy a store that nobody has open, whole."""
    if not in_postgresql():
        shutil.copy(source, target)
        return
    with closing(_server()) as server:
        if os.environ.get("CHOREO_TEST_POOLER"):
            server.execute(_ENDED, (_name(source),))
        server.execute(f"CREATE DATABASE {_name(target)} TEMPLATE {_name(source)}".encode())
    _made.add(_name(target))


# A pooler keeps sessions for a while after the last client has gone.
_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND state = 'idle'"


def remove(path: str | Path) -> None:
    """Delete a store that nobody has open."""
    if not in_postgresql():
        for each in ("", "-wal", "-shm"):
            Path(f"{path}{each}").unlink(missing_ok=True)
        return
    with closing(_server()) as server:
        server.execute(f"DROP DATABASE IF EXISTS {_name(path)} WITH (FORCE)".encode())
    _made.discard(_name(path))


def _server() -> Any:
    import psycopg

    return psycopg.connect(os.environ["CHOREO_TEST_POSTGRESQL"], autocommit=True)


def is_at_rest(store: Any) -> bool:
    """Whether nothing is left to do: nothing to publish, due, under way, or in doubt since an end."""
    lanes = [lane for lane in get_args(Lane) if lane != "record"]
    return not store.unpublished(0, 1) and all(store.next_due(lane) is None for lane in lanes)

"""Looks at a store's database without writing to it: whether it keeps what it confirms, and lets us write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg

from choreo.errors import StoreError
from choreo.ports.findings import Finding
from choreo.store import in_flight
from choreo.store.postgresql.dialect import SEARCHES
from choreo.store.postgresql.errors import shown
from choreo.store.postgresql.schema import MIGRATIONS, TRIGGERS, pending
from choreo.store.postgresql.session import connect

_SETTINGS: Final = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
_ASKED: Final = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "server_encoding",
    "default_transaction_read_only",
)
_RIGHTS: Final = """
SELECT relname, verb FROM pg_class CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS verb
WHERE relnamespace = 'choreo'::regnamespace AND relkind = 'r'
AND relname <> 'migrations' AND NOT has_table_privilege(pg_class.oid, verb) ORDER BY 1, 2
"""
_TRIGGERS: Final = """
SELECT expected FROM unnest(%s::text[]) AS expected WHERE NOT EXISTS (
    SELECT 1 FROM pg_trigger WHERE tgrelid = 'choreo.saga_log'::regclass
    AND tgname = expected AND tgenabled IN ('O', 'A')
)
"""
_MAY_SEE: Final = (
    "SELECT n.oid IS NULL OR has_schema_privilege(n.oid, 'USAGE') FROM (SELECT 1) AS one"
    " LEFT JOIN pg_namespace AS n ON n.nspname = 'choreo'"
)


def database_condition(address: str, seconds: float) -> Iterator[Finding]:
    """Yield what is wrong with a store's database, in about so many seconds at most."""
    name = shown(address)
    try:
        with closing(connect(address, name, reading=True)) as connection:
            connection.execute(f"SET statement_timeout = {round(seconds * 1000)}".encode())
            yield from _of_server(name, connection)
            yield from _of_schema(name, connection)
    except StoreError as error:
        yield Finding("error", name, error.message, error.hint)
    except psycopg.Error as error:
        yield Finding("error", name, f"it can't be asked: {type(error).__name__}", "see the server's log")


def _of_server(name: str, connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    found = dict(connection.execute(_SETTINGS.encode(), (list(_ASKED),)).fetchall())
    if found["fsync"] == "off":
        why = "fsync is off: a crash of its machine may destroy the database"
        yield Finding("error", name, why, "set fsync = on")
    if found["full_page_writes"] == "off":
        why = "full_page_writes is off: a page that is half written at a crash can't be repaired"
        yield Finding("error", name, why, "set full_page_writes = on")
    if found["synchronous_commit"] == "off":
        why = "synchronous_commit is off: a crash loses commits whose effects others have seen"
        yield Finding("error", name, why, "set synchronous_commit = on for this role or database")
    if found["server_encoding"] != "UTF8":
        why = f"its encoding is {found['server_encoding']}, not UTF8"
        yield Finding("error", name, why, "make the database with ENCODING 'UTF8'")
    standby = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if (standby and standby[0]) or found["default_transaction_read_only"] == "on":
        yield Finding(
            "error", name, "it can only be read: it is a standby, or set so", "name the primary server"
        )


def _of_schema(name: str, connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    allowed = connection.execute(_MAY_SEE.encode()).fetchone()
    if allowed and not allowed[0]:
        yield Finding(
            "error", name, "this role may not use the schema choreo", "GRANT USAGE ON SCHEMA choreo TO it"
        )
        return
    missing = pending(connection, name)
    if missing:
        has_none = len(missing) == len(MIGRATIONS)
        why = "it has no tables of choreo's" if has_none else f"its tables lack {', '.join(missing)}"
        yield Finding("error", name, why, "run `choreo store migrate`, or the service's own migration")
    if len(missing) == len(MIGRATIONS):
        return
    lost = [] if missing else connection.execute(_TRIGGERS.encode(), (list(TRIGGERS),)).fetchall()
    if lost:
        yield Finding("error", name, *in_flight.lost_triggers([each for (each,) in lost]))
    lacking: dict[str, list[str]] = {}
    for table, verb in connection.execute(_RIGHTS.encode()).fetchall():
        lacking.setdefault(verb, []).append(table)
    for verb, tables in lacking.items():
        why = f"this role may not {verb} on choreo.{', choreo.'.join(tables)}"
        yield Finding("error", name, why, f"GRANT {verb} ON ALL TABLES IN SCHEMA choreo TO it")
    if not missing and "SELECT" not in lacking:
        yield from _of_sagas_in_flight(name, connection)


def _of_sagas_in_flight(name: str, connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    try:
        found = connection.execute(SEARCHES.astray.encode()).fetchone()
    except psycopg.errors.QueryCanceled:
        why = "it can't be checked in that time: it is too large, or somebody has locked it"
        yield Finding("warning", name, why, "give more --seconds; which transaction is open there?")
        return
    if found and found[0]:
        yield Finding("error", name, *in_flight.astray(found[0]))

"""Stores in PostgreSQL at the command line: making, checking and reading them, and what can be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from choreo import connect
from choreo.cli import main
from choreo.records import DeadLetter
from choreo.store.postgresql.schema import ddl
from choreo.store.postgresql.store import PostgreSQLStore
from choreo.store.sqlite.store import SQLiteStore
from tests.postgresql.databases import new_database, on
from tests.store.conformance import ended, entry, scheduled
from tests.worker.services import agency
from tests.worker.trip import TripCancelled, TripRequested


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def database(postgresql: str) -> Iterator[str]:
    with new_database(postgresql) as address:
        yield address


def test_migrate_makes_the_tables_once(database: str) -> None:
    """Then they are up to date, and the store can be opened; `choreo store ddl` makes the same ones."""
    refused = run("store", "check", "--store", database)
    assert refused.exit_code == 2
    assert "has no tables of choreo's (hint: run `choreo store migrate`" in refused.stderr
    assert "made with 0001_tables" in run("store", "migrate", "--store", database).stdout
    assert "up to date" in run("store", "migrate", "--store", database).stdout
    checked = run("store", "check", "--store", database)
    assert checked.exit_code == 0
    assert "of nobody yet" in checked.stdout


def test_the_services_own_migration_makes_the_same_tables(database: str, postgresql: str) -> None:
    """As one script; the columns, constraints and triggers are those of `choreo store migrate`."""
    facts = (
        "SELECT table_name, column_name, data_type, collation_name, column_default, is_nullable"
        " FROM information_schema.columns WHERE table_schema = 'choreo' ORDER BY 1, ordinal_position"
    )
    printed = run("store", "ddl").stdout
    assert printed.strip() == ddl().strip()
    run("store", "migrate", "--store", database)
    with new_database(postgresql) as other, closing(psycopg.connect(other, autocommit=True)) as by_hand:
        by_hand.execute(printed.encode())
        with closing(psycopg.connect(database)) as made:
            assert by_hand.execute(facts).fetchall() == made.execute(facts).fetchall()
        assert "up to date" in run("store", "migrate", "--store", other).stdout
        with closing(PostgreSQLStore(other)) as store, store.turn():
            store.append([entry()])


def test_stores_of_both_kinds_are_read_together(empty_store: str, tmp_path: Path) -> None:
    """`choreo sagas`, `trace`, `dlq list` and `log verify` take addresses and paths."""
    path = str(tmp_path / "stock.db")
    for participant, store in (("orders", PostgreSQLStore(empty_store)), ("stock", SQLiteStore(path))):
        with closing(store), store.turn():
            store.bind("cluster", participant)
            at = {
                "topic": "orders",
                "partition": 0,
                "outcome": "succeeded",
                "kind": "action",
                "source": "shop",
            }
            sagas = [entry("s1", event_id=f"e-{participant}"), ended("s2"), entry("s3", event_id="e-3")]
            store.append(each._replace(offset=n, **at) for n, each in enumerate(sagas))
            store.schedule([scheduled("s3")])
            store.add_dead_letter(DeadLetter("gave-up", participant, 7, "s3", "shop"))
    both = ("--store", empty_store, "--store", path)
    traced = run("trace", "s1", *both, "--format", "json")
    assert traced.exit_code == 0, traced.output
    trace = json.loads(traced.stdout)
    assert {"orders", "stock"} <= set(json.dumps(trace).replace('"', " ").split())
    assert "s3" in run("sagas", *both).stdout
    letters = json.loads(run("dlq", "list", *both, "--format", "json").stdout)
    assert "orders" in json.dumps(letters)
    assert "stock" in json.dumps(letters)
    verified = run("log", "verify", *both)
    assert verified.exit_code == 0, verified.output
    settled = run("dlq", "discard", "1", "--participant", "orders", *both, "--because", "by hand")
    assert settled.exit_code == 0, settled.output
    with closing(PostgreSQLStore(empty_store)) as store:
        assert [row.task for row in store.scheduled("s3", "shop")] == ["action", "discard"]


PASSWORD = "s3cr3t-4711"


def spoilt(what: str, database: str, server: str) -> tuple[str, str]:
    """Make a database that can't be used, and return its address and what is to be said."""
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        if what == "database":
            return on(database, "nowhere"), "does not exist"
        if what == "role":
            return database.replace("tester@", f"nobody:{PASSWORD}@"), "knows no such role"
        if what == "newer":
            run("store", "migrate", "--store", database)
            connection.execute("INSERT INTO choreo.migrations (name) VALUES ('9999_later')")
            return database, "a newer choreo made the store"
        if what == "rights":
            run("store", "migrate", "--store", database)
            connection.execute(
                "DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
            )
            return database.replace("tester@", f"guest:{PASSWORD}@"), "refuses this role"
        if what == "id":
            run("store", "migrate", "--store", database)
            connection.execute("DELETE FROM choreo.store")
            return database, "has lost its id"
        if what == "server":
            return f"postgresql://tester:{PASSWORD}@127.0.0.1:1/shop", "can't be reached"
        if what == "address":
            return f"postgresql://tester:{PASSWORD}@[bad/shop", "can't be read"
    return f"postgresql://tester:{PASSWORD}@127.0.0.1/shop?colour=blue", "can't be read"


@pytest.mark.parametrize(
    "what", ["database", "role", "newer", "rights", "id", "server", "address", "setting"]
)
def test_what_can_not_be_opened_is_said_in_one_line(database: str, postgresql: str, what: str) -> None:
    """With exit code 2, by every command that opens it, and no password in it."""
    address, said = spoilt(what, database, postgresql)
    for command in (("store", "check"), ("trace", "s1"), ("dlq", "list"), ("log", "verify")):
        if what == "id" and command[0] == "trace":
            continue  # what is there can be read all the same
        done = run(*command, "--store", address)
        assert done.exit_code == 2, done.output
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert PASSWORD not in done.output + done.stderr


def test_another_encoding_is_refused(postgresql: str) -> None:
    """It could not hold every text."""
    with new_database(postgresql, options="ENCODING LATIN1 LOCALE 'C' TEMPLATE template0") as address:
        done = run("store", "migrate", "--store", address)
    assert done.exit_code == 2
    assert "has the encoding LATIN1" in done.stderr


def test_an_address_for_any_participant_is_refused(postgresql: str) -> None:
    """Databases can't be looked for as files can."""
    done = run("dlq", "list", "--store", on(postgresql, "{participant}"))
    assert done.exit_code == 2
    assert "name each one" in done.stderr


def test_what_no_worker_has_taken_up_is_shown(empty_store: str) -> None:
    """As started, and in its timeline: nobody need wonder where an order is while the worker is away."""
    shop = agency()
    with connect(shop, empty_store):
        for saga_id in ("s1", "s2"):
            with shop.transaction() as tx:
                tx.start(TripRequested("t"), saga_id)
        assert _shown(empty_store) == {"s1": "started", "s2": "started"}
        with closing(PostgreSQLStore(empty_store)) as store, store.turn():
            store.take_up(1)
        with shop.transaction() as tx:
            tx.cancel("s1", TripCancelled("t"))
            tx.cancel("s2", TripCancelled("t"))
        assert _shown(empty_store) == {"s1": "started", "s2": "started"}
        assert _shown(empty_store, "--unended") == {"s1": "started", "s2": "started"}
        traced = run("trace", "s2", "--store", empty_store)
        assert traced.exit_code == 0, traced.output
        assert "TripRequested" in traced.stdout
        assert "TripCancelled" in run("trace", "s1", "--store", empty_store).stdout


def _shown(address: str, *options: str) -> dict[str, str]:
    found = run("sagas", "--store", address, "--format", "json", *options)
    assert found.exit_code == 0, found.output
    sagas = json.loads(found.stdout)
    assert len(sagas) == len({each["saga_id"] for each in sagas})
    return {each["saga_id"]: each["state"] for each in sagas}

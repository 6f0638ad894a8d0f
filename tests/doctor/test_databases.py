"""Stores in PostgreSQL: a server that keeps what it confirms, and one that doesn't; roles and tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from choreo.records import Partition
from choreo.store.copying import copy_store
from choreo.store.opening import condition, migrate, open_reader, open_store
from choreo.store.postgresql.schema import MIGRATIONS
from tests.postgresql.databases import new_database
from tests.postgresql.server import Server
from tests.store.conformance import entry

LOSSY = {"fsync", "full_page_writes", "synchronous_commit"}
"""What the tests' own server has switched off."""


def texts(address: str) -> list[str]:
    """Return what is wrong with a database, but for what all the tests' databases have."""
    found = list(condition(address, 5.0))
    assert all(each.level == "error" and each.hint and "\n" not in each.text for each in found)
    return [each.text for each in found if each.text.split()[0] not in LOSSY]


def execute(address: str, *statements: str) -> None:
    """Execute statements as the owner."""
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def role(address: str) -> Iterator[tuple[str, str]]:
    """Make a role without rights; return its name, and its address of the database."""
    name = f"visitor_{uuid4().hex[:8]}"
    execute(address, f"CREATE ROLE {name} LOGIN")
    try:
        yield name, f"{address}&user={name}"
    finally:
        execute(address, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_server_that_keeps_what_it_confirms_is_good() -> None:
    """Its own settings are asked for, whatever a worker's would be."""
    server = Server("fsync=on", "full_page_writes=on", "synchronous_commit=on")
    server.start()
    try:
        with new_database(server.address("postgres")) as address:
            assert [each.text for each in condition(address, 5.0)] == ["it has no tables of choreo's"]
    finally:
        server.remove()


def test_a_server_that_loses_commits_is_said(empty_store: str) -> None:
    """Each of the settings by which it does."""
    found = {each.text.split()[0] for each in condition(empty_store, 5.0)}
    assert found == LOSSY


def test_tables_that_are_missing_are_said(postgresql: str) -> None:
    """All, or those of the last release."""
    with new_database(postgresql) as address:
        assert texts(address) == ["it has no tables of choreo's"]
        first, sql = MIGRATIONS[0]
        execute(address, sql, f"INSERT INTO choreo.migrations (name) VALUES ('{first}')")
        (only,) = texts(address)
        assert "0002_requests" in only
        assert "lack" in only
        execute(address, "INSERT INTO choreo.migrations (name) VALUES ('9999_x')")
        (only,) = texts(address)
        assert "a newer choreo made" in only


def test_triggers_that_are_off_are_said(postgresql: str) -> None:
    """And are on in a copy, which knows the sagas that were written meanwhile."""
    with new_database(postgresql) as spoilt, new_database(postgresql) as copy:
        migrate(spoilt)
        migrate(copy)
        execute(spoilt, "ALTER TABLE choreo.saga_log DISABLE TRIGGER saga_log_goes_on")
        assert texts(spoilt) == ["its saga log has lost saga_log_goes_on: sagas in flight may not be found"]
        with closing(open_store(spoilt)) as store, closing(open_store(copy)) as target:
            with store.turn():
                store.append([entry("s1")])
            copy_store(store, target)
        execute(spoilt, "ALTER TABLE choreo.saga_log ENABLE TRIGGER saga_log_goes_on")
        assert texts(spoilt) == ["its sagas in flight are not those of its saga log: 1 differ"]
        assert texts(copy) == []
        with open_reader(spoilt) as before, open_reader(copy) as after:
            assert [each.saga_id for each in (*before.unended(), *after.unended())] == ["s1"]


def test_another_encoding_and_a_database_that_can_only_be_read_are_said(postgresql: str) -> None:
    """Neither can hold a saga log."""
    options = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    with new_database(postgresql, options=options) as address:
        assert any("LATIN1" in each for each in texts(address))
    with new_database(postgresql) as address:
        name = address.partition("?")[0].rpartition("/")[2]
        execute(address, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        assert any("can only be read" in each for each in texts(address))


def test_a_role_without_rights_is_said(empty_store: str) -> None:
    """What it lacks, and how it is granted."""
    with role(empty_store) as (name, address):
        assert texts(address) == ["this role may not use the schema choreo"]
        execute(
            empty_store,
            f"GRANT USAGE ON SCHEMA choreo TO {name}",
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA choreo TO {name}",
            f"REVOKE UPDATE ON choreo.positions FROM {name}",
        )
        told = texts(address)
        assert "this role may not UPDATE on choreo.positions" in told
        assert any(each.startswith("this role may not DELETE on choreo.dead_letters") for each in told)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://nobody@127.0.0.1:1/nowhere", "can't be"),
        ("postgresql://nobody:hunter2@127.0.0.1:1/nowhere?connect_timeout=1", ""),
    ],
)
def test_a_server_that_is_away_is_one_finding(address: str, words: str) -> None:
    """Without the password."""
    (only,) = condition(address, 5.0)
    assert only.level == "error"
    assert "hunter2" not in f"{only.subject}{only.text}{only.hint}"
    assert words in only.text or only.text


def test_both_databases_record_the_same(empty_store: str, tmp_path: Path) -> None:
    """Ids, positions, the oldest saga in flight, and how late its events were folded."""
    told = []
    for place in (empty_store, str(tmp_path / "shop.db")):
        with closing(open_store(place)) as store:
            store.bind("cluster-1", "shop")
            with store.turn():
                store.join(Partition("orders", 1), 7, 9, 0)
                store.identify({"orders": "id-1"})
                store.append(
                    [entry("s1", recorded_at=5, event_time=2), entry("s2", recorded_at=6, event_time=9)]
                )
            store_id = store.store_id
        with open_reader(place) as reader:
            told.append(reader.recorded())
            assert told[-1].store_id == store_id
    first, second = (each._replace(store_id="") for each in told)
    assert first == second
    assert first.positions == {Partition("orders", 1): 7}
    assert (first.topics, first.oldest, list(first.delays)) == ({"orders": "id-1"}, ("s1", 5), [-3, 3])

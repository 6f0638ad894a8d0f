"""``choreo replay``, ``log``, ``releases`` and ``store copy`` on a store in PostgreSQL, beside its worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from choreo.kafka import EmbeddedBroker
from choreo.store.opening import open_store as open_at
from tests.cli.command import assert_refused, invoke
from tests.cli.conftest import WriteModule
from tests.cli.test_log import DAY, TOLD
from tests.cli.test_replay import HOTEL, never_given, publish
from tests.postgresql.databases import new_database, on
from tests.store.conformance import entry
from tests.stores import place
from tests.worker.rig import Rig
from tests.worker.services import hotel
from tests.worker.trip import FlightFull, HotelBooked, HotelCancelled, TripRequested


@pytest.fixture
def rigged(folder: Path, monkeypatch: pytest.MonkeyPatch, stores_server: None) -> Iterator[Rig]:
    """Open a hotel that has booked a room, and has seen another trip fail."""
    monkeypatch.setenv("STORE", "postgresql")
    monkeypatch.setenv("CHOREO_STORE", place(folder / "hotel.db"))
    rig = Rig(hotel(), folder)
    rig.open()
    rig.feed(*TOLD, saga_id="s0")
    rig.feed(TripRequested("t"))
    yield rig
    rig.close()


@pytest.fixture
def target(write_module: WriteModule) -> str:
    return f"{write_module(HOTEL)}:hotel"


def by_hand(rig: Rig, *statements: str) -> None:
    """Change a store as no release does."""
    with closing(psycopg.connect(place(rig.path), autocommit=True)) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def empty(postgresql: str) -> Iterator[str]:
    with new_database(postgresql) as address:
        assert invoke("store", "migrate", "--store", address).exit_code == 0
        yield address


def test_fold_and_resume(rigged: Rig, target: str) -> None:
    """What was lost is found, and put back while the worker runs."""
    assert invoke("replay", "fold", target, "s1", "s0").exit_code == 0
    by_hand(rigged, "update saga_log set new_state = 'failed' where saga_id = 's0' and input = 'ended'")
    done = invoke("replay", "fold", target, "s0")
    assert done.exit_code == 1
    assert "new_state is failed, folded it is completed" in done.stdout
    publishing = rigged.worker._publishing
    publish_rows = publishing.publish
    publishing.publish = lambda **_: None  # type: ignore[method-assign]
    rigged.feed(FlightFull("t", "full"))
    by_hand(rigged, "delete from outbox")
    publishing.publish = publish_rows  # type: ignore[method-assign]
    tried = invoke("replay", "resume", target, "s1", "--dry-run")
    assert "trip.HotelCancelled of hotel.book: would be published again" in tried.stdout
    done = invoke("replay", "resume", target, "s1")
    assert done.exit_code == 0, done.output
    rigged.settle()
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]


def test_what_if_changes_nothing_of_its_base(rigged: Rig, target: str, postgresql: str) -> None:
    """Another database, as pg_restore makes one of an earlier dump."""
    rigged.close()
    dumped = psycopg.conninfo.conninfo_to_dict(place(rigged.path))["dbname"]
    base = on(postgresql, f"{dumped}_base")
    with closing(psycopg.connect(postgresql, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {dumped}_base TEMPLATE {dumped}".encode())
    rigged.open()
    rigged.feed(TripRequested("t"), saga_id="s2")
    assert "needs a base" in invoke("replay", "what-if", target, "s1").stdout
    with closing(psycopg.connect(base)) as before:
        effects = before.execute("SELECT count(*) FROM effects").fetchone()
    done = invoke("replay", "what-if", target, "--all", "--base", base)
    assert (done.exit_code, done.stdout.split(": ")[1]) == (0, "1 compared; no differences\n"), done.output
    with closing(psycopg.connect(base)) as untouched:
        assert untouched.execute("SELECT count(*) FROM effects").fetchone() == effects
    refused = invoke("replay", "what-if", target, "--all", "--base", on(postgresql, "none"))
    assert_refused(refused.exit_code, refused.stderr, "does not exist")


def test_a_lost_store_is_rebuilt_into_an_empty_database(
    folder: Path, target: str, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, or not at all."""
    monkeypatch.setattr("choreo.cli.replay.rebuild.give_group", never_given)
    with EmbeddedBroker() as broker:
        publish(broker.bootstrap)
        cluster = ("--bootstrap", broker.bootstrap, "--store", empty)
        done = invoke("replay", "rebuild", target, *cluster, "--dry-run")
        assert done.exit_code == 0, done.output
        with closing(open_at(empty)) as store:
            assert store.owner == ""
        assert invoke("replay", "rebuild", target, *cluster).exit_code == 0
        with closing(open_at(empty)) as store:
            assert (store.owner, store.saga_log.last_id) == ("hotel", 3)
        assert invoke("replay", "fold", target, "s2", "--store", empty).exit_code == 0
        again = invoke("replay", "rebuild", target, *cluster)
        assert_refused(again.exit_code, again.stderr, "is the store of hotel already")
        again = invoke("replay", "rebuild", target, *cluster, "--backup", "monday.db")
        assert_refused(again.exit_code, again.stderr, "without --backup")


def test_a_log_is_exported_verified_erased_and_pruned(
    rigged: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: rigged.clock.now() * 1_000_000)
    (folder / "heads.jsonl").write_text(invoke("log", "heads").stdout)
    assert invoke("log", "verify", "--heads", "heads.jsonl").exit_code == 0
    assert invoke("log", "export", "--output", "hotel.avro").exit_code == 0
    assert invoke("log", "import", "hotel.avro", "--store", "archive.db").exit_code == 0
    assert invoke("log", "verify", "--store", "archive.db", "--heads", "heads.jsonl").exit_code == 0
    refused = invoke("log", "import", "hotel.avro", "--store", place(rigged.path))
    assert_refused(refused.exit_code, refused.stderr, "imported into a file")
    assert invoke("log", "erase", "s0", "--yes").exit_code == 0
    rigged.clock.advance(91 * DAY)
    done = invoke("log", "prune", "--older-than", "90d", "--vacuum", "--yes")
    assert "1 saga of" in done.stdout, done.output
    assert invoke("log", "verify").exit_code == 0
    by_hand(rigged, "update saga_log set note = 'x' where saga_id = 's1'")
    found = invoke("log", "verify")
    assert found.exit_code == 1
    assert "saga s1, row" in found.stdout


def test_a_participant_moves_from_a_file_to_postgresql(folder: Path, empty: str, rigged: Rig) -> None:
    """With its log, verified on both sides."""
    back = str(folder / "files" / "hotel.db")
    (folder / "files").mkdir()
    assert invoke("store", "copy", place(rigged.path), back).exit_code == 0
    copied = invoke("store", "copy", back, empty)
    assert copied.exit_code == 0, copied.output
    assert "a copy of" in copied.stdout
    assert "11 rows of the saga log, 0 of the outbox" in copied.stdout
    assert invoke("log", "verify", "--store", back, "--store", empty).exit_code == 0
    assert_refused(*_refused("store", "copy", back, empty), "is the store of hotel already")
    assert_refused(*_refused("store", "copy", empty, back), "there is a file")
    assert_refused(*_refused("store", "copy", str(folder / "none.db"), empty), "there is no file")


def test_databases_and_folders_of_files_are_read_together(rigged: Rig, folder: Path, empty: str) -> None:
    """Each with its participant's view of the same sagas."""
    (folder / "files").mkdir()
    others = {"stock": empty, "mailer": str(folder / "files" / "mailer.db")}
    for participant, where in others.items():
        with closing(open_at(where)) as store, store.turn():
            store.bind("cluster", participant)
            at = {"saga_type": "trip", "topic": "trip", "partition": 0, "offset": 1, "outcome": "succeeded"}
            store.append([entry("s1", event_id=f"e-{participant}", source="shop", kind="action", **at)])
    several = ("--store", empty, "--store", str(folder / "files"), "--store", place(rigged.path))
    for command in (("sagas",), ("trace", "s1"), ("dlq", "list"), ("releases", "list")):
        done = invoke(*command, *several, "--format", "json")
        assert done.exit_code == 0, done.output
        json.loads(done.stdout)
    traced = invoke("trace", "s1", *several).stdout
    assert all(name in traced for name in ("hotel", *others))


def _refused(*arguments: str) -> tuple[int, str]:
    done = invoke(*arguments)
    return done.exit_code, done.stderr

"""``choreo replay``: on a store whose worker runs in the same test, as it would in another process."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer

from choreo.avro import AvroCodec
from choreo.cloudevents import headers_of
from choreo.errors import LogError
from tests.cli.command import Running, assert_refused, invoke
from tests.cli.conftest import WriteModule, quiz
from tests.replay.conftest import saved
from tests.worker.rig import Rig, envelope_of
from tests.worker.services import hotel
from tests.worker.trip import (
    EVENTS,
    FlightBooked,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    TripBooked,
    TripRequested,
)

HOTEL = """
from tests.worker.services import hotel as make
hotel = make()
"""


@pytest.fixture
def rigged(folder: Path) -> Iterator[Rig]:
    """Open a hotel that has booked a room; its worker goes on while commands look at its store."""
    rig = Rig(hotel(), folder)
    rig.open()
    rig.feed(TripRequested("t"))
    yield rig
    rig.close()


@pytest.fixture
def target(write_module: WriteModule) -> str:
    """Return the participant as the command line names it."""
    return f"{write_module(HOTEL)}:hotel"


def by_hand(folder: Path, *statements: str) -> None:
    """Change a store as no release does."""
    with closing(sqlite3.connect(folder / "hotel.db", timeout=10)) as connection, connection:
        for (name,) in connection.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        for statement in statements:
            connection.execute(statement)


def test_fold_shows_every_row_and_finds_nothing(rigged: Rig, target: str) -> None:
    done = invoke("replay", "fold", target, "s1")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "hotel: saga s1 (trip) is pending"
    assert lines[2].split() == ["2", "ended", "hotel.book", "pending", "→", "completed", "started"]
    assert lines[-1] == "3 rows, no differences"


def test_fold_names_the_row_that_is_wrong(rigged: Rig, target: str, folder: Path) -> None:
    by_hand(folder, "update saga_log set new_state = 'failed' where id = 2")
    done = invoke("replay", "fold", target, "s1")
    assert done.exit_code == 1
    assert "      ✗ row 2: hotel.book: new_state is failed, folded it is completed" in done.stdout
    (report,) = json.loads(invoke("replay", "fold", target, "s1", "--format", "json").stdout)
    assert [(each["row"], each["what"]) for each in report["differences"]] == [(2, "new_state")]
    assert report["verdict"] == "findings"


def test_fold_cannot_say_where_an_event_is_that_did_not_come_back(
    rigged: Rig, target: str, folder: Path
) -> None:
    """Only the topic can."""
    by_hand(folder, "delete from saga_log where id = 3")
    done = invoke("replay", "fold", target, "s1")
    assert done.exit_code == 3
    assert "trip.HotelBooked of hotel.book was published, and has not come back" in done.stdout


def test_resume_does_what_was_lost_while_the_worker_runs(rigged: Rig, target: str, folder: Path) -> None:
    rigged.feed(TripBooked("x"), saga_id="s0")
    worker = rigged.worker
    worker._publishing.publish = lambda **_: None  # type: ignore[method-assign]
    rigged.feed(FlightFull("t", "full"))
    by_hand(folder, "delete from outbox")
    del worker._publishing.publish  # type: ignore[method-assign]
    tried = invoke("replay", "resume", target, "s1", "--dry-run")
    assert "trip.HotelCancelled of hotel.book: would be published again" in tried.stdout
    rigged.settle()
    assert rigged.published() == [HotelBooked("t")]
    done = invoke("replay", "resume", target, "s1", "s0")
    assert done.exit_code == 0, done.output
    assert "  trip.HotelCancelled of hotel.book: published again\n" in done.stdout
    assert "saga s0 (trip) is completed: nothing to resume" in done.stdout
    rigged.settle()
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]
    (report,) = json.loads(invoke("replay", "resume", target, "s1", "--format", "json").stdout)
    assert (report["published"], report["due"], report["left"]) == ([], [], [])


def test_resume_says_what_it_left_alone(rigged: Rig, target: str, folder: Path) -> None:
    rigged.close()
    by_hand(folder, "delete from saga_log where id = 3", "update saga_log set payload = null where id = 2")
    done = invoke("replay", "resume", target, "s1")
    assert done.exit_code == 1
    assert (
        "left alone: trip.HotelBooked of hotel.book can't be published again: its body is gone" in done.stderr
    )


STRICTER = """
from choreo import Context, Permanent
from tests.worker import services
from tests.worker.trip import HotelBooked, HotelFull, TripRequested

hotel = services.hotel()
hotel._declarations = services.Participant("hotel", sagas=[services.trip])._declarations


@hotel.action(fails=HotelFull)
def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
    return HotelBooked(event.trip, room=2)


@hotel.compensation(of=book)
def cancel(event: services.FlightFull, booked: HotelBooked, ctx: Context) -> services.HotelCancelled:
    raise Permanent("too late")
"""


def test_what_code_prints_is_no_part_of_a_report(rigged: Rig, write_module: WriteModule) -> None:
    """Neither at its import nor in a handler."""
    talking = STRICTER.replace("    return HotelBooked", "    print('called')\n    return HotelBooked")
    assert "print" in talking
    done = invoke(
        "replay", "what-if", f"{write_module(talking + 'print(1)')}:hotel", "s1", "--format", "json"
    )
    assert json.loads(done.stdout)["changes"]
    assert done.stderr.splitlines() == ["1", "called"]


def test_what_if_shows_what_a_deploy_would_change(
    rigged: Rig, target: str, write_module: WriteModule
) -> None:
    """Without a base it guesses nothing; with one, or with code that needs none, it compares."""
    done = invoke("replay", "what-if", target, "s1")
    assert (done.exit_code, done.stdout) == (0, "1 saga: 1 needs a base; no differences\n")
    stricter = f"{write_module(STRICTER)}:hotel"
    rigged.feed(TripRequested("t"), saga_id="s2")
    for arguments, count in ((("s1",), 1), (("--all",), 2), (("--all", "--since", "2000-01-01"), 2)):
        done = invoke("replay", "what-if", stricter, *arguments)
        assert done.exit_code == 1, done.output
        assert (
            "saga s1, row 2: hotel.book\n  - HotelBooked(room=1, …)\n  + HotelBooked(room=2, …)\n"
            in done.stdout
        )
        assert done.stdout.endswith(f"{count} compared; {count} difference{'s' * (count > 1)}\n")
    assert invoke("replay", "what-if", stricter, "--all", "--since", "2040-01-01").exit_code == 0
    assert invoke("replay", "what-if", stricter, "s1", "--type", "trip").exit_code == 1
    none = invoke("replay", "what-if", stricter, "s1", "--type", "voyage")
    assert (none.exit_code, "knows no saga s1" in none.output) == (2, True)
    report = json.loads(invoke("replay", "what-if", stricter, "s1", "--format", "json").stdout)
    assert [(each["row"], each["now"]) for each in report["changes"]] == [(2, "HotelBooked(room=2, …)")]


def test_what_if_works_on_a_copy_of_the_base(rigged: Rig, target: str, folder: Path) -> None:
    """Of the store while its worker runs; the base stays as it is."""
    base = saved(folder / "hotel.db")
    before = base.read_bytes()
    rigged.feed(TripRequested("t"), saga_id="s2")
    rigged.feed(FlightFull("t", "full"))
    done = invoke("replay", "what-if", target, "--all", "--base", str(base))
    assert (done.exit_code, done.stdout) == (0, "2 sagas: 2 compared; no differences\n")
    assert base.read_bytes() == before
    assert rigged.effects() == ["action", "compensation"]
    for arguments, words in (
        ((), ("which sagas?",)),
        (("s1", "--all"), ("which sagas?",)),
        (("s9",), ("hotel knows no saga s9",)),
        (("--all", "--base", "none.db"), ("there is no file none.db",)),
        (("--all", "--base", __file__), ("can't be copied",)),
    ):
        done = invoke("replay", "what-if", target, *arguments)
        assert_refused(done.exit_code, done.stderr, *words)


@pytest.mark.parametrize("command", ["fold", "resume"])
def test_wrong_input_is_one_clear_line_and_changes_nothing(
    rigged: Rig, target: str, folder: Path, write_module: WriteModule, command: str
) -> None:
    """An unknown saga, another's store, no store, a row that can't be read."""
    sage = f"{write_module(quiz())}:sage"
    before = list(rigged.store.db.query("select * from schedule union all select * from schedule"))
    for arguments, words in (
        ((target, "nobody"), ("hotel knows no saga nobody",)),
        ((sage, "s1", "--store", "hotel.db"), ("belongs to 'hotel'", "sage")),
        ((target, "s1", "--store", "none.db"), ("there is no file none.db",)),
        ((target, "s1", "--topic"), ("no Kafka cluster is named",)),
        (("nowhere:hotel", "s1"), ("there is no module nowhere",)),
    ):
        done = invoke("replay", command, *arguments)
        assert_refused(done.exit_code, done.stderr, *words)
    by_hand(folder, "update saga_log set input = 'frobnicate' where id = 2")
    done = invoke("replay", command, target, "s1")
    assert_refused(done.exit_code, done.stderr, "row 2 of saga s1 can't be folded: frobnicate of hotel.book")
    assert list(rigged.store.db.query("select * from schedule union all select * from schedule")) == before
    rigged.close()
    (folder / "hotel.db").write_bytes(b"SQLite format 3\0" + b"rubbish" * 100)
    done = invoke("replay", command, target, "s1")
    assert_refused(done.exit_code, done.stderr, "hotel.db")


def test_an_embedded_topic_is_looked_into(rigged: Rig, target: str, folder: Path) -> None:
    """What the topic holds isn't published again."""
    from choreo.kafka import EmbeddedBroker

    with EmbeddedBroker() as broker:
        by_hand(folder, "delete from saga_log where id = 3")
        cluster = ("--topic", "--bootstrap", broker.bootstrap, "--kafka", "allow.auto.create.topics=true")
        done = invoke("replay", "fold", target, "s1", *cluster)
        assert done.exit_code == 1, done.output
        assert "is neither in the outbox nor in the topic" in done.stdout


def test_rebuild_makes_a_new_store_from_the_topic(
    folder: Path, write_module: WriteModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a participant that ran on an embedded broker; the new file is there whole, or not at all."""
    # The embedded broker keeps a worker that has ended as a member for as long as `rebuild` would wait.
    monkeypatch.setattr("choreo.cli.replay.rebuild.give_group", never_given)
    from choreo.kafka import EmbeddedBroker
    from choreo.store.sqlite.store import SQLiteStore

    target = f"{write_module(OBSERVED)}:hotel"
    with EmbeddedBroker() as broker:
        publish(broker.bootstrap)
        run = ("run", target, "--embedded", "--bootstrap", broker.bootstrap, "--store", "lost.db")
        with Running(*run, folder=folder) as worker:
            until(lambda: count(folder / "lost.db", "select count(*) from saga_log") == 6)
            worker.signal(signal.SIGTERM)
            assert worker.exit_code() == 0
        cluster = ("--bootstrap", broker.bootstrap, "--store", "new.db")
        done = invoke("replay", "rebuild", target, *cluster, "--dry-run")
        assert done.exit_code == 0, done.output
        assert "hotel: new.db would be rebuilt from trip: 4 events, 1 of them its own" in done.stdout
        assert sorted(each.name for each in folder.glob("new.db*")) == []
        done = invoke("replay", "rebuild", target, *cluster, "--observers")
        assert done.exit_code == 0, done.output
        assert "  to be done once the worker runs" not in done.stdout
        assert "  observers: 1 runs" in done.stdout
        assert "not yet the rebuilt store's: it has members; then: choreo store claim" in done.stderr
        assert sorted(each.name for each in folder.glob("new.db*")) == ["new.db"]
        assert count(folder / "new.db", "select count(*) from seen") == 1
        with closing(SQLiteStore("new.db")) as new, closing(SQLiteStore("lost.db")) as lost:
            for saga_id in ("s1", "s2"):
                mine, theirs = new.history(saga_id), lost.history(saga_id)
                assert sorted(each.event_id for each in mine) == sorted(each.event_id for each in theirs)
        assert invoke("replay", "fold", target, "s1", "--store", "new.db").exit_code == 0
        for arguments, words in (
            (cluster, ("there is a file new.db already",)),
            ((*cluster[:2], "--store", "x.db", "--backup", "none.db"), ("there is no file none.db",)),
            ((*cluster[:2], "--store", "x.db", "--backup", __file__), ("can't be copied",)),
            (("--store", "x.db"), ("no Kafka cluster is named",)),
        ):
            done = invoke("replay", "rebuild", target, *arguments)
            assert_refused(done.exit_code, done.stderr, *words)
        assert not (folder / "x.db").exists()


def never_given(*_: object) -> None:
    """Refuse a group, as for members that don't leave it."""
    raise LogError("it has members")


OBSERVED = """
from choreo import Context
from tests.worker.services import hotel as make
from tests.worker.trip import FlightBooked

hotel = make()
hotel.prepare = lambda db: db.execute("create table if not exists seen (trip text)") and db.execute(
    "create table if not exists effects (saga_id text, what text)"
)


@hotel.observer
def look(event: FlightBooked, ctx: Context) -> None:
    ctx.db.execute("insert into seen values (?)", [event.trip])
"""


def publish(bootstrap: str) -> None:
    """Publish what others did in two sagas."""
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    codec = AvroCodec(EVENTS)
    for saga_id, event in (
        ("s1", TripRequested("t")),
        ("s1", FlightBooked("t")),
        ("s2", FlightFull("t", "no")),
    ):
        headers = headers_of(envelope_of(event, saga_id, 1_700_000_000_000))
        producer.produce("trip", codec.encode(event), saga_id.encode(), headers=list(headers))
    assert producer.flush(10) == 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def count(path: Path, sql: str) -> int:
    """Ask a database for a number; 0 while it isn't there."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute(sql).fetchone()[0])
    except sqlite3.OperationalError:
        return 0

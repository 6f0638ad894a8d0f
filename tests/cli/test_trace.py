"""``choreo trace`` and ``choreo sagas``: on stores whose workers run in the same test, and on others."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from choreo import Participant, Permanent, connect
from choreo.project.modules import load_participant
from choreo.store.sqlite.store import SQLiteStore
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from tests.cli.command import Running, assert_refused, execute, invoke
from tests.worker.rig import NOON, Rig
from tests.worker.services import Script, hotel
from tests.worker.trip import FlightFull, TripBooked, TripRequested

PLACE = re.compile(r" \([^()]*\.py:\d+ in \w+\)")
"""Where an exception was raised."""

NO = Permanent("the hotel says no")
SHOP = "examples.orders"


@pytest.fixture
def rig(folder: Path) -> Iterator[Rig]:
    """Open a hotel: a saga of which a dead letter is left, one that was booked, one that waits for others."""
    rig = Rig(hotel(cancel=Script([NO])), folder)
    rig.open()
    rig.feed(TripRequested("t"), FlightFull("t", "full"), saga_id="trip-dead")
    rig.feed(TripRequested("t"), TripBooked("t"), saga_id="trip-booked")
    rig.clock.advance(3600)
    rig.feed(TripRequested("t"), saga_id="trip-waiting")
    yield rig
    rig.close()


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line's clock be the rig's, an hour and a minute after it began."""
    monkeypatch.setattr("choreo.cli.sources.now", lambda: NOON + 3_660_000)


def listed(*arguments: str) -> list[str]:
    return [each["saga_id"] for each in json.loads(invoke("sagas", "--format", "json", *arguments).stdout)]


def test_sagas_lists_those_that_moved_last_first(rig: Rig) -> None:
    """With what each waits for, and who owes it; while the worker runs."""
    result = invoke("sagas")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["SAGA", "TYPE", "STATE", "AGE", "LAST", "WAITS", "FOR"]
    assert [row.split()[:3] for row in rows] == [
        ["trip-waiting", "trip", "pending"],
        ["trip-booked", "trip", "completed"],
        ["trip-dead", "trip", "compensating"],
    ]
    assert "1 min" in rows[0]
    assert "hotel: book, dead letter" in rows[2]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), ["trip-waiting", "trip-booked", "trip-dead"]),
        (("--state", "completed"), ["trip-booked"]),
        (("--state", "compensating"), ["trip-dead"]),
        (("--state", "pending", "--state", "compensating"), ["trip-dead", "trip-waiting"]),
        (("--state", "pending", "--state", "completed"), ["trip-waiting", "trip-booked"]),
        (("--type", "trip"), ["trip-waiting", "trip-booked", "trip-dead"]),
        (("--type", "order"), []),
        (("--participant", "hotel"), ["trip-booked", "trip-dead"]),
        (("--participant", "nobody"), []),
        (("--older-than", "30m"), ["trip-booked", "trip-dead"]),
        (("--older-than", "2h"), []),
        (("--limit", "2"), ["trip-waiting", "trip-booked"]),
        (("--stuck",), ["trip-dead"]),
        (("--stuck", "--threshold", "30s"), ["trip-dead", "trip-waiting"]),
        (("--stuck", "--threshold", "2h"), []),
        (("--stuck", "--state", "pending"), []),
        (("--unended",), ["trip-dead", "trip-waiting"]),
        (("--unended", "--state", "completed"), []),
        (("--unended", "--stuck"), ["trip-dead"]),
        (("--version", "1", "--unended", "--participant", "hotel"), ["trip-dead"]),
        (("--version", "1", "--state", "completed"), ["trip-booked"]),
        (("--version", "2"), []),
        (("--needing", "agency"), ["trip-dead", "trip-waiting"]),
        (("--needing", "hotel"), ["trip-dead", "trip-waiting"]),
        (("--needing", "flight"), []),
    ],
)
def test_filters_must_all_admit_a_saga(rig: Rig, arguments: tuple[str, ...], found: list[str]) -> None:
    """Of those that go on, the one that moved longest ago comes first."""
    assert listed(*arguments) == found


def test_stuck_sagas_are_findings(rig: Rig) -> None:
    """For whoever watches by the exit code."""
    assert invoke("sagas", "--stuck").exit_code == 1
    assert invoke("sagas", "--stuck", "--threshold", "2h").exit_code == 0
    assert invoke("sagas", "--limit", "1").stdout.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        ((), 3, 0),
        (("--unended", "--version", "1"), 2, 0),
        (("--unended", "--version", "2"), 0, 0),
        (("--stuck", "--unended"), 1, 1),
    ],
)
def test_sagas_are_counted(rig: Rig, arguments: tuple[str, ...], number: int, code: int) -> None:
    """All of them, whatever the limit is; for a script, in either format."""
    for form in ("text", "json"):
        result = invoke("sagas", "--count", "--limit", "1", "--format", form, *arguments)
        assert (json.loads(result.stdout), result.exit_code) == (number, code)


def test_json_has_what_is_waited_for(rig: Rig) -> None:
    """And since when."""
    (result,) = json.loads(PLACE.sub("", invoke("sagas", "--stuck", "--format", "json").stdout))
    assert result["waits_for"][0] == {
        "owed_by": "hotel",
        "what": "hotel.book",
        "why": "dead letter",
        "detail": "#1 gave-up: the hotel says no",
        "since": "2023-11-14T22:13:20.000Z",
        "until": None,
    }
    assert (result["stuck"], result["age_ms"], result["idle_ms"]) == (True, 3_660_000, 3_660_000)


def test_whoever_has_read_furthest_knows_how_a_saga_stands(rig: Rig, folder: Path) -> None:
    """A participant whose worker is down holds an old view; that saga isn't stuck, it has ended."""
    spa = Rig(Participant("spa", sagas=rig.participant.sagas), folder)
    spa.clock.time = rig.clock.time
    spa.open()
    spa.feed(TripRequested("t"), saga_id="trip-booked")
    spa.close()
    assert listed("--store", "spa.db", "--stuck", "--threshold", "30s") == ["trip-booked"]
    assert "trip-booked" not in listed("--stuck", "--threshold", "30s")
    assert listed("--state", "completed") == ["trip-booked"]
    assert sorted(listed()) == ["trip-booked", "trip-dead", "trip-waiting"]
    result = invoke("trace", "trip-booked").stdout
    assert "completed after" in result
    assert "spa" in result.partition("waits for")[2]


def test_a_folder_means_every_store_in_it(rig: Rig, folder: Path) -> None:
    """Whatever else lies there."""
    (folder / "notes.db").write_text("no store")
    assert listed("--store", ".") == listed("--store", "hotel.db")
    (folder / "empty").mkdir()
    result = invoke("sagas", "--store", "empty")
    assert_refused(result.exit_code, result.stderr, "there is no store at empty")


def test_trace_shows_the_timeline(rig: Rig) -> None:
    """In lines that a person reads."""
    result = invoke("trace", "trip-dead")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in PLACE.sub("", result.stdout).splitlines()]
    assert lines[0] == "trip trip-dead compensating for 1 h 1 min: flight.fly failed @1"
    assert "+0 ms 0 ms hotel book pending → completed HotelBooked @2" in lines
    assert "+0 ms 0 ms hotel book completed → compensating" in lines
    assert "waits for" in lines
    assert "hotel book dead letter #1 gave-up: the hotel says no, for 1 h 1 min" in lines


def test_trace_as_data_as_a_diagram_and_as_a_page(rig: Rig) -> None:
    """One timeline, whatever draws it."""
    result = json.loads(invoke("trace", "trip-dead", "--format", "json").stdout)
    assert [each["what"] for each in result["moments"]] == [
        "started",
        "failed",
        "completed",
        "compensating",
        "dead letter",
    ]
    assert result["moments"][0]["told_by"] == "log"
    diagram = invoke("trace", "trip-dead", "--format", "mermaid").stdout
    assert diagram.startswith("sequenceDiagram\n  participant p0 as agency\n")
    page = invoke("trace", "trip-dead", "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")


def test_reading_changes_nothing(rig: Rig, folder: Path) -> None:
    """Neither the store nor what its worker does next."""
    before = rig.path.read_bytes()
    with rig.store.turn():  # a writer that holds the lock
        rig.store.append(())
        assert invoke("trace", "trip-dead").exit_code == 0
        assert len(listed()) == 3
    assert rig.path.read_bytes() == before
    rig.feed(FlightFull("t", "full"), saga_id="trip-waiting")
    assert rig.state("hotel.book", "trip-waiting") == "compensated"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trace", "trip-ded"), "did you mean trip-dead?"),
        (("trace", "zzz"), "no saga 'zzz' is known in hotel.db"),
        (("trace", "trip-dead", "--type", "order"), "no saga 'trip-dead' of the type 'order'"),
        (("trace", "trip-dead", "--store", "nowhere.db"), "there is no file nowhere.db"),
        (("trace", "trip-dead", "--store", "other.db"), "is not a store"),
        (("trace", "trip-dead", "--store", "text.db"), "is not a store"),
        (("trace", "trip-dead", "--graph", "no_such_module"), "there is no module no_such_module"),
        (("sagas", "--threshold", "soon"), "is not a span of time"),
        (("sagas", "--state", "asleep"), "'asleep' is not one of"),
        (("sagas", "--limit", "0"), "x>=1"),
        (("sagas", "--store", "copy.db", "--store", "hotel.db"), "are both stores of hotel"),
    ],
)
def test_wrong_input_is_one_clear_line(
    rig: Rig, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    """And nothing is made."""
    (folder / "other.db").write_bytes(b"")
    (folder / "text.db").write_text("no database at all, " * 100)
    with closing(sqlite3.connect(folder / "copy.db")) as copy:
        rig.store.db.conn.backup(copy)
    if "copy.db" not in arguments:
        (folder / "copy.db").unlink()
    rig.close()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = invoke(*arguments)
    assert_refused(result.exit_code, result.stderr, words)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_corrupt_row_is_one_clear_line(rig: Rig, folder: Path) -> None:
    """With its number, and what is wrong with it."""
    rig.close()
    with closing(sqlite3.connect(rig.path)) as connection, connection:
        connection.execute("DROP TRIGGER saga_log_refuses_UPDATE")
        connection.execute("UPDATE saga_log SET new_state = 'asleep' WHERE saga_id = 'trip-dead' AND id = 2")
    result = invoke("trace", "trip-dead")
    assert_refused(result.exit_code, result.stderr, "hotel.db: row 2 of saga trip-dead is corrupt")
    assert len(listed("--state", "completed")) == 1


def test_a_damaged_file_is_one_clear_line(rig: Rig, folder: Path) -> None:
    """Whatever SQLite says of it."""
    rig.close()
    with closing(SQLiteStore(rig.path)) as store:
        store.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(rig.path.read_bytes())
    content[8192 : len(content)] = b"\xff" * (len(content) - 8192)
    rig.path.write_bytes(bytes(content))
    result = invoke("trace", "trip-dead")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_two_types_of_one_id_are_told_apart(rig: Rig, folder: Path) -> None:
    """An id belongs to whoever chose it."""
    with rig.store.turn():
        rows = rig.store.history("trip-booked")
        rig.store.append([row._replace(saga_type="excursion") for row in rows])
    result = invoke("trace", "trip-booked")
    assert_refused(result.exit_code, result.stderr, "several types", "excursion, trip", "--type")
    assert invoke("trace", "trip-booked", "--type", "trip").exit_code == 0


def test_stores_whose_workers_run_in_other_processes_are_read(folder: Path) -> None:
    """While workers write, the timeline is shown again and again, until the saga has ended."""
    (folder / "pyproject.toml").write_text('[tool.choreo]\nmodules = ["examples.orders"]\n')
    with Running("run", f"{SHOP}.inventory:inventory", "--embedded", folder=folder, name="first") as first:
        first.wait_for("inventory is live")
        found = re.search(r"--bootstrap (\S+)", first.stdout)
        assert found
        joined = ("--embedded", "--bootstrap", found[1])
        with Running("run", f"{SHOP}.orders:orders", *joined, folder=folder, name="second") as second:
            second.wait_for("orders is live")
            connect(load_participant(f"{SHOP}.orders:orders"), folder / "orders.db")
            place_order(OrderCreated("o-1", "ada", "pear", 50, 500, "12 Elm Street"))
            while "failed after" not in (result := execute("trace", "o-1", folder=folder).stdout):
                assert second.is_running()
    assert "not enough pear in stock" in result
    assert "OrderFailed" in result


def test_an_export_tells_what_its_store_told(rig: Rig, folder: Path) -> None:
    """In either format; what was due or dead is in the store alone."""
    for name in ("hotel.jsonl", "hotel.avro"):
        assert invoke("log", "export", "--store", "hotel.db", "--output", name).exit_code == 0
        assert listed("--store", name) == ["trip-waiting", "trip-booked", "trip-dead"]
        assert listed("--store", name, "--stuck") == ["trip-dead"]
        by_store = json.loads(invoke("trace", "trip-booked", "--format", "json").stdout)
        by_export = json.loads(invoke("trace", "trip-booked", "--format", "json", "--store", name).stdout)
        assert by_export == by_store
    result = invoke("trace", "trip-ded", "--store", "hotel.avro")
    assert_refused(result.exit_code, result.stderr, "is known in hotel.avro", "did you mean trip-dead?")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["hotel.jsonl", "hotel.avro"])
def test_half_an_export_is_refused(rig: Rig, folder: Path, name: str, share: float) -> None:
    """Wherever it was cut; one that was changed is, too."""
    assert invoke("log", "export", "--store", "hotel.db", "--output", name).exit_code == 0
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(len(whole) * share)])
    result = invoke("trace", "trip-booked", "--store", name)
    assert_refused(result.exit_code, result.stderr, f"{name}: ")
    at = len(whole) // 2  # among the rows
    (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    result = invoke("sagas", "--store", name)
    assert_refused(result.exit_code, result.stderr, f"{name}: ")

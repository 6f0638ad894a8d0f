"""``choreo dlq``: on a store whose worker runs in the same test, as it would in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from choreo import Participant, Permanent, Retry
from choreo.avro import write_schemas
from choreo.cli import main
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import assert_refused, invoke
from tests.worker.rig import Rig
from tests.worker.services import Script, agency, hotel
from tests.worker.trip import (
    EVENTS,
    FlightBooked,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripRequested,
)

NO = Permanent("the hotel says no")


@pytest.fixture
def rigged(folder: Path) -> Iterator[Rig]:
    """Open a hotel with three dead letters: two cancellations that failed, one body that can't be read."""
    write_schemas(EVENTS, folder / "schemas")
    rig = Rig(hotel(cancel=Script([NO, NO])), folder)
    rig.open()
    for saga_id in ("s1", "s2"):
        rig.feed(TripRequested("t"), FlightFull("t", "full"), saga_id=saga_id)
    rig.feed(TripRequested("u"), saga_id="s3", body=b"rubbish")
    yield rig
    rig.close()


def test_list_puts_those_with_one_cause_together(rigged: Rig) -> None:
    """The default finds every store in the working directory."""
    result = invoke("dlq", "list")
    assert result.exit_code == 0
    first, *_ = lines = result.stdout.splitlines()
    assert "gave-up  compensation hotel.book (hotel): 2, oldest" in first
    assert any(line.startswith("  #1  s1  the hotel says no (") for line in lines)
    assert "unreadable-body  action hotel.book (hotel): 1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ((), [1, 2, 3]),
        (("--saga", "s2"), [2]),
        (("--reason", "gave-up"), [1, 2]),
        (("--step", "hotel.book"), [1, 2, 3]),
        (("--participant", "nobody"), []),
        (("--reason", "gave-up", "--saga", "s3"), []),
    ],
)
def test_filters_must_all_admit_a_letter(rigged: Rig, arguments: tuple[str, ...], numbers: list[int]) -> None:
    """What a script reads is JSON."""
    result = json.loads(invoke("dlq", "list", "--format", "json", *arguments).stdout)
    assert [each["number"] for each in result] == numbers
    assert {each["participant"] for each in result} <= {"hotel"}


def test_show_gives_the_event_by_its_schema(rigged: Rig) -> None:
    """Or, where that can't be, as it lies in the log."""
    result = json.loads(invoke("dlq", "show", "1", "--format", "json").stdout)
    assert result["event"] == {"trip": "t", "reason": "full"}
    assert ["ce_type", "trip.FlightFull"] in result["headers"]
    result = json.loads(invoke("dlq", "show", "3", "--format", "json").stdout)
    assert result["event_base64"] == "cnViYmlzaA=="
    assert "single-object" in result["event_unreadable"]
    lines = [line.split(maxsplit=1) for line in invoke("dlq", "show", "1").stdout.splitlines()]
    assert ["reason", "gave-up"] in lines


def test_requeue_ends_the_saga(rigged: Rig) -> None:
    """The worker does it in its next turn; twice is refused."""
    assert invoke("dlq", "requeue", "1").stdout == "hotel #1: requeued: compensation hotel.book of saga s1\n"
    rigged.settle()
    assert rigged.published("s1") == [HotelBooked("t"), HotelCancelled("t")]
    assert rigged.published("s2") == [HotelBooked("t")]
    again = invoke("dlq", "requeue", "1")
    assert_refused(again.exit_code, again.stderr, "hotel #1 was requeued already")


def test_requeue_all_of_a_filter(rigged: Rig) -> None:
    """A dry run says which, and does nothing."""
    arguments = ("dlq", "requeue", "--all", "--reason", "gave-up")
    result = invoke(*arguments, "--dry-run").stdout
    assert result.count("would be requeued") == 2
    rigged.settle()
    assert rigged.published("s1") == [HotelBooked("t")]
    assert invoke(*arguments).stdout.count(": requeued:") == 2
    rigged.settle()
    assert rigged.published("s2") == [HotelBooked("t"), HotelCancelled("t")]
    assert invoke(*arguments).stdout == "no dead letters\n"


def test_the_same_work_is_requeued_so_often_and_no_more(folder: Path) -> None:
    """It is said, and the exit code tells."""
    rig = Rig(hotel(cancel=Script(last=NO)), folder)
    rig.open()
    rig.feed(TripRequested("t"), FlightFull("t", "full"))
    for number in (1, 2):
        assert invoke("dlq", "requeue", str(number), "--limit", "2").exit_code == 0
        rig.settle()
    result = invoke("dlq", "requeue", "3", "--limit", "2")
    assert result.exit_code == 1
    assert "hotel #3: left alone: requeued 2 times already" in result.stderr
    rig.close()


def test_discard_publishes_and_keeps_the_reason(rigged: Rig) -> None:
    """The letter is kept, too."""
    assert invoke("dlq", "discard", "1", "--because", "called them").exit_code == 0
    rigged.settle()
    assert rigged.published("s1")[1:] == [HotelCancelled("t", "called them")]
    (result,) = json.loads(invoke("dlq", "list", "--all", "--saga", "s1", "--format", "json").stdout)
    assert (result["state"], result["because"]) == ("discarded", "called them")


@pytest.mark.parametrize("because", ["", " ", "x" * 501, "a\nb"])
def test_discard_wants_a_reason(rigged: Rig, because: str) -> None:
    """One that can be read."""
    result = invoke("dlq", "discard", "1", "--because", because)
    assert_refused(result.exit_code, result.stderr, "printable characters")


def test_an_edited_event_is_checked_kept_and_used(rigged: Rig, folder: Path) -> None:
    """The original stays."""
    (folder / "event.json").write_text('{"trip": "mended"}')
    assert "nothing was kept" in invoke("dlq", "edit", "3", "event.json", "--dry-run").stdout
    assert json.loads(invoke("dlq", "show", "3", "--format", "json").stdout)["edited"] is False
    assert invoke("dlq", "edit", "3", "event.json").exit_code == 0
    assert json.loads(invoke("dlq", "show", "3", "--event").stdout) == {"trip": "mended"}
    assert invoke("dlq", "requeue", "3").exit_code == 0
    rigged.settle()
    assert rigged.published("s3") == [HotelBooked("mended")]
    assert rigged.letters()[2].value == b"rubbish"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "trip is missing"),
        ('{"trip": 5}', "doesn't fit"),
        ('{"trip": "t", "tripp": "u"}', "no field is called tripp"),
    ],
)
def test_an_event_that_does_not_fit_its_schema_is_refused(rigged: Rig, text: str, words: str) -> None:
    """From standard input as from a file; nothing is kept."""
    result = CliRunner().invoke(main, ["dlq", "edit", "3"], input=text)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert rigged.letters()[2].edited is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--store", "nowhere.db"), "there is no file nowhere.db"),
        (("list", "--store", "other.db"), "is not a store"),
        (("show", "99"), "no dead letter 99"),
        *(((each, str(2**63)), "is not in the range") for each in ("show", "edit", "requeue", "resolve")),
        (("requeue",), "which dead letters?"),
        (("requeue", "1", "--all"), "which dead letters?"),
        (("discard", "99", "--because", "x"), "no dead letter 99"),
        (("edit", "1", "--schemas", "nowhere"), "no schema of trip.FlightFull"),
    ],
)
def test_wrong_input_is_one_clear_line(
    rigged: Rig, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Nothing is made or changed."""
    (folder / "other.db").write_bytes(b"")
    result = CliRunner().invoke(main, ["dlq", *arguments], input="{}")
    assert_refused(result.exit_code, result.stderr, words)
    assert not (folder / "nowhere.db").exists()
    assert (folder / "other.db").read_bytes() == b""


def test_without_any_store_it_is_said(folder: Path) -> None:
    """With how to name one."""
    result = invoke("dlq", "list")
    assert_refused(result.exit_code, result.stderr, "there is no store at {participant}.db", "--store")


def test_a_damaged_store_in_a_folder_is_not_passed_over(rigged: Rig, folder: Path) -> None:
    """A script would take it for one without dead letters."""
    rigged.close()
    content = rigged.path.read_bytes()
    rigged.path.write_bytes(content[: len(content) // 2])
    for named in ((), ("--store", str(folder)), ("--store", rigged.path.name)):
        result = invoke("dlq", "list", "--check", *named)
        assert_refused(result.exit_code, result.stderr, "damaged", "restore it from a backup")


def test_letters_of_the_same_number_are_told_apart_by_participant(rigged: Rig, folder: Path) -> None:
    """Each store counts its own."""
    other = Rig(Participant("spa", sagas=rigged.participant.sagas), folder)
    other.open()
    with other.store.turn():
        other.store.add_dead_letter(rigged.letters()[0])
    result = invoke("dlq", "show", "1")
    assert_refused(result.exit_code, result.stderr, "hotel, spa have a dead letter 1 each")
    assert invoke("dlq", "show", "1", "--participant", "spa").exit_code == 0
    other.close()


def test_a_record_of_no_saga_can_only_be_discarded(rigged: Rig) -> None:
    """There is nothing to try again."""
    rigged.broker.append("trip", b"k", [], b"x")
    rigged.settle()
    result = invoke("dlq", "requeue", "4")
    assert result.exit_code == 1
    assert "belongs to no saga" in result.stderr
    result = CliRunner().invoke(main, ["dlq", "edit", "4"], input="{}")
    assert_refused(result.exit_code, result.stderr, "can only be discarded")
    assert invoke("dlq", "discard", "4", "--because", "noise").exit_code == 0
    rigged.settle()
    store = SQLiteStore(rigged.path)
    letter = store.dead_letter(4)
    assert letter is not None
    assert letter.state == "discarded"
    store.close()


def resolved(*arguments: str, text: str = '{"trip": "t", "reason": "by phone"}') -> Result:
    """Run `choreo dlq resolve`, with an event on standard input."""
    return CliRunner().invoke(main, ["dlq", "resolve", *arguments], input=text)


def test_resolve_says_what_would_follow_and_then_does_it(rigged: Rig) -> None:
    """Once: the second time is refused. Who did it and why is kept with the letter."""
    given = ("1", "-", "--because", "by phone", "--by", "anna")
    lines = resolved(*given, "--dry-run").stdout.splitlines()
    assert lines == [
        "hotel #1: would be resolved: compensation hotel.book of saga s1",
        "  hotel.book: compensating → compensated",
        "  trip.HotelCancelled is published as compensated",
    ]
    rigged.settle()
    assert rigged.published("s1") == [HotelBooked("t")]
    assert resolved(*given).stdout == "hotel #1: resolved: compensation hotel.book of saga s1\n"
    rigged.settle()
    assert rigged.published("s1") == [HotelBooked("t"), HotelCancelled("t", "by phone")]
    again = resolved(*given)
    assert_refused(again.exit_code, again.stderr, "hotel #1 was resolved already")
    shown = json.loads(invoke("dlq", "show", "1", "--format", "json").stdout)
    assert (shown["state"], shown["because"], shown["by"]) == ("resolved", "by phone", "anna")
    assert shown["result"] == {"trip": "t", "reason": "by phone"}
    assert "by hand: by phone" in invoke("trace", "s1").stdout


def test_resolve_takes_what_the_step_declares_under_its_name(rigged: Rig) -> None:
    """What was done by default, its failure by name."""
    assert resolved("3", "-", "--because", "x", "--dry-run", text='{"trip": "t", "room": 7}').exit_code == 0
    full = ("3", "-", "--because", "x", "--as", "HotelFull")
    assert resolved(*full, text='{"trip": "t", "reason": "fire"}').exit_code == 0
    rigged.settle()
    assert rigged.published("s3") == [HotelFull("t", "fire")]


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        (("3", "-"), '{"trip": 5, "room": 1}', "doesn't fit"),
        (("3", "-"), '{"trip": "t", "room": 1, "floor": 2}', "no field is called floor"),
        (("3", "-"), '{"trip": "t", "room": 4294967296000000000000}', "so large"),
        (("3", "-"), "[" * 100_000, "not JSON"),
        (("3", "-"), '{"trip": "' + "x" * 600_000 + '", "room": 1}', "bytes long"),
        (("3", "-"), " " * 5_000_000, "longer than"),
        (("3", "-", "--as", "TripBooked"), "{}", "does not end with TripBooked"),
        (("3",), "", "the event is missing"),
        (("3", "-", "--schemas", "nowhere"), "{}", "no schema of trip.HotelBooked"),
        (("4", "-"), "{}", "a record that belongs to no saga"),
        (("99", "-"), "{}", "no dead letter 99"),
        (("--all", "3"), "{}", "one event can't be"),
        (("--all", "--as", "HotelFull"), "{}", "one event can't be"),
        ((), "{}", "which dead letters?"),
        (("3", "latin-1"), "", "UTF-8"),
    ],
)
def test_what_can_not_be_resolved_is_one_clear_line(
    rigged: Rig, folder: Path, arguments: tuple[str, ...], text: str, words: str
) -> None:
    """Nothing is kept, with or without a dry run."""
    rigged.broker.append("trip", b"k", [], b"x")
    rigged.settle()
    (folder / "latin-1").write_bytes('{"trip": "é"}'.encode("latin-1"))
    for dry_run in ((), ("--dry-run",)):
        result = resolved(*arguments, "--because", "x", *dry_run, text=text)
        assert_refused(result.exit_code, result.stderr, words)
    assert {letter.state for letter in rigged.letters()} == {"open"}


def test_all_that_need_no_event_are_resolved_together(rigged: Rig, folder: Path) -> None:
    """The others are left alone, and said."""
    observers = Rig(agency(Script(last=NO), retry=Retry(attempts=1)), folder)
    observers.open()
    observers.feed(HotelBooked("t"), FlightBooked("t"))
    result = resolved("--all", "--because", "seen", "--participant", "agency")
    assert result.stdout.count(": resolved: observer agency.look of saga s1") == 2
    result = resolved("--all", "--because", "seen", "--dry-run")
    assert result.exit_code == 1
    assert result.stderr.count("resolve it by its number") == 3
    observers.settle()
    assert {letter.state for letter in observers.letters()} == {"resolved"}
    observers.close()


FILTERS: dict[tuple[str, ...], list[int]] = {
    ("--event", "FlightFull"): [1, 2],
    ("--event", "trip.TripRequested"): [3],
    ("--type", "trip"): [1, 2, 3],
    ("--type", "order"): [],
    ("--older-than", "1h"): [1, 2, 3],
    ("--newer-than", "1h"): [],
    ("--newer-than", "1h", "--older-than", "2h"): [],
    ("--saga", "s2", "--event", "FlightFull"): [2],
}


@pytest.mark.parametrize("verb", ["list", "requeue", "discard", "resolve"])
def test_every_verb_takes_the_filters_of_the_list(rigged: Rig, verb: str) -> None:
    """What is old or new is so by the time of now."""
    more = {"list": (), "requeue": ("--all", "--dry-run")}.get(verb, ("--all", "--dry-run", "--because", "x"))
    for arguments, numbers in FILTERS.items():
        result = invoke("dlq", verb, *arguments, *more)
        told = result.stdout + result.stderr
        assert [number for number in (1, 2, 3) if f"#{number}" in told] == numbers, arguments

"""``choreo deadlines``: on a store whose worker runs in the same test, as it would in another process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from choreo import Context, Participant
from tests.cli.command import assert_refused, invoke
from tests.stores import in_postgresql, place
from tests.worker.provider import Provider
from tests.worker.provider import hotel as calling_hotel
from tests.worker.rig import Rig
from tests.worker.services import prepare
from tests.worker.test_deadlines import clerk
from tests.worker.trip import HotelBooked, HotelLate, TripRequested, trip

HOUR = timedelta(hours=1)


Begin = Callable[[Participant], Rig]
each_store = pytest.mark.usefixtures("each_store")


@pytest.fixture
def begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Open participants by today's clock, each with a saga that has begun; the commands find their stores."""
    rigs: list[Rig] = []

    def begun(participant: Participant) -> Rig:
        rig = Rig(participant, folder)
        rigs.append(rig)
        rig.clock.time = time.time_ns() // 1_000_000
        rig.open()
        rig.feed(TripRequested("t"))
        if in_postgresql():
            monkeypatch.setenv("CHOREO_STORE", "\n".join(place(each.path) for each in rigs))
        return rig

    yield begun
    for each in rigs:
        each.close()


@pytest.fixture
def rigged(begin: Begin) -> Rig:
    """Open the participant that gives the hotel a minute; the minute has begun."""
    return begin(clerk())


def due_in(rig: Rig) -> float | None:
    """Return in how many seconds something is due, as its worker knows once it has gone round."""
    rig.settle()
    return rig.due_in()


def extend(*arguments: str) -> tuple[int, str, str]:
    """Extend the deadline of the saga."""
    result = invoke("deadlines", "extend", "s1", "hotel_is_late", "--because", "they called", *arguments)
    return result.exit_code, result.stdout, result.stderr


@each_store
def test_list_tells_what_is_due_when_of_which_step(rigged: Rig) -> None:
    """As lines, or as JSON; nothing once it is over."""
    head, line = invoke("deadlines", "list", "s1").stdout.splitlines()
    assert head.split() == ["PARTICIPANT", "DEADLINE", "OF", "DUE"]
    assert line.split()[:3] == ["clerk", "clerk.hotel_is_late", "hotel.book"]
    assert " in " in line
    (found,) = json.loads(invoke("deadlines", "list", "s1", "--format", "json").stdout)
    due = datetime.fromisoformat(found.pop("due"))
    assert due - datetime.fromtimestamp(rigged.clock.time // 1000, UTC) <= timedelta(minutes=1, seconds=1)
    assert found == {
        "participant": "clerk",
        "saga_type": "trip",
        "deadline": "clerk.hotel_is_late",
        "step": "hotel.book",
        "own_timeout": False,
    }
    rigged.feed(HotelBooked("t"))
    assert invoke("deadlines", "list", "s1").stdout == "no deadlines\n"
    assert json.loads(invoke("deadlines", "list", "s1", "--format", "json").stdout) == []


@each_store
def test_extend_gives_it_so_much_more(rigged: Rig) -> None:
    """From when it is due now; a dry run says the same, and changes nothing."""
    code, said, _ = extend("--for", "1h", "--dry-run")
    assert (code, due_in(rigged)) == (0, 60)
    assert said.startswith(
        "clerk.hotel_is_late of saga s1: would be extended by 1 h: hotel.book has until 20"
    )
    code, said, _ = extend("--for", "1h", "--by", "ada")
    assert (code, due_in(rigged)) == (0, 3660)
    assert "s1: extended by 1 h" in said
    assert "by ada: they called" in invoke("trace", "s1").stdout
    rigged.clock.advance(3660)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]
    code, _, said = extend("--for", "1h")
    assert_refused(code, said, "has passed already: hotel.book has timed out")


@each_store
def test_extend_until_a_time(rigged: Rig) -> None:
    """Which has a zone."""
    until = datetime.fromtimestamp(rigged.clock.time / 1000, UTC) + HOUR
    assert extend("--until", until.isoformat())[0] == 0
    assert due_in(rigged) == 3600
    code, _, said = extend("--until", (until - HOUR).isoformat())
    assert_refused(code, said, "has passed already")
    code, _, said = extend("--until", (until - HOUR / 2).isoformat())
    assert_refused(code, said, "an extension is later")


@each_store
def test_revoke_takes_it_away(rigged: Rig) -> None:
    """Once; the page of the saga says so."""
    revoke = ("deadlines", "revoke", "s1", "clerk.hotel_is_late", "--because", "no hurry", "--by", "ada")
    assert "would be revoked: hotel.book has no time limit" in invoke(*revoke, "--dry-run").stdout
    assert due_in(rigged) == 60
    assert invoke(*revoke).stdout == (
        "clerk.hotel_is_late of saga s1: revoked: hotel.book has no time limit by it any more\n"
    )
    assert due_in(rigged) is None
    result = invoke(*revoke)
    assert_refused(result.exit_code, result.stderr, "was revoked", "(by ada: no hurry)")
    assert "by ada: no hurry" in invoke("trace", "s1").stdout
    assert invoke("log", "verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("s9", "hotel_is_late"), "there is no saga s9 in"),
        (("s1", "nothing"), "saga s1 has no deadline nothing (hint: it may have clerk.hotel_is_late"),
        (("s1", "hotel_is_late", "--participant", "nobody"), "there is no saga s1"),
        (("s1", "hotel_is_late", "--type", "voyage"), "there is no saga s1"),
        (("s1", "hotel_is_late", "--because", ""), "printable characters"),
        (("s1", "hotel_is_late", "--by", "x" * 101), "printable characters"),
    ],
)
@pytest.mark.parametrize("verb", [("revoke",), ("extend", "--for", "1h")])
def test_what_is_wrong_is_refused_in_one_line(
    rigged: Rig, verb: tuple[str, ...], arguments: tuple[str, ...], why: str
) -> None:
    """With a hint."""
    given = arguments if "--because" in arguments else (*arguments, "--because", "x")
    result = invoke("deadlines", *verb, *given)
    assert_refused(result.exit_code, result.stderr, why)
    assert due_in(rigged) == 60


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "how much more time?"),
        (("--for", "1h", "--until", "2999-01-01T00:00:00Z"), "how much more time?"),
        (("--for", "soon"), "is not a span of time"),
        (("--until", "soon"), "is not a time like"),
        (("--until", "2999-01-01T00:00:00"), "has no time zone"),
        (("--until", "9999-12-31T23:59:59Z"), "is too late"),
        (("--until", "1999-01-01T00:00:00Z"), "has passed already"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(rigged: Rig, arguments: tuple[str, ...], why: str) -> None:
    """In one line, too."""
    code, _, said = extend(*arguments)
    assert_refused(code, said, why)


@each_store
def test_two_participants_may_each_have_one_of_that_name(rigged: Rig, begin: Begin) -> None:
    """Then it must be said whose is meant; the name itself may say so."""
    other = Participant("guide", sagas=[trip], prepare=prepare)

    @other.deadline(of="hotel.book", within=HOUR)
    def hotel_is_late(event: TripRequested, ctx: Context) -> HotelLate:
        return HotelLate(event.trip)

    guide = begin(other)
    code, _, said = extend("--for", "1h")
    assert_refused(code, said, "clerk, guide have a deadline hotel_is_late each")
    assert extend("--for", "1h", "--participant", "guide")[0] == 0
    assert (due_in(rigged), due_in(guide)) == (60, 7200)
    names = [
        each["deadline"] for each in json.loads(invoke("deadlines", "list", "s1", "--format", "json").stdout)
    ]
    assert names == ["clerk.hotel_is_late", "guide.hotel_is_late"]


@each_store
def test_the_own_timeout_of_a_step_is_listed_and_its_own(begin: Begin) -> None:
    """Its handler moves it, and nobody else: the command says so."""
    provider = Provider()
    begin(calling_hotel(provider, timeout=HOUR))
    (line,) = invoke("deadlines", "list", "s1").stdout.splitlines()[1:]
    assert line.split()[:5] == ["hotel", "its", "own", "timeout", "hotel.book"]
    for name in ("book", "hotel.book"):
        result = invoke("deadlines", "revoke", "s1", name, "--because", "x")
        assert_refused(result.exit_code, result.stderr, "the timeout of hotel.book is its own")
    provider.answer(None)

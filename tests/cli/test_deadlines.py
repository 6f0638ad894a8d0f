"""``choreo deadlines``: on a store whose worker runs in the same test, as it would in another process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from choreo import Context, Participant
from choreo.store.postgresql.schema import MIGRATIONS
from tests.cli.command import assert_refused, invoke
from tests.stores import copy, in_postgresql, open_store, place
from tests.worker.provider import Provider
from tests.worker.provider import hotel as calling_hotel
from tests.worker.replicas import Replicas, on
from tests.worker.rig import Rig
from tests.worker.services import prepare
from tests.worker.test_changed_deadlines import Untraced, late
from tests.worker.test_deadlines import clerk
from tests.worker.trip import HotelBooked, HotelLate, TripBooked, TripRequested, trip

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
        (("s\udcff", "hotel_is_late"), "no text in UTF-8"),
        (("s1", "\udcff"), "has no deadline"),
        (("s1", ""), "has no deadline"),
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


@pytest.mark.parametrize("verb", [("revoke",), ("extend", "--for", "1h")])
def test_who_changes_one_says_why(rigged: Rig, verb: tuple[str, ...]) -> None:
    """It is asked for, not guessed."""
    result = invoke("deadlines", *verb, "s1", "hotel_is_late")
    assert_refused(result.exit_code, result.stderr, "Missing option '--because'")
    assert due_in(rigged) == 60


def test_two_stores_of_one_participant_are_refused(rigged: Rig, folder: Path) -> None:
    """As either may be the right one."""
    rigged.close()
    copy(rigged.path, folder / "copy.db")
    both = ("--store", place(folder / "copy.db"), "--store", place(rigged.path))
    for arguments in (("list", "s1"), ("revoke", "s1", "hotel_is_late", "--because", "x")):
        result = invoke("deadlines", *arguments, *both)
        assert_refused(result.exit_code, result.stderr, "are both stores of clerk")


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


@each_store
def test_a_saga_that_has_ended_has_none(rigged: Rig) -> None:
    """It is said what has ended it, also once its rows were removed."""
    rigged.feed(TripBooked("t"))
    assert invoke("deadlines", "list", "s1").stdout == "no deadlines\n"
    for dry_run in ((), ("--dry-run",)):
        code, _, said = extend("--for", "1h", *dry_run)
        assert_refused(code, said, "clerk.hotel_is_late is over: the saga has completed")
    pruned = invoke("log", "prune", "--older-than", "1ms", "--yes")
    assert pruned.exit_code == 0, pruned.stderr
    assert invoke("deadlines", "list", "s1").stdout == "no deadlines\n"
    code, _, said = extend("--for", "1h")
    assert_refused(code, said, "the saga has completed, and its rows were removed")


@each_store
def test_one_that_has_passed_is_told_from_one_that_waits(rigged: Rig) -> None:
    """Nothing came of it while its worker did not look, and so it can still be given more time."""
    rigged.clock.advance(-3600)  # its worker's clock is behind
    with closing(open_store(rigged.path)) as store, store.turn():
        (row,) = store.scheduled("s1", "trip")
        store.schedule((row._replace(due=row.due - 120_000),))
    assert "due for " in invoke("deadlines", "list", "s1").stdout
    code, _, said = extend("--for", "30s")
    assert_refused(code, said, "has passed already (hint: give it a time to come)")
    assert extend("--for", "1h")[0] == 0
    rigged.clock.advance(3600 + 3600)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]
    code, _, said = extend("--for", "1h")
    assert_refused(code, said, "has passed already: hotel.book has timed out")
    revoked = invoke("deadlines", "revoke", "s1", "hotel_is_late", "--because", "x", "--dry-run")
    assert_refused(revoked.exit_code, revoked.stderr, "has passed already: hotel.book has timed out")


@each_store
@pytest.mark.parametrize("years", [-60, -2, 2, 900])
def test_the_clock_of_who_changes_it_may_be_wrong(
    rigged: Rig, years: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is added is added to when it was due; the saga log and its page bear the time."""
    wrong = rigged.clock.time + years * 365 * 86_400_000
    monkeypatch.setattr("choreo.cli.deadlines.change.now", lambda: wrong)
    monkeypatch.setattr("choreo.cli.deadlines.list.now", lambda: wrong)
    assert invoke("deadlines", "list", "s1").exit_code == 0
    code, said, why = extend("--for", "1h")
    if years > 0:
        assert_refused(code, why, "has passed already")
        assert due_in(rigged) == 60
    else:
        assert (code, due_in(rigged)) == (0, 3660)
        assert "extended by 1 h" in said
    for command in (("trace", "s1"), ("sagas",), ("sagas", "--stuck"), ("log", "verify")):
        assert invoke(*command).exit_code == 0, command
    assert invoke("deadlines", "revoke", "s1", "hotel_is_late", "--because", "x").exit_code == 0
    assert due_in(rigged) is None
    assert invoke("trace", "s1").exit_code == 0


def test_three_replicas_go_by_what_is_changed_beside_them(empty_store: str, tmp_path: Path) -> None:
    """Each owner; a dry run disturbs none of them, and needs none of their locks."""
    many = Replicas(tmp_path, empty_store, lambda: clerk(Untraced()))
    many.rig.clock.time = time.time_ns() // 1_000_000
    stored = ("--because", "x", "--store", empty_store)
    ids = [saga_id for number in range(4) for saga_id in on(number, 3)]
    try:
        many.start(3)
        many.feed(TripRequested, ids)
        turns = many.reader.db.execute("select turns from choreo.store").fetchone()
        with many.owner_of(ids[0]).store.turn():
            for saga_id in ids:
                shown = invoke(
                    "deadlines", "extend", saga_id, "hotel_is_late", "--for", "1h", "--dry-run", *stored
                )
                assert "would be extended by 1 h" in shown.stdout
                listed = invoke("deadlines", "list", saga_id, "--store", empty_store)
                assert "clerk.hotel_is_late  hotel.book" in listed.stdout
        assert many.reader.db.execute("select turns from choreo.store").fetchone() == turns
        extended, revoked, left = ids[::3], ids[1::3], ids[2::3]
        for first, second in zip(extended, revoked, strict=True):
            many.go_round()
            done = invoke("deadlines", "extend", first, "hotel_is_late", "--for", "1h", *stored)
            assert done.exit_code == 0, done.stderr
            done = invoke("deadlines", "revoke", second, "hotel_is_late", *stored)
            assert done.exit_code == 0, done.stderr
        many.rig.clock.advance(90)
        many.settle()
        assert late(many) == set(left)
        many.expel(many.running[0])
        many.rig.clock.advance(3600)
        many.settle()
        assert late(many) == {*left, *extended}
        assert set(many.published().values()) == {1}
        many.check_chains(ids)
    finally:
        many.close()


def test_a_store_of_an_older_schema_says_what_brings_it_up_to_date(empty_store: str) -> None:
    """Nothing is listed or changed before that."""
    (newest, _) = MIGRATIONS[-1]
    with closing(psycopg.connect(empty_store, autocommit=True)) as connection:
        connection.execute("delete from choreo.migrations where name = %s", (newest,))
    for verb in (("list", "s1"), ("extend", "s1", "x", "--for", "1h"), ("revoke", "s1", "x", "--dry-run")):
        because = () if verb[0] == "list" else ("--because", "x")
        done = invoke("deadlines", *verb, *because, "--store", empty_store)
        assert_refused(done.exit_code, done.stderr, f"lacks {newest}", "run `choreo store migrate`")
    with closing(psycopg.connect(empty_store, autocommit=True)) as connection:
        connection.execute("insert into choreo.migrations (name) values (%s)", (newest,))
    done = invoke("deadlines", "list", "s1", "--store", empty_store)
    assert_refused(done.exit_code, done.stderr, "there is no saga s1 in")

"""Work of a dead letter that was done by hand: its saga goes on as if the handler had returned the event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from choreo import Aborted, Context, Participant, Retry
from choreo.events import event_name
from choreo.records import DeadLetter
from choreo.worker.by_hand import Unresolvable, ways_in
from choreo.worker.dead_letters import Result, settle
from tests.replay.test_what_if import tried
from tests.replay.watching import differences
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.provider import BUSY
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, agency, flight, hotel, prepare, ticket
from tests.worker.test_dead_letters import NO, ask, open_letters, without_booking
from tests.worker.test_deadlines import clerk
from tests.worker.trip import (
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    HotelLate,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
    trip,
)


class Case(NamedTuple):
    """A dead letter, how its handler is mended, and the event that the handler returns then."""

    make: Callable[[], Participant]
    spoil: Callable[[Rig], None]
    result: Any
    edited: Any = None


def late(rigged: Rig) -> None:
    """Let the deadline of a trip pass."""
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(60)
    rigged.settle()


def unread(rigged: Rig) -> None:
    """Let a step wait for an event that can't be read."""
    rigged.feed(TripRequested("t"))
    rigged.feed(HotelBooked("t"), body=b"rubbish")


def unanswered(rigged: Rig) -> None:
    """Let a step owe its failure, which can't be built."""
    rigged.feed(TripCancelled("t"))
    rigged.feed(TripRequested("t"), body=b"rubbish")


CASES = {
    "action": Case(
        flight,
        unread,
        FlightBooked("t"),
        HotelBooked("t"),
    ),
    "retriable": Case(
        lambda: ticket(Script([NO])),
        lambda rigged: rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t")),
        TripBooked("t"),
    ),
    "compensation": Case(
        lambda: hotel(cancel=Script([NO])),
        lambda rigged: rigged.feed(TripRequested("t"), FlightFull("t", "full")),
        HotelCancelled("t"),
    ),
    "deadline": Case(lambda: clerk(Script([NO])), late, HotelLate("t")),
    "answer": Case(hotel, unanswered, HotelFull("t", "the saga is aborted"), TripRequested("t")),
}


def given(rigged: Rig, event: Any) -> Result | None:
    """Return an event as somebody gives it."""
    return None if event is None else Result(event_name(type(event)), rigged.codec.encode(event))


def resolve(rigged: Rig, event: Any = None, comment: str = "called them") -> DeadLetter:
    """Say that the work of the only open letter was done, as another process does."""
    (letter,) = open_letters(rigged)
    with closing(open_store(rigged.path)) as store:
        assert settle(
            store, letter, "resolved", comment, rigged.clock.now(), by="anna", result=given(rigged, event)
        )
    return letter


def holds(rigged: Rig) -> None:
    """Hold a saga to its log: whoever folds the rows, or runs today's handlers, finds the same."""
    assert rigged.saga() == rigged.saga_in_memory()
    assert differences(rigged.participant, rigged.store, "s1") == []
    assert tried(rigged.participant, rigged.store, only="s1").changes == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("runs", [True, False], ids=["beside its worker", "without one"])
def test_the_topic_tells_the_same_as_if_the_handler_had_returned_the_event(
    rig: Rigs, tmp_path: Path, case: Case, runs: bool
) -> None:
    """Id, cause, headers and body; and the worker knows the same of the saga."""
    mended = rig(case.make())
    case.spoil(mended)
    ask(mended, edited=case.edited)
    (tmp_path / "by-hand").mkdir()
    rigged = Rig(case.make(), tmp_path / "by-hand")
    rigged.open()
    case.spoil(rigged)
    if runs:
        resolve(rigged, case.result)
        rigged.settle()
    else:
        resolve(rigged, case.result)
        rigged.restart()
    name = rigged.participant.name
    assert rigged.records_of(name) == mended.records_of(name)
    assert rigged.published()[-1] == case.result
    assert rigged.saga_in_memory() == mended.saga_in_memory()
    holds(mended)
    assert open_letters(rigged) == []
    holds(rigged)
    published = rigged.published()
    rigged.restart()
    assert rigged.published() == published
    holds(rigged)
    (letter,) = rigged.letters()
    assert (letter.state, letter.comment, letter.closed_by) == ("resolved", "called them", "anna")
    assert any(each.is_by_hand and each.note.endswith(": called them") for each in rigged.history())
    rigged.close()


def test_an_observer_has_nothing_to_return(rig: Rigs) -> None:
    """It skips the event, as somebody has looked at it."""
    rigged = rig(agency(Script([NO]), retry=Retry(attempts=1)))
    rigged.feed(HotelBooked("t"))
    resolve(rigged)
    rigged.feed(FlightBooked("t"))
    assert rigged.effects() == ["observer", "FlightBooked"]
    assert open_letters(rigged) == []
    holds(rigged)


BEFORE = {
    "nothing": (),
    "a cancellation": (TripCancelled("t"),),
    "its own timeout": (HotelLate("t"),),
    "another's failure": (FlightFull("t", "full"),),
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("event", [HotelBooked("t"), HotelFull("t", "none left")], ids=["done", "failed"])
@pytest.mark.parametrize("crash", [False, True], ids=["", "and a crash"])
def test_what_was_done_counts_whatever_came_before(
    rig: Rigs, before: tuple[Any, ...], event: Any, crash: bool
) -> None:
    """It is undone where the saga calls for that; nothing is said twice, and all readers of the log agree."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"), body=b"rubbish")
    rigged.feed(*before)
    resolve(rigged, event)
    if crash:
        rigged.restart()
    rigged.settle()
    while open_letters(rigged):  # what follows can't be done by a handler either
        resolve(rigged, HotelCancelled("t"))
        rigged.settle()
    first, *rest = rigged.published()
    undone = type(event) is HotelBooked and before and type(before[0]) in (HotelLate, FlightFull)
    if type(event) is HotelFull and before == BEFORE["its own timeout"]:
        assert type(first) is HotelCancelled  # a failure would be void
    else:
        assert first == event
    assert rest == ([HotelCancelled("t")] if undone else [])
    assert open_letters(rigged) == []
    holds(rigged)
    rigged.restart()
    assert rigged.published() == [first, *rest]


def test_a_choice_between_two_ends_is_the_first_ones(rig: Rigs) -> None:
    """The second caller is told, and the event of the first one is kept."""
    rigged = rig(ticket(Script([NO])))
    rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    letter = resolve(rigged, TripBooked("t"))
    other = given(rigged, TripBooked("u"))
    with closing(open_store(rigged.path)) as store:
        assert not settle(store, letter, "resolved", "x", 1, result=other)
        assert not settle(store, letter, "requeued", "", 1)
    rigged.settle()
    assert rigged.published() == [TripBooked("t")]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (HotelBooked("t"), "does not end with trip.HotelBooked"),
        (None, "the event is missing"),
    ],
)
def test_an_event_that_the_step_does_not_declare_opens_the_letter_again(
    rig: Rigs, event: Any, why: str
) -> None:
    """With the reason that it had, so that it can still be settled in every way."""
    rigged = rig(ticket(Script([NO])))
    rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    resolve(rigged, event)
    rigged.settle()
    (again,) = open_letters(rigged)
    assert again.reason == "gave-up"
    assert why in again.detail
    assert (again.comment, again.closed_at, again.closed_by, again.result) == ("", 0, "", None)
    assert rigged.published() == []
    resolve(rigged, TripBooked("t"))
    rigged.settle()
    assert rigged.published() == [TripBooked("t")]


def test_a_body_that_the_service_can_not_read_opens_the_letter_again(rig: Rigs) -> None:
    """Nothing of it is published."""
    rigged = rig(ticket(Script([NO])))
    rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    (letter,) = open_letters(rigged)
    spoiled = Result("trip.TripBooked", b"rubbish")
    assert settle(rigged.store, letter, "resolved", "", 1, result=spoiled)
    rigged.restart()
    assert "not resolved" in open_letters(rigged)[0].detail
    assert rigged.published() == []


def test_work_of_an_ended_saga_is_not_done_by_hand(rig: Rigs) -> None:
    """Nobody would undo it."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"), body=b"rubbish")
    rigged.feed(TripBooked("t"))
    (letter,) = open_letters(rigged)
    with pytest.raises(Unresolvable, match="has ended"):
        ways_in(rigged.store, letter)
    resolve(rigged, HotelBooked("t"))
    rigged.settle()
    assert rigged.published() == []
    assert "has ended" in open_letters(rigged)[0].detail


def test_work_in_quarantine_waits_for_the_letter_that_says_why(rig: Rigs) -> None:
    """The participant does nothing of that saga until that is settled."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"), body=b"rubbish")
    rigged.feed(HotelCancelled("t"))
    action, foreign = open_letters(rigged)
    with pytest.raises(Unresolvable, match="in quarantine"):
        ways_in(rigged.store, action)
    with pytest.raises(Unresolvable, match="never published"):
        ways_in(rigged.store, foreign)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_command_knows_what_the_worker_takes(rig: Rigs, case: Case) -> None:
    """By what the store says of the release; asking changes nothing."""
    rigged = rig(case.make())
    case.spoil(rigged)
    (letter,) = open_letters(rigged)
    known = ways_in(rigged.store, letter)
    assert event_name(type(case.result)) in known
    assert open_letters(rigged) == [letter]


def test_what_is_undone_after_a_failed_compensation_goes_on(rig: Rigs) -> None:
    """The compensation of a leaf is confirmed by hand, and the one before it runs."""
    rigged = rig(hotel(cancel=Script([NO])))
    rigged.feed(TripRequested("t"), FlightBooked("t"), FlightCancelled("t"))
    resolve(rigged, HotelCancelled("t", "by phone"))
    rigged.settle()
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t", "by phone")]
    assert rigged.state("hotel.book") == "compensated"
    holds(rigged)


def test_the_rollback_of_a_start_is_ended_by_hand(rig: Rigs) -> None:
    """With the event that fails the saga."""
    participant = Participant("agency", sagas=[trip], prepare=prepare)

    @participant.compensation(of=trip.start)
    def fail_trip(event: HotelFull | HotelCancelled, requested: TripRequested, ctx: Context) -> TripFailed:
        raise NO

    rigged = rig(participant)
    with participant.transaction() as tx:
        tx.start(TripRequested("t"), saga_id="s1")
    rigged.settle()
    rigged.feed(HotelFull("t", "full"))
    resolve(rigged, TripFailed("t", "told by phone"))
    rigged.settle()
    assert rigged.published()[-1] == TripFailed("t", "told by phone")
    assert rigged.saga().end == "failed"
    holds(rigged)


def test_what_an_attempt_has_left_is_undone_by_hand(rig: Rigs) -> None:
    """Then the failure is published that was owed all the time."""
    participant = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=1))

    @participant.action(fails=HotelFull, partial=True)
    def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        raise ConnectionError("busy")

    @participant.compensation(of=book)
    def cancel(event: FlightFull | Aborted, booked: HotelBooked | None, ctx: Context) -> HotelCancelled:
        raise NO

    rigged = rig(participant)
    rigged.feed(TripRequested("t"))
    resolve(rigged, HotelCancelled("t"))
    rigged.settle()
    (failure,) = rigged.published()
    assert type(failure) is HotelFull
    assert rigged.state("hotel.book") == "failed"
    holds(rigged)


def test_a_step_that_a_release_has_given_up_is_not_resolved(rig: Rigs) -> None:
    """Until a release has it again; its letter stays as it is."""
    rigged = rig(hotel(Script([BUSY]), retry=Retry(attempts=9, delay=SECOND)))
    rigged.feed(TripRequested("t"))
    rigged.participant = without_booking()
    rigged.options = replace(rigged.options, retire=("book",))
    rigged.restart()
    (letter,) = open_letters(rigged)
    with pytest.raises(Unresolvable, match=r"the service has no step hotel\.book any more"):
        ways_in(rigged.store, letter)
    resolve(rigged, HotelBooked("t"))
    rigged.settle()
    assert [each.reason for each in open_letters(rigged)] == ["retired"]
    rigged.participant = hotel()
    rigged.restart()
    resolve(rigged, HotelBooked("t"))
    rigged.settle()
    assert rigged.published() == [HotelBooked("t")]
    holds(rigged)

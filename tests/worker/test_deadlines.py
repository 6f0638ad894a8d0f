"""Deadlines that one participant sets on another's step: durable, exact, and over with the outcome."""

from __future__ import annotations

from datetime import timedelta

from choreo import Context, Participant, Permanent, Retry
from choreo.cloudevents import read
from choreo.records import Partition
from tests.worker.conftest import Rigs
from tests.worker.rig import NOON
from tests.worker.services import SECOND, Script, flight, prepare
from tests.worker.trip import (
    FlightCancelled,
    FlightFull,
    FlightLate,
    HotelBooked,
    HotelFull,
    HotelLate,
    TripCancelled,
    TripRequested,
    trip,
)

MINUTE = timedelta(minutes=1)


def clerk(script: Script | None = None) -> Participant:
    """Make a participant that gives the hotel a minute to answer."""
    participant = Participant("clerk", sagas=[trip], prepare=prepare, retry=Retry(attempts=2, delay=SECOND))
    calling = script or Script()

    @participant.deadline(of="hotel.book", within=MINUTE)
    def hotel_is_late(event: TripRequested, ctx: Context) -> HotelLate:
        calling(ctx)
        return HotelLate(event.trip)

    return participant


def test_a_deadline_fires_at_its_time_and_not_before(rig: Rigs) -> None:
    """Counted from the record of the event that armed it; what it publishes is the step's outcome."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    assert rigged.due_in() == 60
    rigged.clock.advance(59.999)
    rigged.settle()
    assert rigged.published() == []
    rigged.clock.advance(0.001)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]
    envelope = read(rigged.records_of("clerk")[0])
    assert (envelope.step, envelope.outcome) == ("hotel.book", "timed_out")
    assert rigged.due_in() is None
    assert rigged.saga().failing == "hotel.book"


def test_a_deadline_is_exact_after_a_restart(rig: Rigs) -> None:
    """It is on the schedule, in the transaction that armed it; one that passed meanwhile fires at once."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.clock.advance(90)
    rigged.open()
    assert rigged.published() == [HotelLate("t")]
    rigged.restart()
    assert rigged.published() == [HotelLate("t")]


def test_an_outcome_that_came_while_the_watcher_was_away_comes_first(rig: Rigs) -> None:
    """What the log holds is read before anything that is due is done."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.append(HotelBooked("t"))
    rigged.clock.advance(90)
    rigged.open()
    assert rigged.published() == []
    assert rigged.due_in() is None


def test_an_outcome_a_failure_or_a_cancellation_of_the_whole_saga(rig: Rigs) -> None:
    """An outcome and a failure end a deadline; a cancellation alone doesn't: the step owes its outcome."""
    rigged = rig(clerk())
    for saga_id, event in (("booked", HotelBooked("t")), ("full", HotelFull("t", "sold out"))):
        rigged.feed(TripRequested("t"), event, saga_id=saga_id)
        assert rigged.due_in() is None
    rigged.feed(TripRequested("t"), TripCancelled("t"), saga_id="cancelled")
    assert rigged.due_in() == 60


def test_a_deadline_that_fails_is_tried_again_and_then_a_dead_letter(rig: Rigs) -> None:
    """It is a handler like others; nothing is published, and the saga waits for somebody to look."""
    script = Script([ConnectionError(), None])
    rigged = rig(clerk(script))
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(60)
    rigged.settle()
    assert (rigged.published(), rigged.due_in()) == ([], 1)
    rigged.clock.advance(1)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]
    assert [ctx.attempt for ctx in script.calls] == [1, 2]


def test_a_deadline_that_fails_for_good_is_a_dead_letter(rig: Rigs) -> None:
    """With the event that armed it."""
    rigged = rig(clerk(Script(last=Permanent("no"))))
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(60)
    rigged.settle()
    (letter,) = rigged.letters()
    assert (letter.task, letter.name, letter.event_type) == (
        "deadline",
        "clerk.hotel_is_late",
        "trip.TripRequested",
    )


def test_a_step_that_was_done_in_vain_is_undone_by_its_owner(rig: Rigs) -> None:
    """The timeout came first in the log: the success is void, and the work is compensated (R3)."""
    rigged = rig(flight())
    rigged.feed(TripRequested("t"))
    rigged.append(HotelBooked("t"))
    rigged.append(FlightLate("t"))
    rigged.settle()
    assert rigged.published()[-1] == FlightCancelled("t")
    assert rigged.state("flight.fly") == "compensated"
    assert not [entry for entry in rigged.history() if entry.event_type.endswith("FlightFull")]


def test_a_step_that_is_triggered_after_its_timeout_answers_as_compensated(rig: Rigs) -> None:
    """A failure would be void, and who did the work before it waits for an answer (R5)."""
    rigged = rig(flight())
    rigged.feed(TripRequested("t"), FlightLate("t"), HotelBooked("t"))
    assert rigged.published() == [FlightCancelled("t")]
    assert rigged.state("flight.fly") == "refused"
    assert FlightFull("t", "") not in rigged.published()


def test_deadlines_count_from_the_record_not_from_when_it_was_read(rig: Rigs) -> None:
    """A watcher that was away for half of the time has half of it left."""
    rigged = rig(clerk(), opened=False)
    rigged.append(TripRequested("t"))
    rigged.clock.advance(30)
    rigged.open()
    assert rigged.due_in() == 30
    assert rigged.store.next_due() == NOON + 60_000
    assert Partition("trip", 0) in rigged.store.positions()

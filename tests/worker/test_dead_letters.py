"""Dead letters that are settled: requeued, edited, discarded; by anybody, and carried out by the worker."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any, Literal

import pytest

from choreo import Aborted, Context, Participant, Permanent, Retry
from choreo.records import DeadLetter
from choreo.worker.dead_letters import settle
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.provider import BUSY, Hotel, Provider, asked, until
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, agency, flight, hotel, prepare, ticket
from tests.worker.test_deadlines import clerk
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    HotelLate,
    TripBooked,
    TripCancelled,
    TripRequested,
    trip,
)

NO = Permanent("no")


def open_letters(rigged: Rig) -> list[DeadLetter]:
    return [letter for letter in rigged.letters() if letter.state == "open"]


def ask(
    rigged: Rig, how: Literal["requeued", "discarded"] = "requeued", comment: str = "", edited: Any = None
) -> DeadLetter:
    """Settle the only open letter, as another process would, and let the worker react."""
    (letter,) = open_letters(rigged)
    with closing(open_store(rigged.path)) as store:
        if edited is not None:
            with store.turn():
                assert store.edit_dead_letter(letter.id, rigged.codec.encode(edited))
        assert settle(store, letter, how, comment, rigged.clock.now())
    rigged.settle()
    return letter


def test_a_requeued_compensation_runs_and_its_saga_goes_on(rig: Rigs) -> None:
    """Its letter stays, closed."""
    rigged = rig(hotel(cancel=Script([NO])))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    assert rigged.published() == [HotelBooked("t")]
    ask(rigged, comment="mended")
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]
    assert rigged.state("hotel.book") == "compensated"
    (letter,) = rigged.letters()
    assert (letter.state, letter.comment, letter.closed_at) == ("requeued", "mended", rigged.clock.now())


def test_what_was_asked_for_is_done_after_a_crash(rig: Rigs) -> None:
    """Asking is one transaction; the worker need not run."""
    rigged = rig(hotel(cancel=Script([NO])))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    (letter,) = rigged.letters()
    settle(rigged.store, letter, "requeued", "", rigged.clock.now())
    rigged.restart()
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]
    rigged.restart()
    assert rigged.effects() == ["action", "compensation"]


def test_of_two_who_settle_a_letter_one_does(rig: Rigs) -> None:
    """The other is told."""
    rigged = rig(hotel(cancel=Script([NO])))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    (letter,) = rigged.letters()
    assert settle(rigged.store, letter, "requeued", "", 1)
    assert not settle(rigged.store, letter, "discarded", "by hand", 2)
    rigged.restart()
    assert rigged.published()[1:] == [HotelCancelled("t")]


def test_what_fails_again_is_a_dead_letter_again(rig: Rigs) -> None:
    """With attempts of its own."""
    rigged = rig(ticket(Script([NO, BUSY, NO]), retry=Retry(delay=SECOND)))
    rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    ask(rigged)
    rigged.clock.advance(1)
    rigged.settle()
    (letter,) = open_letters(rigged)
    assert (letter.reason, letter.attempt) == ("gave-up", 2)
    ask(rigged)
    assert rigged.published() == [TripBooked("t")]


def test_a_requeue_counts_against_the_saga_of_today(rig: Rigs) -> None:
    """A step whose saga was cancelled meanwhile is refused, and answers."""
    book = Script()
    rigged = rig(hotel(book))
    rigged.feed(TripRequested("t"), body=b"rubbish")
    rigged.feed(TripCancelled("t"))
    ask(rigged, edited=TripRequested("t"))
    assert rigged.published() == [HotelFull("t", "the saga is aborted")]
    assert book.calls == []


def test_an_edited_event_is_what_the_handler_gets(rig: Rigs) -> None:
    """In a retry too; the saga log keeps what the log holds."""
    rigged = rig(hotel(Script([BUSY]), retry=Retry(attempts=2, delay=SECOND)))
    rigged.feed(TripRequested("t"), body=b"rubbish")
    ask(rigged, edited=TripRequested("mended"))
    rigged.clock.advance(1)
    rigged.restart()
    assert rigged.published() == [HotelBooked("mended")]
    requested = next(entry for entry in rigged.history() if entry.event_type == "trip.TripRequested")
    assert requested.payload == rigged.letters()[0].value == b"rubbish"


def test_an_edited_event_is_what_a_call_gets(rig: Rigs) -> None:
    """Outside of the transaction."""
    seen: list[str] = []
    participant = Participant("hotel", sagas=[trip])

    @participant.action(fails=HotelFull)
    async def book(event: TripRequested) -> HotelBooked:
        seen.append(event.trip)
        return HotelBooked(event.trip)

    @participant.compensation(of=book)
    def cancel(event: FlightFull | Aborted, booked: HotelBooked | None, ctx: Context) -> HotelCancelled:
        return HotelCancelled(ctx.saga_id)

    del cancel
    rigged = rig(participant)
    rigged.feed(TripRequested("t"), body=b"rubbish")
    ask(rigged, edited=TripRequested("mended"))
    until(rigged, lambda: rigged.published() == [HotelBooked("mended")])
    assert seen == ["mended"]


def test_an_answer_that_could_not_be_built_is_given_after_an_edit(rig: Rigs) -> None:
    """The failure that was owed all the time."""
    rigged = rig(hotel())
    rigged.feed(TripCancelled("t"))
    rigged.feed(TripRequested("t"), body=b"rubbish")
    ask(rigged)
    assert [letter.reason for letter in open_letters(rigged)] == ["unanswerable"]
    ask(rigged, edited=TripRequested("t"))
    assert rigged.published() == [HotelFull("t", "the saga is aborted")]
    assert open_letters(rigged) == []


def test_a_requeued_observer_sees_the_event(rig: Rigs) -> None:
    """After those that it has seen meanwhile."""
    rigged = rig(agency(Script([NO]), retry=Retry(attempts=1)))
    rigged.feed(HotelBooked("t"), FlightBooked("t"))
    ask(rigged)
    assert rigged.effects() == ["observer", "FlightBooked", "observer", "HotelBooked"]
    assert rigged.saga().observers == {}


def test_a_discarded_observer_has_skipped_its_event(rig: Rigs) -> None:
    """Which it had before."""
    rigged = rig(agency(Script([NO]), retry=Retry(attempts=1)))
    rigged.feed(HotelBooked("t"))
    ask(rigged, "discarded", "not worth it")
    rigged.feed(FlightBooked("t"))
    assert rigged.effects() == ["observer", "FlightBooked"]


def test_a_requeued_deadline_fires(rig: Rigs) -> None:
    """It is overdue."""
    rigged = rig(clerk(Script([NO])))
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(60)
    rigged.settle()
    assert rigged.published() == []
    ask(rigged)
    assert rigged.published() == [HotelLate("t")]


def test_a_discarded_compensation_was_done_by_hand(rig: Rigs) -> None:
    """Its event is published, with the reason, which stands in the saga log."""
    rigged = rig(hotel(cancel=Script([NO])))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    ask(rigged, "discarded", "called the hotel")
    assert rigged.published()[1:] == [HotelCancelled("t", "called the hotel")]
    assert rigged.effects() == ["action"]
    row = next(entry for entry in rigged.history() if entry.input == "discarded")
    assert (row.step, row.old_state, row.new_state) == ("hotel.book", "compensating", "compensated")
    assert row.note == "called the hotel"


def test_a_discarded_action_fails(rig: Rigs) -> None:
    """Whoever did the work before it waits for that."""
    rigged = rig(flight())
    rigged.feed(TripRequested("t"))
    rigged.feed(HotelBooked("t"), body=b"rubbish")
    ask(rigged, "discarded", "test data", edited=HotelBooked("t"))
    assert rigged.published() == [FlightFull("t", "test data")]


def test_a_retriable_step_can_not_be_discarded(rig: Rigs) -> None:
    """Nothing that it could say would be true: its letter is there again."""
    rigged = rig(ticket(Script([NO])))
    rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    ask(rigged, "discarded", "no")
    (letter,) = open_letters(rigged)
    assert letter.reason == "undiscardable"
    assert rigged.published() == []
    ask(rigged)
    assert rigged.published() == [TripBooked("t")]


def without_booking() -> Participant:
    """Make a release of the hotel that has forgotten its step."""
    participant = Participant("hotel", sagas=[trip], prepare=prepare)

    @participant.observer
    def look(event: TripBooked, ctx: Context) -> None: ...

    return participant


@pytest.mark.parametrize("how", ["requeued", "discarded"])
def test_a_step_whose_handler_was_gone_waits_until_it_is_back(
    rig: Rigs, how: Literal["requeued", "discarded"]
) -> None:
    """Requeued meanwhile, its letter opens again."""
    rigged = rig(hotel(Script([BUSY]), retry=Retry(attempts=9, delay=SECOND)))
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(1)
    rigged.participant = without_booking()
    rigged.options = replace(rigged.options, retire=("book",))
    rigged.restart()
    ask(rigged, "requeued", "mended")
    assert [letter.reason for letter in open_letters(rigged)] == ["retired"]
    rigged.participant = hotel()
    rigged.restart()
    ask(rigged, how, "by hand")
    published = {"requeued": HotelBooked("t"), "discarded": HotelFull("t", "by hand")}
    assert rigged.published() == [published[how]]
    assert open_letters(rigged) == []


def test_a_call_whose_compensation_was_requeued_is_made(rig: Rigs, make: Hotel) -> None:
    """Outside of the transaction, as it would have been."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, undo=undo, retry=Retry(attempts=1)))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    provider.answer(None)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])
    rigged.feed(FlightFull("t", "full"))
    asked(rigged, undo)
    undo.answer(ConnectionError("down"))
    until(rigged, lambda: len(open_letters(rigged)) == 1)
    ask(rigged)
    asked(rigged, undo, 2)
    undo.answer(None)
    until(rigged, lambda: rigged.published()[1:] == [HotelCancelled("s1")])


def test_a_join_whose_earlier_event_cannot_be_read_is_mended_by_that_event(rig: Rigs) -> None:
    """The letter is about the event that is spoiled, not about the one that came last; and so is the next."""
    seen: list[Any] = []
    participant = Participant("ticket", sagas=[trip], prepare=prepare)

    @participant.action(kind="retriable")
    def send(hotel: HotelBooked, flight: FlightBooked, ctx: Context) -> TripBooked:
        seen.append((hotel, flight))
        return TripBooked(hotel.trip)

    rigged = rig(participant)
    rigged.feed(TripRequested("t"))
    rigged.append(HotelBooked("t"), body=b"spoiled")
    rigged.append(FlightBooked("t"), body=b"spoiled")
    rigged.settle()
    first = ask(rigged, edited=HotelBooked("t", room=7))
    assert first.event_type == "trip.HotelBooked"
    second = ask(rigged, edited=FlightBooked("t"))
    assert second.event_type == "trip.FlightBooked"
    assert seen == [(HotelBooked("t", room=7), FlightBooked("t"))]
    assert open_letters(rigged) == []


def test_a_row_that_can_not_be_marked_is_buried_once(rig: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not done beside its letter."""
    script = Script([ConnectionError()])
    rigged = rig(hotel(script, retry=Retry(attempts=3, delay=SECOND)))
    rigged.feed(TripRequested("t"))
    rigged.clock.advance(1)

    def fail(row: Any) -> None:
        raise LookupError("the saga log has no event")

    monkeypatch.setattr(rigged.worker._processor, "mark", fail)
    rigged.worker._careful.begin(3)
    rigged.settle()
    (letter,) = rigged.letters()
    assert (letter.state, letter.reason) == ("open", "unworkable")
    assert len(script.calls) == 1

"""Handlers that run outside of the transaction: coroutines, and functions that block."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from choreo import Context, Participant, Permanent, Retry
from choreo.worker import Options
from tests.worker.conftest import Rigs
from tests.worker.provider import (
    BUSY,
    TWICE,
    Hotel,
    Provider,
    asked,
    blocking_hotel,
    hotel,
    quiet,
    undone,
    until,
)
from tests.worker.services import SECOND
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


def test_a_call_is_durable_before_it_starts_and_its_result_is_committed_later(rig: Rigs, make: Hotel) -> None:
    """Nothing is published while it is out; then the success, and the schedule is empty."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    assert rigged.state("hotel.book") == "executing"
    assert rigged.saga().step("hotel.book").activity == "running"
    assert rigged.store.next_due("out") is not None
    assert rigged.published() == []
    provider.answer(None)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])
    assert quiet(rigged)
    rows = [(e.input, e.old_state, e.new_state) for e in rigged.history() if e.input in ("begin", "ended")]
    assert rows == [("begin", "pending", "executing"), ("ended", "executing", "completed")]


def test_a_call_blocks_neither_other_sagas_nor_the_log(rig: Rigs, make: Hotel) -> None:
    """Others are called beside it, and events of its own saga are folded in their order."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"), saga_id="s1")
    asked(rigged, provider)
    rigged.feed(TripRequested("u"), saga_id="s2")
    asked(rigged, provider, 2)
    rigged.feed(TripCancelled("t"), saga_id="s1")
    assert rigged.saga("s1").cancelled
    provider.answer(None, None)
    until(rigged, lambda: bool(rigged.published("s1") and rigged.published("s2")))
    assert rigged.published("s1") == [HotelBooked("t")]


def test_no_more_calls_are_out_than_allowed(rig: Rigs, make: Hotel) -> None:
    """The others wait in the schedule, and have their turn in order."""
    provider = Provider()
    rigged = rig(make(provider), options=Options(idle_seconds=0.0, calls=2))
    for number in range(5):
        rigged.append(TripRequested("t"), f"s{number}")
    rigged.settle()
    asked(rigged, provider, 2)
    rigged.settle()
    assert len(provider.keys) == 2
    assert len(rigged.store.due(rigged.clock.now(), 9, "call")) == 3
    provider.answer(None)
    asked(rigged, provider, 3)
    provider.answer(None, None, None, None)
    until(rigged, lambda: all(rigged.published(f"s{number}") for number in range(5)))
    assert len(provider.keys) == len(set(provider.keys)) == 5


def test_after_a_crash_a_call_is_made_again_with_the_same_key(rig: Rigs, make: Hotel) -> None:
    """And there is one success event."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.restart()
    asked(rigged, provider, 2)
    assert len(set(provider.keys)) == 1
    provider.answer(None, None)
    until(rigged, lambda: bool(rigged.published()))
    rigged.settle()
    rigged.restart()
    assert rigged.published() == [HotelBooked("t")]
    assert len(provider.keys) == 2
    assert len(rigged.records_of("hotel")) == 1


def test_a_call_that_was_out_at_a_crash_is_undone_where_the_log_timed_it_out(rig: Rigs) -> None:
    """All that the log holds is folded first; the call is made again, as its effect must be known."""
    provider = Provider()
    rigged = rig(hotel(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.close()
    rigged.append(HotelLate("t"))
    provider.answer(None)
    rigged.open()
    until(rigged, lambda: bool(rigged.published()) and quiet(rigged))
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("s1", "with a booking")]


def test_a_step_that_waits_for_a_call_is_refused_at_the_abort(rig: Rigs) -> None:
    """It was never begun, so it answers, and is not called."""
    provider = Provider()
    rigged = rig(hotel(provider), opened=False)
    rigged.append(TripRequested("t"))
    rigged.append(TripCancelled("t"))
    rigged.open()
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "the saga is aborted")]
    assert provider.keys == []
    assert quiet(rigged)


def test_a_compensation_that_comes_while_a_call_is_out_waits_for_its_result(rig: Rigs, make: Hotel) -> None:
    """Then it undoes what the call did (R5)."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.feed(HotelLate("t"))
    assert rigged.published() == []
    provider.answer(None)
    until(rigged, lambda: len(rigged.published()) == 2)
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("s1", "with a booking")]


def test_a_compensation_may_be_a_call_too(rig: Rigs) -> None:
    """With a key of its own, called again after a crash."""
    provider, undo = Provider(), Provider()
    rigged = rig(hotel(provider, undo=undo))
    provider.answer(None)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: bool(rigged.published()))
    rigged.feed(FlightFull("t", "full"))
    asked(rigged, undo)
    rigged.restart()
    asked(rigged, undo, 2)
    undo.answer(None)
    until(rigged, lambda: quiet(rigged))
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("s1")]
    assert len({*undo.keys, *provider.keys}) == 2


def test_an_attempt_that_failed_is_repeated_after_its_pause(rig: Rigs, make: Hotel) -> None:
    """With the same key, and not before its time."""
    provider = Provider()
    rigged = rig(make(provider))
    provider.answer(BUSY)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: rigged.saga().step("hotel.book").activity == "waiting")
    rigged.clock.advance(9.999)
    rigged.settle()
    assert provider.attempts == [1]
    provider.answer(None)
    rigged.clock.advance(0.001)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])
    assert provider.attempts == [1, 2]
    assert len(set(provider.keys)) == 1


def test_exhausted_attempts_are_compensated_before_the_failure_is_published(rig: Rigs, make: Hotel) -> None:
    """They may have had effects; the compensation gets no result."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, retry=Retry(attempts=1), undo=undo))
    provider.answer(BUSY)
    rigged.feed(TripRequested("t"))
    asked(rigged, undo)
    assert rigged.published() == []
    assert rigged.state("hotel.book") == "compensating"
    undo.answer(None)
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "gave up after 1 attempts: ConnectionError")]
    rigged.settle()
    assert rigged.state("hotel.book") == "failed"
    rigged.restart()
    assert len(undo.keys) == 1


def test_an_attempt_that_leaves_nothing_behind_fails_at_once(rig: Rigs, make: Hotel) -> None:
    """With partial=False nothing is compensated."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, partial=False, undo=undo))
    provider.answer(Permanent("no rooms"))
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "no rooms")]
    assert undo.keys == []


def test_a_returned_failure_says_that_nothing_was_done(rig: Rigs, make: Hotel) -> None:
    """So nothing is compensated."""
    provider, undo = Provider(), Provider()
    provider.wrong = HotelFull("t", "sold out")
    rigged = rig(make(provider, undo=undo))
    provider.answer(None)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "sold out")]
    assert undo.keys == []


@pytest.mark.parametrize("wrong", [FlightBooked("t"), 5, HotelBooked("x" * 600_000)])
def test_what_is_not_declared_or_not_fit_is_refused_and_undone(rig: Rigs, make: Hotel, wrong: Any) -> None:
    """What the call did may stand in the world, whatever it returned."""
    provider = Provider()
    provider.wrong = wrong
    rigged = rig(make(provider))
    provider.answer(None)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: bool(rigged.published()))
    assert [type(event) for event in rigged.published()] == [HotelFull]
    assert rigged.published()[0].reason in ("UndeclaredEvent", "DeclarationError", "BodyError")
    moves = [(e.old_state, e.new_state) for e in rigged.history() if e.old_state != e.new_state]
    assert moves[-2:] == [("executing", "compensating"), ("compensating", "failed")]


def test_why_a_step_failed_survives_a_restart_during_its_compensation(rig: Rigs) -> None:
    """It stands in the saga log, with the attempt that was the last."""
    provider, undo = Provider(), Provider()
    rigged = rig(hotel(provider, retry=Retry(attempts=1), undo=undo))
    provider.answer(Permanent("no rooms"))
    rigged.feed(TripRequested("t"))
    asked(rigged, undo)
    rigged.restart()
    asked(rigged, undo, 2)
    undo.answer(None)
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "no rooms")]


def test_a_handler_may_move_into_the_transaction_with_a_new_release(rig: Rigs) -> None:
    """What was out, and what waited, is then done inside."""
    provider = Provider()
    rigged = rig(hotel(provider), options=Options(idle_seconds=0.0, calls=1))
    rigged.feed(TripRequested("t"), saga_id="s1")
    rigged.feed(TripRequested("u"), saga_id="s2")
    asked(rigged, provider)
    rigged.close()
    participant = Participant("hotel", sagas=[trip])

    @participant.action(fails=HotelFull, timeout=None)
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        return HotelBooked(event.trip)

    undone(participant, book, None)
    rigged.participant = participant
    rigged.open()
    assert (rigged.published("s1"), rigged.published("s2")) == ([HotelBooked("t")], [HotelBooked("u")])
    assert quiet(rigged)


def test_a_handler_may_move_out_of_the_transaction_with_a_new_release(rig: Rigs) -> None:
    """What backs off is then called outside."""
    provider = Provider()
    inside = Participant("hotel", sagas=[trip], retry=TWICE)

    @inside.action(fails=HotelFull, timeout=None)
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        raise BUSY

    undone(inside, book, None)
    rigged = rig(inside)
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.participant = hotel(provider)
    rigged.clock.advance(10)
    provider.answer(None)
    rigged.open()
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])
    assert provider.attempts == [2]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_nothing_that_a_call_raises_ends_the_worker(rig: Rigs, make: Hotel, error: BaseException) -> None:
    """It is an attempt that failed, like any other."""
    provider = Provider()
    rigged = rig(make(provider))
    provider.answer(error)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: rigged.saga().step("hotel.book").activity == "waiting")
    provider.answer(None)
    rigged.clock.advance(10)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])


def test_a_step_in_its_pause_is_not_tried_again_once_its_saga_is_aborted(rig: Rigs, make: Hotel) -> None:
    """The attempt may have had effects: they are undone, and then it answers."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, undo=undo))
    provider.answer(BUSY)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: rigged.saga().step("hotel.book").activity == "waiting")
    rigged.feed(TripCancelled("t"))
    undo.answer(None)
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "the saga is aborted")]
    assert (len(provider.keys), len(undo.keys)) == (1, 1)
    assert quiet(rigged)


def test_a_call_that_lasts_too_long_is_cut_undone_and_failed(rig: Rigs, make: Hotel) -> None:
    """Exactly after its time, counted from the trigger's record; what comes late is ignored."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, timeout=60 * SECOND, undo=undo))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.clock.advance(60)
    rigged.settle()
    assert rigged.state("hotel.book") == "executing"
    rigged.clock.advance(0.001)
    asked(rigged, undo)
    provider.answer(None)
    undo.answer(None)
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "timed out")]
    until(rigged, lambda: rigged.worker._calls.room("call") == 200)
    rigged.settle()
    assert rigged.published() == [HotelFull("t", "timed out")]
    assert quiet(rigged)


def test_a_coroutine_that_is_cut_is_cancelled(rig: Rigs) -> None:
    """So that it holds nothing any longer."""
    provider = Provider()
    rigged = rig(hotel(provider, timeout=SECOND))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.clock.advance(2)
    until(rigged, lambda: provider.ended == ["cancelled"])
    until(rigged, lambda: bool(rigged.published()))


def test_threads_that_were_cut_take_room_once_they_are_too_many(rig: Rigs) -> None:
    """A provider that hangs can't fill the process with threads."""
    provider = Provider()
    rigged = rig(blocking_hotel(provider, timeout=SECOND), options=Options(idle_seconds=0.0, calls=1))
    rigged.worker._calls._most_hanging = 0
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.clock.advance(2)
    until(rigged, lambda: bool(rigged.published()))
    rigged.feed(TripRequested("u"), saga_id="s2")
    assert len(provider.keys) == 1
    provider.answer(None, None)
    until(rigged, lambda: rigged.published("s2") == [HotelBooked("u")])


def test_a_call_whose_time_passed_while_the_service_was_down_is_undone(rig: Rigs) -> None:
    """It was out, so it may have had effects; it isn't made again."""
    provider, undo = Provider(), Provider()
    rigged = rig(hotel(provider, timeout=SECOND, undo=undo))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.close()
    rigged.clock.advance(2)
    undo.answer(None)
    rigged.open()
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "timed out")]
    assert (len(provider.keys), len(undo.keys)) == (1, 1)


def test_a_step_whose_time_passed_before_it_began_is_not_called(rig: Rigs, make: Hotel) -> None:
    """Nothing was done, so nothing is undone."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, timeout=SECOND, undo=undo), opened=False)
    rigged.append(TripRequested("t"))
    rigged.clock.advance(2)
    rigged.open()
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "timed out")]
    assert (provider.keys, undo.keys) == ([], [])


def test_a_pivot_that_is_out_is_never_cut(rig: Rigs) -> None:
    """It can't be undone: its timeout counts until it begins, even where a crash comes between."""
    provider = Provider()
    participant = Participant("flight", sagas=[trip])

    @participant.action(kind="pivot", fails=FlightFull, partial=False, timeout=SECOND)
    async def fly(event: HotelBooked, ctx: Context) -> FlightBooked:
        await provider.ask_async(ctx)
        return FlightBooked(event.trip)

    rigged = rig(participant)
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    asked(rigged, provider)
    rigged.clock.advance(2)
    rigged.restart()
    asked(rigged, provider, 2)
    provider.answer(None)
    until(rigged, lambda: rigged.published() == [FlightBooked("t")])


def test_a_retriable_call_is_made_until_it_succeeds(rig: Rigs) -> None:
    """Whatever its retry says."""
    provider = Provider()
    participant = Participant("ticket", sagas=[trip], retry=Retry(attempts=1, delay=SECOND))

    @participant.action(kind="retriable", blocking=True)
    def send(event: FlightBooked, ctx: Context) -> TripBooked:
        provider.ask(ctx)
        return TripBooked(event.trip)

    rigged = rig(participant)
    rigged.feed(TripRequested("t"), HotelBooked("t"), FlightBooked("t"))
    for attempt in (1, 2, 3):
        asked(rigged, provider, attempt)
        provider.answer(BUSY if attempt < 3 else None)
        until(rigged, lambda: rigged.saga().step("ticket.send").activity != "running")
        rigged.clock.advance(10)
    until(rigged, lambda: rigged.published() == [TripBooked("t")])


def test_the_database_is_refused_where_there_is_no_transaction(rig: Rigs) -> None:
    """Clearly, and for good: trying again is useless."""

    def reads(ctx: Context) -> None:
        ctx.db.execute("select 1")

    participant = Participant("hotel", sagas=[trip])

    @participant.action(fails=HotelFull)
    async def book(event: TripRequested, ctx: Context) -> HotelBooked:
        reads(ctx)
        return HotelBooked(event.trip)

    undone(participant, book, None)
    rigged = rig(participant)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: rigged.published() == [HotelFull("t", "TransactionControl")])


def test_a_stop_cancels_what_is_out_and_the_next_start_calls_it_again(rig: Rigs, make: Hotel) -> None:
    """With the same key; a thread can't be cancelled and is left alone."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.worker.stop()
    rigged.worker.run()
    assert provider.ended == (["cancelled"] if make is hotel else [])
    rigged.restart()
    asked(rigged, provider, 2)
    assert len(set(provider.keys)) == 1
    provider.answer(None, None)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])


def test_a_participant_without_calls_has_no_event_loop(rig: Rigs, make: Hotel) -> None:
    """Nor one that has made none yet."""
    before = threading.active_count()
    rigged = rig(make(Provider()))
    assert rigged.worker._calls._runner._coroutines is None
    assert threading.active_count() == before


def test_a_thousand_waiting_steps_wait_in_the_store(rig: Rigs) -> None:
    """The worker holds as many as may be called, and no more."""
    provider = Provider()
    rigged = rig(hotel(provider), options=Options(idle_seconds=0.0, calls=3, sagas_in_memory=10))
    for number in range(1000):
        rigged.append(TripRequested("t"), f"s{number}")
    rigged.settle()
    asked(rigged, provider, 3)
    assert len(rigged.worker._calls._out) == 3
    assert len(rigged.worker._uncommitted.backlog) == 0
    assert len(rigged.store.due(rigged.clock.now(), 2000, "call")) == 997
    provider.answer(*[None] * 1000)
    until(rigged, lambda: quiet(rigged))
    assert len(rigged.records_of("hotel")) == 1000


def test_steps_that_wait_a_second_each_wait_together(rig: Rigs) -> None:
    """200 sagas in under 5 seconds, on one participant."""
    participant = Participant("hotel", sagas=[trip])

    @participant.action(fails=HotelFull)
    async def book(event: TripRequested, ctx: Context) -> HotelBooked:
        await asyncio.sleep(1)  # the provider's time, not the test's
        return HotelBooked(event.trip)

    undone(participant, book, None)
    rigged = rig(participant)
    begun = time.monotonic()
    for number in range(200):
        rigged.append(TripRequested("t"), f"s{number}")
    until(rigged, lambda: len(rigged.records_of("hotel")) == 200)
    assert time.monotonic() - begun < 5

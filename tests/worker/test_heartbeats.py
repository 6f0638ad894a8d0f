"""``ctx.extend``: a long step that works says so, and gets more time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from choreo import Context, Participant
from tests.worker.conftest import Rigs
from tests.worker.provider import Hotel, Provider, asked, quiet, until
from tests.worker.services import SECOND
from tests.worker.trip import (
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripRequested,
    trip,
)


def test_a_call_that_asks_for_time_goes_on_until_then(rig: Rigs, make: Hotel) -> None:
    """Counted from when it asks; asking for less than there is takes nothing away."""
    provider, undo = Provider(), Provider()
    rigged = rig(make(provider, timeout=60 * SECOND, undo=undo))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.clock.advance(50)
    provider.contexts[0].extend(60 * SECOND)
    provider.contexts[0].extend(SECOND)
    rigged.settle()
    rigged.clock.advance(60)
    rigged.settle()
    assert rigged.state("hotel.book") == "executing"
    rigged.clock.advance(0.001)
    asked(rigged, undo)
    undo.answer(None)
    until(rigged, lambda: rigged.published() == [HotelFull("t", "timed out")])
    provider.answer(None)


def test_a_call_that_asks_at_the_last_moment_is_not_cut(rig: Rigs, make: Hotel) -> None:
    """What was asked in time holds, even where the worker hears of it late."""
    provider = Provider()
    rigged = rig(make(provider, timeout=60 * SECOND))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.clock.advance(60)
    provider.contexts[0].extend(60 * SECOND)
    rigged.clock.advance(30)
    rigged.settle()
    provider.answer(None)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])


def test_the_time_that_was_given_survives_a_crash(rig: Rigs, make: Hotel) -> None:
    """The call is made again although the step's own timeout has passed."""
    provider = Provider()
    rigged = rig(make(provider, timeout=60 * SECOND))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    provider.contexts[0].extend(600 * SECOND)
    rigged.settle()
    rigged.clock.advance(500)
    rigged.restart()
    asked(rigged, provider, 2)
    provider.answer(None, None)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])


def test_the_next_attempt_has_the_steps_own_time(rig: Rigs, make: Hotel) -> None:
    """More time is given to the attempt that asked for it."""
    provider = Provider()
    rigged = rig(make(provider, timeout=60 * SECOND))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    provider.contexts[0].extend(600 * SECOND)
    rigged.settle()
    rigged.clock.advance(500)
    provider.answer(ConnectionError("busy"))
    until(rigged, lambda: bool(rigged.published()))
    assert rigged.published() == [HotelFull("t", "timed out")]
    assert quiet(rigged)


def test_a_call_that_was_given_up_is_told(rig: Rigs, make: Hotel) -> None:
    """So that a function, which nobody can cancel, can end."""
    provider = Provider()
    rigged = rig(make(provider, timeout=SECOND))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    rigged.clock.advance(2)
    until(rigged, lambda: bool(rigged.published()))
    with pytest.raises(TimeoutError, match="given up"):
        provider.contexts[0].extend(SECOND)
    provider.answer(None)


def test_a_step_without_a_timeout_needs_no_more_time(rig: Rigs, make: Hotel) -> None:
    """Asking changes nothing."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider)
    provider.contexts[0].extend(SECOND)
    rigged.settle()
    rigged.clock.advance(60)
    rigged.settle()
    provider.answer(None)
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])


def test_a_handler_inside_the_transaction_can_not_ask(rig: Rigs) -> None:
    """A transaction must not last."""
    participant = Participant("hotel", sagas=[trip])

    @participant.action(fails=HotelFull)
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        ctx.extend(timedelta(seconds=1))
        return HotelBooked(event.trip)

    @participant.compensation(of=book)
    def cancel(event: FlightFull, booked: HotelBooked) -> HotelCancelled:
        return HotelCancelled(booked.trip)

    rigged = rig(participant)
    rigged.feed(TripRequested("t"))
    assert rigged.published() == [HotelFull("t", "TransactionControl")]

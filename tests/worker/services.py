"""The participants of the trip, made anew for each test, with handlers that do as a script says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from choreo import Aborted, Context, Participant, Retry
from tests.worker.trip import (
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripFailed,
    TripRequested,
    trip,
)

SECOND = timedelta(seconds=1)


class Script:
    """What a handler does at each call: an exception is raised, anything else lets it go on.

    ``calls`` are the contexts that it was called with; when the script is over, ``last`` repeats.
    """

    def __init__(self, steps: Iterable[BaseException | None] = (), last: BaseException | None = None) -> None:
        self._steps = list(steps)
        self._last = last
        self.calls: list[Context] = []

    def __call__(self, ctx: Context) -> None:
        self.calls.append(ctx)
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, ctx.task])
        error = self._steps.pop(0) if self._steps else self._last
        if error is not None:
            raise error


def prepare(db: Any) -> None:
    """Make the table in which every handler leaves a trace."""
    db.execute("create table if not exists effects (saga_id text, what text)")


def hotel(
    book: Script | None = None,
    cancel: Script | None = None,
    *,
    retry: Retry | None = None,
    timeout: timedelta | None = None,
    ignore: tuple[type[BaseException], ...] = (),
    answer: Callable[..., Any] | None = None,
) -> Participant:
    """Make the participant that does the first step, and undoes it when the flight fails."""
    participant = Participant("hotel", sagas=[trip], prepare=prepare, retry=retry)
    booking, cancelling = book or Script(), cancel or Script()

    def book_(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        booking(ctx)
        return HotelBooked(event.trip)

    def cancel_(event: FlightFull | FlightCancelled, booked: HotelBooked, ctx: Context) -> HotelCancelled:
        cancelling(ctx)
        return HotelCancelled(booked.trip)

    book_.__name__, cancel_.__name__ = "book", "cancel"
    participant.action(fails=HotelFull, timeout=timeout, answer=answer)(book_)
    participant.compensation(of=book_, ignore=ignore)(cancel_)
    return participant


def flight(fly: Script | None = None) -> Participant:
    """Make the participant whose step is a leaf: a ticket's failure is impossible."""
    participant = Participant("flight", sagas=[trip], prepare=prepare)
    flying = fly or Script()

    def fly_(event: HotelBooked, ctx: Context) -> FlightBooked:
        flying(ctx)
        return FlightBooked(event.trip)

    fly_.__name__ = "fly"
    participant.action(fails=FlightFull, timeout=None)(fly_)

    @participant.compensation(of=fly_)
    def land(event: Aborted, booked: FlightBooked, ctx: Context) -> FlightCancelled:
        return FlightCancelled(booked.trip)

    return participant


def ticket(send: Script | None = None, retry: Retry | None = None) -> Participant:
    """Make the participant whose step can't fail, and ends the saga."""
    participant = Participant("ticket", sagas=[trip], prepare=prepare, retry=retry)
    sending = send or Script()

    def send_(event: FlightBooked, ctx: Context) -> TripBooked:
        sending(ctx)
        return TripBooked(event.trip)

    send_.__name__ = "send"
    participant.action(kind="retriable")(send_)
    return participant


def agency(look: Script | None = None, retry: Retry | None = None) -> Participant:
    """Make the participant that starts trips, ends those that fail, and looks at what happens."""
    participant = Participant("agency", sagas=[trip], prepare=prepare, retry=retry)
    looking = look or Script()

    @participant.compensation(of=trip.start)
    def fail_trip(event: HotelFull | HotelCancelled, requested: TripRequested, ctx: Context) -> TripFailed:
        return TripFailed(requested.trip, event.reason)

    def look_(event: HotelBooked | FlightBooked | TripBooked | FlightFull, ctx: Context) -> None:
        looking(ctx)
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, type(event).__name__])

    look_.__name__ = "look"
    participant.observer(look_)
    return participant

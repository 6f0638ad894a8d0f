"""Facts stay facts (R9): a release that calls or compensates otherwise changes nothing that was done."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import product

import pytest

from choreo import Aborted, Context, Participant
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import prepare
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripCancelled,
    TripRequested,
    trip,
)

TRIGGERS = (TripRequested, FlightBooked, TripRequested | FlightBooked)
CALLS = (Aborted, FlightFull | Aborted)


def release(trigger: object, call: object, kind: str) -> Participant:
    """Return the hotel as one release declares it."""
    participant = Participant("hotel", sagas=[trip], prepare=prepare)

    def book(event, ctx: Context) -> HotelBooked | HotelFull:  # type: ignore[no-untyped-def]
        ctx.db.execute("insert into effects values (?, 'action')", [ctx.saga_id])
        return HotelBooked(event.trip)

    def cancel(event, booked: HotelBooked, ctx: Context) -> HotelCancelled:  # type: ignore[no-untyped-def]
        ctx.db.execute("insert into effects values (?, 'compensation')", [ctx.saga_id])
        return HotelCancelled(booked.trip)

    book.__annotations__["event"], cancel.__annotations__["event"] = trigger, call
    participant.action(fails=HotelFull, kind=kind, timeout=timedelta(hours=1))(book)  # type: ignore[arg-type]
    participant.compensation(of=book)(cancel)
    participant.observer(_look)
    return participant


def _look(event: TripRequested | FlightBooked, ctx: Context) -> None:
    """Keep the bodies of both, from which the runtime builds answers, in every release."""


def opened(rig: Rig, participant: Participant) -> None:
    """Release the participant: the worker of before ends, this one starts."""
    rig.close()
    rig.participant = participant
    rig.open()


RELEASES = [(trigger, call, "compensatable") for trigger, call in product(TRIGGERS, CALLS)]
FEEDS = (
    (TripRequested("t"),),
    (TripRequested("t"), FlightBooked("t")),
    (TripRequested("t"), FlightFull("t", "full")),
    (TripRequested("t"), TripCancelled("t")),
)
AFTER = ((FlightBooked("t"),), (FlightFull("t", "full"),), (TripCancelled("t"), FlightFull("t", "full")))

CASES = list(product(RELEASES[::2], RELEASES, FEEDS, AFTER, (False, True)))
if not os.environ.get("CHOREO_FUZZ"):
    CASES = CASES[::7]


@pytest.mark.parametrize(("old", "new", "before", "after", "crashed"), CASES)
def test_no_release_repeats_an_effect_or_stops(  # type: ignore[no-untyped-def]
    rig: Rigs, old, new, before, after, crashed: bool
) -> None:
    """A booking is made once and cancelled once at most, and no saga is in quarantine for it."""
    shop = rig(release(*old))
    for event in before:
        shop.append(event)
    if crashed:
        shop.worker.turn()
    else:
        shop.settle()
    state = shop.state("hotel.book")
    opened(shop, release(*new))
    assert (shop.state("hotel.book") == state) or crashed
    known = {type(event) for event in before}
    for event in after:
        if type(event) not in known:
            shop.feed(event)
    opened(shop, release(*new))
    effects = shop.effects()
    assert len(set(effects)) == len(effects)
    assert shop.letters() == []

"""An event that somebody else wrote in a participant's name puts its saga in quarantine, and nothing else."""

from __future__ import annotations

import os
from itertools import product

import pytest

from choreo.protocol.decisions import FOREIGN_OUTCOME
from choreo.worker.dead_letters import settle
from tests import stores
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import Script, agency, flight, hotel, ticket
from tests.worker.trip import (
    STEPS,
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
)

REQUESTED = TripRequested("t")
PARTICIPANTS = {"agency": agency, "hotel": hotel, "flight": flight, "ticket": ticket}
FORGED = {
    "agency": (REQUESTED, TripFailed("t", "forged")),
    "hotel": (HotelBooked("forged"), HotelFull("t", "forged"), HotelCancelled("forged")),
    "flight": (FlightBooked("forged"), FlightFull("t", "forged"), FlightCancelled("forged")),
    "ticket": (TripBooked("forged"),),
}
PATHS = (
    (),
    (REQUESTED,),
    (REQUESTED, HotelBooked("t")),
    (REQUESTED, HotelBooked("t"), FlightBooked("t")),
    (REQUESTED, HotelBooked("t"), FlightFull("t", "full")),
    (REQUESTED, TripCancelled("t")),
)
CASES = [
    (name, event, path) for name in PARTICIPANTS for event, path in product(FORGED[name], range(len(PATHS)))
]


def publish(rig: Rig, saga_id: str, *events: object) -> None:
    """Publish the events of others; the participant's own ones are up to itself."""
    for event in events:
        if STEPS[type(event)][0] != rig.participant.name:
            rig.feed(event, saga_id=saga_id)
        elif event is REQUESTED:
            with rig.participant.transaction() as tx:
                tx.start(event, saga_id=saga_id)
            rig.settle()


def whole(rig: Rig, saga_id: str) -> None:
    """Run a saga to its end, and see that the participant did its part, with no dead letter."""
    publish(rig, saga_id, REQUESTED, HotelBooked("t"), FlightBooked("t"), TripBooked("t"))
    assert rig.saga(saga_id).end == "completed"
    assert not [letter for letter in rig.letters() if letter.saga_id == saga_id]


@pytest.mark.parametrize(("name", "event", "path"), CASES)
def test_a_forged_outcome_harms_no_other_saga_and_no_later_start(
    rig: Rigs, name: str, event: object, path: int
) -> None:
    """Whatever outcome of whatever step, at whatever moment of a saga, or in one that never was."""
    shop = rig(PARTICIPANTS[name]())
    publish(shop, "bad", *PATHS[path])
    own = shop.published("bad")
    shop.append(event, "bad", id="forged")
    whole(shop, "good-1")
    letters = [letter.reason for letter in shop.letters()]
    assert set(letters) <= {FOREIGN_OUTCOME}
    assert bool(letters) == bool(shop.saga("bad").unowned)
    shop.restart()
    whole(shop, "good-2")
    assert [letter.reason for letter in shop.letters()] == letters
    assert len(shop.published("bad")) == len(own) + 1  # the forged one


@pytest.mark.parametrize("how", ["requeued", "discarded"])
@pytest.mark.parametrize(("name", "event", "path"), CASES if os.environ.get("CHOREO_FUZZ") else CASES[::3])
def test_an_operator_says_whether_it_counts(rig: Rigs, name: str, event: object, path: int, how: str) -> None:
    """Requeued, it is the participant's own, and what it calls for is done; discarded, nothing is done."""
    shop = rig(PARTICIPANTS[name]())
    publish(shop, "bad", *PATHS[path])
    shop.append(event, "bad", id="forged")
    shop.settle()
    before = shop.effects("bad")
    for letter in shop.letters():
        settle(shop.store, letter, how, "", shop.clock.now())  # type: ignore[arg-type]
    shop.settle()
    shop.restart()
    effects = [what for what in shop.effects("bad") if what in ("action", "compensation")]
    assert len(set(effects)) == len(effects)
    if how == "discarded":
        assert shop.effects("bad") == before
    else:
        assert not shop.saga("bad").unowned
    whole(shop, "good")


def test_an_adopted_booking_is_not_done_again_and_is_undone(rig: Rigs) -> None:
    """A store that is restored from a backup does not know what it did."""
    booking = Script()
    shop = rig(hotel(booking))
    shop.close()
    backup = shop.path.with_suffix(".backup")
    stores.copy(shop.path, backup)
    shop.open()
    shop.feed(REQUESTED)
    assert len(booking.calls) == 1
    shop.close()
    stores.remove(shop.path)
    stores.copy(backup, shop.path)
    shop.open()
    shop.feed(FlightFull("t", "full"))
    (letter,) = shop.letters()
    assert (letter.reason, letter.task, letter.name) == (FOREIGN_OUTCOME, "outcome", "hotel.book")
    assert shop.published() == [HotelBooked("t")]
    settle(shop.store, letter, "requeued", "restored", shop.clock.now())
    shop.restart()
    assert (len(booking.calls), shop.published()) == (1, [HotelBooked("t"), HotelCancelled("t")])


def test_a_deleted_store_does_nothing_again(rig: Rigs) -> None:
    """All that the topic holds is in quarantine, and a new saga is served."""
    booking = Script()
    shop = rig(hotel(booking))
    shop.feed(REQUESTED)
    shop.close()
    stores.remove(shop.path)
    shop.open()
    assert ([each.reason for each in shop.letters()], len(booking.calls)) == ([FOREIGN_OUTCOME], 1)
    shop.feed(REQUESTED, saga_id="s2")
    assert len(booking.calls) == 2


@pytest.mark.parametrize("event", [event for events in FORGED.values() for event in events])
def test_an_outcome_from_who_does_not_own_the_step_is_refused_by_everybody(rig: Rigs, event: object) -> None:
    """Its record is a dead letter, and the saga goes on without it; a start is for any client."""
    for name, make in PARTICIPANTS.items():
        shop = rig(make())
        shop.append(event, "bad", id="forged", source="stranger")
        shop.settle()
        reasons = [letter.reason for letter in shop.letters()]
        owned = STEPS[type(event)][1] not in ("start",)
        assert reasons == (["unreadable-headers"] if owned else []), name
        whole(shop, "bad" if owned else "good")
        shop.close()


def test_a_start_by_another_client_is_served(rig: Rigs) -> None:
    """Who takes part by the wire alone may start a saga; its owner ends it when it fails."""
    shop = rig(agency())
    shop.feed(REQUESTED, source="partner")
    shop.feed(HotelFull("t", "full"))
    assert (shop.letters(), shop.published()) == ([], [TripFailed("t", "full")])

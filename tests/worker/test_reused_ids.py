"""A record with the id of another event of its saga: it can't make the real one vanish."""

from __future__ import annotations

from typing import Literal

import pytest

from choreo.protocol.decisions import REUSED_ID
from choreo.worker.dead_letters import settle
from tests.worker.conftest import Rigs
from tests.worker.rig import envelope_of
from tests.worker.services import flight
from tests.worker.trip import FlightBooked, HotelBooked, TripFailed, TripRequested

BOOKED = HotelBooked("t")
FORGED = {"source": "nobody", "step": "nobody.says", "type": "trip.Rumour"}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("how", ["requeued", "discarded"])
def test_the_saga_goes_on_and_a_letter_says_so(
    rig: Rigs, is_first: bool, how: Literal["requeued", "discarded"]
) -> None:
    """Also after a restart, and if it comes again and again; settling the letter only closes it."""
    rigged = rig(flight())
    identity = envelope_of(BOOKED, "s1", 0).id
    rigged.feed(TripRequested("t"))
    if is_first:
        rigged.feed(BOOKED, id=identity, **FORGED)
    rigged.feed(BOOKED)
    if not is_first:
        rigged.feed(BOOKED, id=identity, **FORGED)
    assert rigged.published() == [FlightBooked("t")]
    rigged.restart()
    rigged.feed(BOOKED, id=identity, **FORGED)
    rigged.feed(BOOKED)
    (letter,) = rigged.letters()
    assert (letter.saga_id, letter.saga_type, letter.reason) == ("s1", "trip", REUSED_ID)
    assert settle(rigged.store, letter, how, "seen", rigged.clock.now())
    rigged.settle()
    assert [(each.reason, each.state) for each in rigged.letters()] == [(REUSED_ID, how)]
    rigged.feed(TripFailed("t", "no"))
    assert rigged.published() == [FlightBooked("t")]


def test_the_same_id_in_another_saga_is_none_of_this_one_s(rig: Rigs) -> None:
    rigged = rig(flight())
    identity = envelope_of(BOOKED, "s1", 0).id
    rigged.feed(BOOKED, id=identity, saga_id="s2", **FORGED)
    rigged.feed(TripRequested("t"), BOOKED)
    assert rigged.published() == [FlightBooked("t")]
    assert not rigged.letters()

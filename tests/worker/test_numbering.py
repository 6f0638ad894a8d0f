"""Attempts have the same number everywhere, the first is 1; and what waits for a schema was no attempt."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from choreo import Participant, Permanent, Retry, Saga
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import timeline_of
from tests.worker.conftest import Rigs
from tests.worker.provider import Provider
from tests.worker.provider import hotel as calling_hotel
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, agency, hotel, ticket
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
)

BUSY = ConnectionError("busy")
GONE = Permanent("gone")
UNREADABLE = b"\xc3\x01unknown!xx"


def _through(rigged: Rig) -> None:
    while (pause := rigged.due_in()) is not None:
        rigged.clock.advance(pause)
        rigged.settle()


def _told(rigged: Rig, step: str) -> list[int]:
    """Return the numbers of the failed attempts that `choreo trace` tells."""
    view = ParticipantView(rigged.participant.name, rigged.history(), (), tuple(rigged.letters()))
    timeline = timeline_of([view], rigged.clock.now())
    return [each.attempt for each in timeline.moments if each.what == "retrying" and each.step == step]


def _compensates(script: Script) -> tuple[Participant, list[Any], str]:
    return (
        hotel(cancel=script, retry=Retry(attempts=3)),
        [TripRequested("t"), FlightFull("t", "")],
        "hotel.book",
    )


def _observes(script: Script) -> tuple[Participant, list[Any], str]:
    return agency(script, Retry(attempts=3)), [HotelBooked("t")], "agency.look"


def _is_retriable(script: Script) -> tuple[Participant, list[Any], str]:
    return ticket(script), [TripRequested("t"), FlightBooked("t")], "ticket.send"


@pytest.mark.parametrize("made", [_compensates, _observes, _is_retriable])
@pytest.mark.parametrize("errors", [*itertools.product([BUSY, GONE, None], repeat=2)])
def test_attempts_are_numbered_alike(rig: Rigs, made: Any, errors: tuple[Any, ...]) -> None:
    """In the handler, in the saga log's story, and in a dead letter; anew once that is requeued."""
    script = Script(errors)
    participant, events, step = made(script)
    rigged = rig(participant)
    rigged.feed(*events)
    _through(rigged)
    made_so_far = [ctx.attempt for ctx in script.calls]
    assert made_so_far == [*range(1, len(made_so_far) + 1)]
    failed = list(itertools.takewhile(lambda error: error is BUSY, errors))
    assert _told(rigged, step) == [*range(1, len(failed) + 1)]
    for letter in rigged.letters():
        assert letter.attempt == len(made_so_far)


def test_a_wait_for_a_schema_is_no_attempt(rig: Rigs) -> None:
    """Nothing was done, so an abort compensates nothing; and a letter counts no attempts."""
    provider, undo = Provider(), Provider()
    rigged = rig(calling_hotel(provider, undo=undo))
    rigged.append(TripRequested("t"), body=UNREADABLE)
    rigged.settle()
    assert rigged.saga().step("hotel.book").attempt == 0
    assert _told(rigged, "hotel.book") == [0]
    rigged.feed(TripCancelled("t"))
    assert (provider.keys, undo.keys) == ([], [])
    assert rigged.state("hotel.book") == "refused"


@pytest.mark.parametrize("known", [1, 2, 3])
@pytest.mark.parametrize("is_aborted", [False, True])
def test_letters_of_an_unknown_version_go_on_when_it_is_there(
    rig: Rigs, known: int, is_aborted: bool
) -> None:
    """By themselves, at the first start of a release that knows it; an aborted saga is not acted on."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"), saga_version=2)
    if is_aborted:
        rigged.feed(TripCancelled("t"), saga_version=2)
    assert [letter.reason for letter in rigged.letters()] == ["unknown-version"]
    rigged.close()
    newer = Saga(
        "trip",
        starts=TripRequested,
        completes=TripBooked,
        fails=TripFailed,
        aborts=TripCancelled,
        version=known,
    )
    rigged.participant = Participant("hotel", sagas=[newer], retry=Retry(delay=SECOND))

    @rigged.participant.action(fails=HotelFull)
    def book(event: TripRequested) -> HotelBooked:
        return HotelBooked(event.trip)

    @rigged.participant.compensation(of=book)
    def cancel(event: FlightFull, booked: HotelBooked) -> HotelCancelled:
        return HotelCancelled(booked.trip)

    rigged.open()
    (letter,) = rigged.letters()
    if known < 2:
        assert (letter.state, rigged.published()) == ("open", [])
        return
    assert (letter.state, letter.comment) == ("requeued", f"version {known} is known now")
    answer = HotelFull("t", "the saga is aborted") if is_aborted else HotelBooked("t")
    assert rigged.published() == [answer]
    rigged.restart()
    assert len(rigged.letters()) == 1

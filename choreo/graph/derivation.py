"""Telling participants what calls their compensations that name no event."""

from __future__ import annotations

from collections.abc import Iterable

from choreo.errors import ManifestError
from choreo.graph.choreography import choreography_of
from choreo.graph.lock import Lock, lock_of
from choreo.graph.reverse_edges import trigger_of
from choreo.manifest import manifest_of
from choreo.participant import Participant


def derive(participants: Iterable[Participant]) -> None:
    """Let participants of one process, all that take part in their sagas, tell each other.

    >>> from examples.travel import agency, car, flight, hotel
    >>> derive([agency.agency, car.car, flight.flight, hotel.hotel])
    >>> hotel.hotel.roles()["trip-booking"].action["hotel.book_room"].compensations[0].trigger.types
    frozenset({'travel.TripNotPaid'})
    """
    everybody = tuple(participants)
    if any(each.is_derived for each in everybody):
        lock = lock_of(choreography_of(manifest_of(each, {}) for each in everybody))
        for each in everybody:
            derive_from(lock, each)


def derive_from(lock: Lock, participant: Participant) -> None:
    """Tell a participant what the lock says.

    Raises `ManifestError` when the participant declares something else than what was locked: what calls a
    compensation may be another then.
    """
    if lock.is_stale(manifest_of(participant, {})):
        known = "has changed since the choreography was locked"
        raise ManifestError(
            f"{participant.name} {known if participant.name in lock.participants else 'is not in the lock'}",
            hint="choreo verify --lock, and commit choreography.json",
        )
    for saga in lock.sagas:
        participant.derive(
            saga.contract.name,
            {
                step: {success: trigger_of(slots) for success, slots in edges.items()}
                for step, edges in saga.edges.items()
            },
        )

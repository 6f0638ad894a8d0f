"""``Lock``: the trigger of each compensation, derived from the whole choreography and committed as a file.

A participant whose compensations name no event takes their triggers from the lock, as long as its
declarations are those that were locked; `derive` does the same without a file for participants of one
process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from choreo.errors import ManifestError
from choreo.graph.choreography import Choreography, choreography_of
from choreo.graph.reverse_edges import Slots, reverse_edges, trigger_of
from choreo.graph.saga_graph import SagaGraph
from choreo.manifest import (
    Document,
    Fields,
    Manifest,
    SagaEntry,
    bounds_of,
    digest_of,
    manifest_of,
    saga_from,
    versions_from,
)
from choreo.participant import Participant
from choreo.saga import ALL_VERSIONS, Versions


@dataclass(frozen=True)
class LockedSaga:
    """One saga of the lock, in some of its versions: its contract, and the reverse edges of each undone step.

    ``edges`` are by step and success event, as `choreo.graph.reverse_edges` returns them.
    """

    contract: SagaEntry
    participants: tuple[str, ...]
    edges: Mapping[str, Mapping[str, Slots]] = field(default_factory=dict)
    versions: Versions = ALL_VERSIONS


@dataclass(frozen=True)
class Lock:
    """The choreography's lock. ``participants`` has the digest of each one's declarations.

    ``former``: it was read from the format of before, whose digests are others.
    """

    participants: Mapping[str, str]
    sagas: tuple[LockedSaga, ...]
    choreo: str = ""
    former: bool = False

    def edges(self, saga: str, step: str, version: int | None = None) -> Mapping[str, Slots] | None:
        """Return the slots that call a step's compensation, by success event; None for an unknown step.

        They are those of a version of the saga, by default of its newest.
        """
        of_saga = (each for each in self.sagas if each.contract.name == saga)
        found = (each for each in of_saga if each.versions.includes(version or each.contract.version))
        return next((each.edges.get(step) for each in found), None)

    def is_stale(self, manifest: Manifest) -> bool:
        """Whether a participant's declarations differ from the locked ones, or are not in the lock."""
        return self.participants.get(manifest.participant) != digest_of(manifest, former=self.former)


def lock_of(choreography: Choreography, choreo: str = "") -> Lock:
    """Return the lock of a choreography; ``choreo`` is the version that writes it."""
    return Lock(
        {manifest.participant: digest_of(manifest) for manifest in choreography.manifests},
        tuple(_locked(graph) for graph in choreography.graphs),
        choreo,
    )


def _locked(graph: SagaGraph) -> LockedSaga:
    undone = sorted(step.name for step in graph.steps.values() if step.is_undone)
    return LockedSaga(
        graph.contract,
        graph.participants,
        {step: reverse_edges(graph, step) for step in undone},
        graph.versions,
    )


DOCUMENT = Document("a choreography's lock", 3, "write it anew: choreo verify --lock", least=2)
"""Only the newest format has versions of a saga."""


def write_lock(lock: Lock) -> str:
    """Return a lock as JSON text, which is the same for the same choreography."""
    return DOCUMENT.write(
        {
            "choreo": lock.choreo,
            "participants": dict(lock.participants),
            "sagas": [_plain(saga) for saga in lock.sagas],
        },
        is_newest=any(saga.versions != ALL_VERSIONS for saga in lock.sagas),
    )


def read_lock(content: bytes | str, where: str) -> Lock:
    """Return the lock in a text; ``where`` is its place, for error messages.

    Raises `ManifestError` when it is too large, not JSON, of a newer format, was changed by hand or merged,
    or is no lock.
    """
    fields = DOCUMENT.read(content, where)
    return Lock(
        fields.texts_by_name("participants"),
        tuple(_saga(each) for each in fields.each("sagas")),
        fields.text("choreo"),
        fields.count("format") < DOCUMENT.least,
    )


def _plain(saga: LockedSaga) -> dict[str, Any]:
    return {
        "contract": dict(vars(saga.contract)),
        "participants": list(saga.participants),
        "edges": {
            step: {success: [sorted(slot) for slot in slots] for success, slots in edges.items()}
            for step, edges in saga.edges.items()
        },
        **bounds_of(saga.versions),
    }


def _saga(given: Fields) -> LockedSaga:
    return LockedSaga(
        saga_from(given.within("contract")),
        given.texts("participants"),
        {step: _edges(edges) for step, edges in given.named("edges").items()},
        versions_from(given),
    )


def _edges(given: Fields) -> dict[str, Slots]:
    return {success: given.sets(success) for success in given.names()}


def derive(participants: Iterable[Participant]) -> None:
    """Derive the triggers of compensations that name no event, from all participants of their sagas.

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
    """Set the triggers of a participant's compensations that name no event to those of the lock.

    Raises `ManifestError` when the participant's declarations differ from the locked ones, since the
    triggers may differ too.
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
            saga.versions,
        )

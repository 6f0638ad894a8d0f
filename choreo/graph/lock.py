"""``Lock``: what was resolved from the whole choreography, for participants that are deployed one by one.

Each repository commits it. A participant whose compensations name no event takes their triggers from here,
and may only where what it declares is still what was locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from choreo.graph.choreography import Choreography
from choreo.graph.reverse_edges import Slots, reverse_edges
from choreo.graph.saga_graph import SagaGraph
from choreo.manifest import Document, Fields, Manifest, SagaEntry, digest_of, saga_from


@dataclass(frozen=True)
class LockedSaga:
    """One saga of the lock: its contract, and the reverse edges of each step that is undone.

    ``edges`` are by step and success event, as `choreo.graph.reverse_edges` gives them.
    """

    contract: SagaEntry
    participants: tuple[str, ...]
    edges: Mapping[str, Mapping[str, Slots]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lock:
    """The choreography's lock. ``participants`` are the digests of what each declares."""

    participants: Mapping[str, str]
    sagas: tuple[LockedSaga, ...]
    choreo: str = ""

    def edges(self, saga: str, step: str) -> Mapping[str, Slots] | None:
        """Give what calls a step's compensation, by success event; None for a step that it doesn't know."""
        found = (each for each in self.sagas if each.contract.name == saga)
        return next((each.edges.get(step) for each in found), None)

    def is_stale(self, manifest: Manifest) -> bool:
        """Say whether a participant declares something else than what was locked, or was not there."""
        return self.participants.get(manifest.participant) != digest_of(manifest)


def lock_of(choreography: Choreography, choreo: str = "") -> Lock:
    """Lock a choreography; ``choreo`` is the version that does it."""
    return Lock(
        {manifest.participant: digest_of(manifest) for manifest in choreography.manifests},
        tuple(_locked(graph) for graph in choreography.sagas),
        choreo,
    )


def _locked(graph: SagaGraph) -> LockedSaga:
    undone = sorted(step.name for step in graph.steps.values() if step.is_undone)
    return LockedSaga(
        graph.contract, graph.participants, {step: reverse_edges(graph, step) for step in undone}
    )


DOCUMENT = Document("a choreography's lock", 1, "write it anew: choreo verify --lock")


def write_lock(lock: Lock) -> str:
    """Give a lock as JSON text: the same choreography always gives the same text."""
    return DOCUMENT.written(
        {
            "choreo": lock.choreo,
            "participants": dict(lock.participants),
            "sagas": [_plain(saga) for saga in lock.sagas],
        }
    )


def read_lock(content: bytes | str, where: str) -> Lock:
    """Read a lock's text; ``where`` it was found stands in every message.

    Raises `ManifestError` when it is too large, not JSON, of a newer format, was changed by hand or merged,
    or is no lock.
    """
    fields = DOCUMENT.opened(content, where)
    return Lock(
        fields.texts_by_name("participants"),
        tuple(_saga(each) for each in fields.each("sagas")),
        fields.text("choreo"),
    )


def _plain(saga: LockedSaga) -> dict[str, Any]:
    return {
        "contract": dict(vars(saga.contract)),
        "participants": list(saga.participants),
        "edges": {
            step: {success: [sorted(slot) for slot in slots] for success, slots in edges.items()}
            for step, edges in saga.edges.items()
        },
    }


def _saga(given: Fields) -> LockedSaga:
    return LockedSaga(
        saga_from(given.within("contract")),
        given.texts("participants"),
        {step: _edges(edges) for step, edges in given.named("edges").items()},
    )


def _edges(given: Fields) -> dict[str, Slots]:
    return {success: given.sets(success) for success in given.names()}

"""Locks as text: deterministic JSON with a hash, and read without trust."""

from __future__ import annotations

from typing import Any

from choreo.choreography.lock import Lock, LockedSaga
from choreo.choreography.reverse import Slots
from choreo.manifest import Document, Fields, saga_from

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

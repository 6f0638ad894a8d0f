"""Looking at every store after every turn: whatever it holds must be what its saga log gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from choreo.participant import Participant
from choreo.ports import Store
from choreo.replay.fold import Difference
from choreo.replay.stored_saga import stored_sagas
from tests.scenarios.shop import Shop


def differences(participant: Participant, store: Store, saga_id: str) -> list[Difference]:
    """Return what isn't as a participant's log says; nothing where it has not heard of the saga."""
    with store.turn():
        if not store.history(saga_id):
            return []
        (saga,) = stored_sagas(participant, store, saga_id)
        assert {entry.event_id for entry in saga.unpublished()} == _under_way(participant, store, saga_id)
        return saga.differences()


def _under_way(participant: Participant, store: Store, saga_id: str) -> set[str]:
    """Return what was published from here, is out of the outbox, and has not come back."""
    rows = store.history(saga_id)
    emitted = {row.event_id for row in rows if row.event_id and row.input != "event"}
    heard = {row.event_id for row in rows if row.input == "event"}
    return emitted - heard - {row.event_id for row in store.unpublished(0, 100_000)}


def watch(shop: Shop, participants: Iterable[Participant], saga_ids: Iterable[str]) -> list[int]:
    """Compare every saga with its log after each turn from now on; give a place for the count of looks."""
    looks = [0]
    ids = list(saga_ids)

    def watched(participant: Participant, turn: Any) -> Any:
        def and_compare() -> int:
            done = int(turn())
            if done:
                for saga_id in ids:
                    assert differences(participant, shop.stores[participant.name], saga_id) == []
                    looks[0] += 1
            return done

        return and_compare

    for participant in participants:
        worker: Any = shop.workers[participant.name]
        worker.turn = watched(participant, worker.turn)
    return looks

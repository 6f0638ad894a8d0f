"""Event ids and idempotency keys: with the saga's type, unless the saga was in flight before they had it."""

from __future__ import annotations

from typing import Any

import pytest

from choreo.envelope import event_id, idempotency_key
from choreo.protocol import Instance
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig, envelope_of
from tests.worker.services import flight
from tests.worker.trip import HotelBooked, TripRequested


def own_ids(rig: Rig, saga_id: str) -> list[str]:
    ours = [each for _, each in rig.records() if each.source == "flight" and each.saga_id == saga_id]
    names = [(each.step, each.outcome, each.type) for each in ours]
    kinds = {event_id(saga_id, name, *each): name or "by id" for each in names for name in ("trip", "")}
    return [kinds[each.id] for each in ours]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_saga_that_the_store_held_keeps_its_ids(rig: Rigs, restarted: bool) -> None:
    """Though another participant had started it with an id of the new sort; one of later has its type."""
    rigged = rig(flight())
    rigged.feed(TripRequested("t"))
    rigged.store.db.execute("UPDATE choreo_store SET keyed_by_id = (SELECT max(id) FROM saga_log)")
    rigged.restart()
    rigged.feed(TripRequested("t"), saga_id="s2")
    if restarted:
        rigged.restart()
    rigged.feed(HotelBooked("t"))
    rigged.feed(HotelBooked("t"), saga_id="s2")
    assert (own_ids(rigged, "s1"), own_ids(rigged, "s2")) == (["by id"], ["trip"])


@pytest.mark.parametrize("restarted", [False, True])
def test_a_start_of_before_decides_for_the_whole_saga(rig: Rigs, restarted: bool) -> None:
    """So a store that sees it first after its upgrade, or is rebuilt from the topic, has the same ids."""
    rigged = rig(flight())
    start = envelope_of(TripRequested("t"), "s1", 0)
    rigged.feed(TripRequested("t"), id=event_id("s1", "", start.step, start.outcome, start.type))
    if restarted:
        rigged.restart()
    rigged.feed(HotelBooked("t"))
    assert own_ids(rigged, "s1") == ["by id"]


def test_keys_of_several_types_differ() -> None:
    keys = {idempotency_key("s1", name, "start", "compensation") for name in ("", "trip", "order")}
    assert len(keys) == 3


def test_no_event_of_a_saga_copies_it(rig: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of an event does not grow with the number of those before it."""
    rigged = rig(flight())
    rigged.feed(TripRequested("t"))
    copies: list[Any] = []
    copy = Instance.copy
    monkeypatch.setattr(Instance, "copy", lambda saga: copies.append(saga) or copy(saga))
    for number in range(300):
        rigged.append(HotelBooked("t"), id=f"{number}", step="hotel.other", type="trip.Rumour")
        rigged.append(HotelBooked("t"), id=f"n{number}", step=f"hotel.{number}", type=f"trip.Rumour{number}")
    rigged.settle()
    assert len(rigged.saga().seen) == 601
    assert not copies

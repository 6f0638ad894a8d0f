"""A saga log folded again gives what the store says, at every step; anything else is found."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import ReplayError
from choreo.participant import Participant
from choreo.records import Entry
from choreo.replay.fold import Replay
from choreo.replay.stored_saga import stored_sagas
from examples.bank.contract import bank_transfer
from examples.bank.source import request_transfer
from examples.orders.contract import order_fulfilment
from examples.travel.contract import trip
from tests.broker.any_broker import InMemoryBroker
from tests.replay.watching import differences, watch
from tests.scenarios import bank, shop, trips
from tests.scenarios.shop import Shop, scenarios
from tests.scenarios.test_travel import play
from tests.scenarios.trips import every_plan, in_memory, travelling
from tests.worker.rig import ManualClock

SEED = int(os.environ.get("CHOREO_SEED", "20261"))


@pytest.fixture
def orders(tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Order fulfilment, in memory."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    return Shop(InMemoryBroker(), tmp_path)


@pytest.mark.parametrize("index", range(5), ids=[each.name for each in scenarios()])
def test_order_fulfilment_is_what_its_logs_say_after_every_turn(orders: Shop, index: int) -> None:
    """Whichever step fails."""
    scenario = scenarios()[index]
    looks = watch(orders, shop.PARTICIPANTS, [scenario.order.order_id])
    orders.until_quiet([orders.place(scenario.order)])
    assert looks[0] >= 5
    orders.close()


@pytest.mark.parametrize("fails_at", ["", *bank.STEPS])
def test_a_bank_transfer_is_what_its_logs_say_after_every_turn(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    """Whichever step fails."""
    monkeypatch.setattr(bank_transfer, "topic", topic)
    banks = bank.Bank(InMemoryBroker(), tmp_path, topic)
    looks = watch(banks, bank.PARTICIPANTS, ["t"])
    banks.until_quiet([request_transfer(bank.transfer("t", 100, fails_at))])
    assert looks[0] >= 3
    banks.close()


def test_trips_are_what_their_logs_say_whatever_their_branches_do(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow, late, full and cancelled ones; calls that are out, deadlines, joins that are half full."""
    monkeypatch.setattr(trip, "topic", topic)
    clock = ManualClock()
    plans = random.Random(SEED).sample(every_plan(), 24)
    with travelling(in_memory(clock), tmp_path, topic, plans, clock) as stage:
        settle, looks = stage.settle, [0]

        def settle_and_compare() -> None:
            settle()
            for participant in trips.PARTICIPANTS:
                for plan in plans:
                    assert differences(participant, stage.stores[participant.name], plan.trip_id) == []
                    looks[0] += 1

        monkeypatch.setattr(stage, "settle", settle_and_compare)
        play(stage)
        assert looks[0] > 600


Change = Callable[[list[Entry]], Any]


def _with(number: int, **values: Any) -> Change:
    def change(rows: list[Entry]) -> None:
        rows[number - 1] = rows[number - 1]._replace(**values)

    return change


RESERVE = "inventory.reserve_inventory"
WRONG: dict[str, tuple[Change, str]] = {
    "state": (_with(4, saga_state="completed"), "row 4: payments.process_payment: saga_state is completed"),
    "old": (_with(2, old_state="executing"), f"row 2: {RESERVE}: old_state is executing"),
    "new": (_with(7, new_state="completed"), f"row 7: {RESERVE}: new_state is completed"),
    "void": (_with(4, note="void"), "row 4: payments.process_payment: note is void"),
    "id": (_with(2, event_id="e"), f"row 2: {RESERVE}: event_id is e"),
    "gone": (lambda rows: rows.pop(6), f"row 6: {RESERVE}: row is missing, folded it is completed"),
    "result gone": (lambda rows: rows.pop(1), "event is shop.InventoryReserved from here"),
    "twice": (lambda rows: rows.insert(4, rows[3]), "row 5: payments.process_payment: row is an event"),
    "swapped": (lambda rows: rows.insert(1, rows.pop(4)), f"row 2: {RESERVE}: row is missing, folded it is"),
    "undeclared": (_with(2, step="inventory.count"), "row 2: inventory.count: step is in the log"),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_is_wrong_with_a_log_is_found_at_its_row(orders: Shop, name: str) -> None:
    """A value changed, a row lost, repeated or moved."""
    change, expected = WRONG[name]
    orders.until_quiet([orders.place(scenarios()[3].order)])
    rows = list(orders.history("inventory", "o-ship"))
    change(rows)
    assert expected in " | ".join(str(each) for each in _replayed(shop.PARTICIPANTS[1], rows).close())
    orders.close()


def test_a_row_that_no_release_wrote_is_refused(orders: Shop) -> None:
    """In one line."""
    orders.until_quiet([orders.place(scenarios()[0].order)])
    rows = list(orders.history("inventory", "o-none"))
    with pytest.raises(ReplayError, match="row 2 of saga o-none can't be folded: frobnicate of inventory"):
        _replayed(shop.PARTICIPANTS[1], [rows[0], rows[1]._replace(input="frobnicate")])
    with (
        orders.stores["inventory"].turn(),
        pytest.raises(ReplayError, match="inventory knows no saga nobody"),
    ):
        stored_sagas(shop.PARTICIPANTS[1], orders.stores["inventory"], "nobody")
    orders.close()


def _replayed(participant: Participant, rows: list[Entry]) -> Replay:
    replay = Replay(participant.roles()[rows[0].saga_type])
    for row in rows:
        replay.fold(row)
    return replay

"""Sagas that the choreo of before has left at many positions: the workers of today bring them to their end.

Also where the service is released anew in the same moment; what each release changes, `rolling` says.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from choreo import Context, Participant
from choreo.errors import ReleaseRefused
from choreo.testing import Harness
from examples.orders.contract import InventoryReserved, PaymentFailed, PaymentProcessed
from examples.orders.payments import refund_payment
from examples.scenarios import orders as order_scenario
from examples.travel import flight
from tests.scenarios.rolling import RELEASES, shop
from tests.upgrade.world import BEFORE, World, told, unpacked

Opened = Callable[..., Harness]

MIDWAY = BEFORE / "midway"
PARTITIONS = 3
TRIED = RELEASES if os.environ.get("CHOREO_FUZZ") else RELEASES[-1:]
"""Each release has the changes of those before it."""


@pytest.fixture(autouse=True)
def airline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an airline in the place of the one over HTTP that has one flight that is full."""

    async def ask(method: str, path: str) -> int:
        await asyncio.sleep(0.2)
        if method == "DELETE":
            return 204
        return 409 if "full" in path else 201

    monkeypatch.setattr(flight, "ask", ask)


def gone_on(example: str, folder: Path, saga_harness: Opened, participants: Sequence[Participant]) -> Harness:
    """Let the workers go on with what the stores of before hold, until nothing is left to do."""
    for path in (MIDWAY / example).glob("*.db.gz"):
        (folder / path.stem).write_bytes(unpacked(path))
    harness = saga_harness(*participants, folder=folder, partitions=PARTITIONS)
    World(f"../midway/{example}", folder).tell_again(harness)
    harness.run()
    return harness


def ends(example: str) -> dict[str, list[str]]:
    """Return how each saga ended by the code of before, and its events."""
    found: dict[str, list[str]] = json.loads((MIDWAY / example / "ends.json").read_text())
    return found


def assert_ended(harness: Harness, example: str, added: Iterable[str] = ()) -> None:
    """Each saga has ended everywhere as it would have before, by the same events; nothing waits."""
    for saga_id, (end, *events) in ends(example).items():
        assert (harness.state(saga_id), len(harness.states(saga_id))) == (end, len(harness.processes))
        found = [each.type for each in harness.events(saga_id) if each.type not in added]
        assert sorted(found) == sorted(events), saga_id
    waiting = [
        row
        for database in harness.databases.values()
        for table in ("outbox", "schedule")
        for row in database.execute(f"select saga_id from {table}").fetchall()
    ]
    assert (waiting, harness.letters()) == ([], [])


def test_trips_stopped_at_many_positions_end_as_they_would_have(folder: Path, saga_harness: Opened) -> None:
    """With calls that were out, deadlines that are armed, and branches of which some have answered."""
    participants = World("travel", folder).participants
    harness = gone_on("travel", folder, saga_harness, participants)
    assert_ended(harness, "travel")


@pytest.mark.parametrize("release", TRIED)
def test_orders_stopped_at_many_positions_end_as_they_would_have(
    folder: Path, saga_harness: Opened, release: int
) -> None:
    """Whichever release today's workers are of: what was done stays done, and is undone where that is due."""
    participants = shop(release, "order-fulfilment")
    harness = gone_on("orders", folder, saga_harness, participants)
    assert_ended(harness, "orders", added=["shop.ReceiptSent"])
    assert [each for each in order_scenario.balance(harness.databases) if not each.holds] == []
    harness.close()
    assert told("log", "verify").endswith("no findings\n")


def test_a_step_that_orders_of_before_need_is_not_forgotten(folder: Path, saga_harness: Opened) -> None:
    """Also where no release was kept yet, as the rows say what was done; the code of before then goes on."""
    before = shop(1, "order-fulfilment")
    payments = Participant("payments", sagas=before.payments.sagas)

    @payments.action(fails=PaymentFailed)
    def take_payment(event: InventoryReserved, ctx: Context) -> PaymentProcessed:
        raise AssertionError

    payments.compensation(of=take_payment)(refund_payment)
    needed = r"payments\.process_payment \(its compensation: \d+ sagas, the oldest midway-"
    with pytest.raises(ReleaseRefused, match=needed):
        gone_on("orders", folder, saga_harness, before._replace(payments=payments))
    with closing(sqlite3.connect("payments.db")) as store:
        assert store.execute("select count(*) from releases").fetchone() == (0,)

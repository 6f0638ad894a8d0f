"""Order fulfilment is released anew at any moment, in any order of participants, forth and back.

What it comes to on a real Kafka, `test_rolling` shows; here every kind of moment is met.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from choreo import Participant
from choreo.errors import ReleaseRefused
from choreo.graph import derive
from choreo.testing import Harness
from choreo.testing.schedule import Seeded
from examples.orders.contract import OrderCreated
from examples.scenarios.orders import balance
from tests.scenarios.rolling import place, shop

SEEDS = range(40 if os.environ.get("CHOREO_FUZZ") else 1)
PAIRS = ((1, 2), (2, 1), (2, 3), (3, 2), (3, 4))
KINDS = {
    "good": {},
    "slow": {},
    "no-stock": {"sku": "pear", "quantity": 50},
    "no-money": {"customer": "bob", "total": 5000},
    "no-carrier": {"address": "nowhere"},
    "no-goods": {"address": "upstairs"},
}
ORDER: dict[str, Any] = {"customer": "ada", "sku": "apple", "quantity": 2, "total": 250, "address": "home"}
FAILING = ("no-stock", "no-money", "no-carrier")


def order(number: int, kind: str) -> OrderCreated:
    """Return an order of a kind."""
    return OrderCreated(order_id=f"{number:02}-{kind}", **{**ORDER, **KINDS[kind]})


class Street:
    """The shop of one release in a harness, whose participants are replaced by those of another one."""

    def __init__(self, before: int, after: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.next = shop(after)
        derive(self.next)
        self.web = shop(before)
        self.harness = Harness(self.web, chooser=Seeded(seed))
        self.ends: dict[str, str] = {}

    def place(self) -> None:
        """Place an order of each kind, and let some moves be made."""
        for kind in KINDS:
            event = order(len(self.ends), kind)
            fails = kind in FAILING or (kind == "no-goods" and self.web.orders.sagas[0].version == 2)
            self.ends[place(self.web, event)] = "failed" if fails else "completed"
            self.move(self.chance.randrange(30))

    def move(self, count: int) -> None:
        """Let so many moves be made."""
        until = len(self.harness.moves) + count
        self.harness.run(lambda: len(self.harness.moves) >= until)

    def order_of_deployment(self) -> list[Participant]:
        """Return the next participants in a random order, who starts sagas of another version as the last."""
        everybody = self.chance.sample(self.next, len(self.next))
        if self.web.orders.sagas[0].version == self.next.orders.sagas[0].version:
            return everybody
        return sorted(everybody, key=lambda each: each.name == "orders")

    def release(self, participant: Participant) -> None:
        """Replace a participant; where sagas in flight need the one of before, once they have ended."""
        try:
            self.harness.release(participant)
        except ReleaseRefused:
            self.harness.run()
            self.harness.release(participant)
        if participant is self.next.orders:
            self.web = self.next


@pytest.mark.parametrize(("before", "after"), PAIRS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_order_ends_whenever_its_participants_are_replaced(before: int, after: int, seed: int) -> None:
    """Each as its kind says, with books that balance, no effect twice, and no dead letter."""
    street = Street(before, after, seed)
    with street.harness as harness:
        street.place()
        for participant in street.order_of_deployment():
            street.release(participant)
            street.place()
        harness.run()
        assert {saga_id: harness.state(saga_id) for saga_id in street.ends} == street.ends
        assert [check for check in balance(harness.databases) if not check.holds] == []
        assert harness.letters() == []

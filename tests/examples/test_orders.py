"""Order fulfilment: whatever goes wrong with whichever handler, stock and money balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from choreo.testing import failure_matrix
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from examples.scenarios.orders import balance, scenario


def books_balance(databases: Mapping[str, Any]) -> None:
    """Stock, money, parcels and mails are what they must be."""
    assert [check for check in balance(databases) if not check.holds] == []


@failure_matrix(*scenario.participants, invariant=books_balance)
def test_an_order() -> None:
    """One order, and one thing that goes wrong."""
    place_order(OrderCreated("o-1", "ada", "apple", 2, 500, "12 Elm Street"))

"""Order fulfilment with all stores in PostgreSQL; `STORE=postgresql make scenarios` runs all so."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.orders.contract import order_fulfilment
from tests.broker.any_broker import InMemoryBroker
from tests.scenarios.shop import Shop, compensated, scenarios


def test_every_scenario_ends_as_it_must(
    tmp_path: Path, topic: str, stores_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A success, a failure at each step, and a step that is only slow, at once; and all balances."""
    monkeypatch.setenv("STORE", "postgresql")
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    shop = Shop(InMemoryBroker(), tmp_path)
    try:
        placed = {scenario: shop.place(scenario.order) for scenario in scenarios()}
        shop.until_quiet([*placed.values()])
        for scenario, saga_id in placed.items():
            assert shop.ends(saga_id) == {"failed" if scenario.fails_at else "completed"}
            assert tuple(compensated(shop.history("orders", saga_id))) == scenario.undone
        shop.assert_balance(fulfilled=sum(not scenario.fails_at for scenario in placed))
    finally:
        shop.close()

"""Order fulfilment on the three brokers: it succeeds, or rolls back in strict reverse order."""

from __future__ import annotations

import pytest

from tests.scenarios.shop import Scenario, Shop, compensated, scenarios, transitions


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda each: each.name)
def test_a_failure_at_each_step_ends_the_saga_in_strict_reverse_order(shop: Shop, scenario: Scenario) -> None:
    """Whichever step fails, everyone agrees on the end, and what was done is undone, the last first."""
    saga_id = shop.place(scenario.order)
    shop.until_quiet([saga_id])

    end = "failed" if scenario.fails_at else "completed"
    for name in shop.stores:
        history = shop.history(name, saga_id)
        assert history[-1].saga_state == end
        assert tuple(compensated(history)) == scenario.undone
    shop.assert_balance(fulfilled=0 if scenario.fails_at else 1)


def test_the_saga_log_holds_every_transition(shop: Shop) -> None:
    """A step's owner has every state it went through, and everyone else those that the log told."""
    ship = next(each for each in scenarios() if each.name == "create_shipment")
    saga_id = shop.place(ship.order)
    shop.until_quiet([saga_id])

    undone = [("pending", "completed"), ("completed", "compensating"), ("compensating", "compensated")]
    assert transitions(shop.history("orders", saga_id), "start") == undone
    assert transitions(shop.history("inventory", saga_id), "inventory.reserve_inventory") == undone
    assert transitions(shop.history("payments", saga_id), "payments.process_payment") == undone
    assert transitions(shop.history("shipping", saga_id), "shipping.create_shipment") == [
        ("pending", "failed")
    ]
    assert transitions(shop.history("notifications", saga_id), "payments.process_payment") == [
        ("pending", "completed"),
        ("completed", "compensated"),
    ]


def test_many_sagas_at_once_all_end_and_everything_balances(shop: Shop) -> None:
    """Forty orders of all kinds, interleaved."""
    placed = [
        (scenario, shop.place(scenario.order)) for i in range(8) for scenario in scenarios(prefix=f"o{i}")
    ]
    shop.until_quiet([saga_id for _, saga_id in placed], seconds=60)
    for scenario, saga_id in placed:
        assert shop.ends(saga_id) == {"failed" if scenario.fails_at else "completed"}
    shop.assert_balance(fulfilled=sum(not scenario.fails_at for scenario, _ in placed))

"""A shop on each broker, with a topic of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.orders.contract import order_fulfilment
from tests.broker.any_broker import AnyBroker
from tests.scenarios.shop import Shop


@pytest.fixture
def shop(
    any_broker: AnyBroker, tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """Open order fulfilment, on one broker after the other."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    opened = Shop(any_broker, tmp_path)
    yield opened
    opened.close()

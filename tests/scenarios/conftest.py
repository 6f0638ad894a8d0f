"""A shop on each broker, with a topic of its own."""

from __future__ import annotations

import signal
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


@pytest.fixture(autouse=True)
def default_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a KeyboardInterrupt be a real one, whatever handler of SIGINT another test has left."""
    monkeypatch.setattr("choreo.worker.failure.signal.getsignal", lambda _: signal.default_int_handler)

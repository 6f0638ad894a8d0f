"""Closing a consumer: what librdkafka waits for is answered before, as it would wait for ever afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from choreo.kafka.consumer import KafkaConsumer
from choreo.kafka.embedded import EmbeddedBroker

SETTINGS = {
    "group.id": "shop",
    "group.instance.id": "one",
    "group.protocol": "classic",
    "partition.assignment.strategy": "range",
}


class Client:
    """A client for whose answers librdkafka waits, among records that nobody has read."""

    def __init__(self, waits: list[Callable[[], Any]]) -> None:
        self.waits = waits
        self.closed_with: int | None = None

    def poll(self, wait: float) -> object:
        """Return a record, or answer one question."""
        return self.waits.pop(0)() if self.waits else None

    def close(self) -> None:
        """Note how many questions have no answer."""
        self.closed_with = len(self.waits)


@pytest.fixture
def consumer(embedded_broker: EmbeddedBroker) -> KafkaConsumer:
    return KafkaConsumer({**SETTINGS, "bootstrap.servers": embedded_broker.bootstrap})


@pytest.mark.parametrize("records", [0, 1, 100])
def test_what_is_asked_is_answered_before_a_client_is_closed(consumer: KafkaConsumer, records: int) -> None:
    answered: list[str] = []
    client = Client([*[object] * records, lambda: answered.append("assign")])
    consumer._consumer = client
    consumer.close()
    assert (answered, client.closed_with) == (["assign"], 0)


def test_a_client_with_records_without_end_is_closed_all_the_same(consumer: KafkaConsumer) -> None:
    client = Client([object] * 10_000_000)
    consumer._consumer = client
    consumer.close()
    assert client.closed_with


def test_a_client_that_its_group_has_fenced_is_not_closed(consumer: KafkaConsumer) -> None:
    """Its group does not wait for it any more, and what it is asked may be of before."""
    client = Client([])
    consumer._consumer = client
    client.waits.append(lambda: consumer._take_error(KafkaError(KafkaError.FENCED_INSTANCE_ID)))
    consumer.close()
    assert client.closed_with is None

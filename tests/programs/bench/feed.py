"""Fills a topic with orders, as the participant that starts them would."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Producer

from choreo.avro import AvroCodec
from choreo.client.transaction import new_saga_id
from choreo.cloudevents import headers_of
from choreo.envelope import Envelope, event_id
from choreo.events import event_name
from choreo.outcome import SUCCEEDED, Kind
from examples.orders.contract import InventoryReserved, OrderCreated, order_fulfilment


class Feed:
    """A producer of orders, and of what answers them."""

    def __init__(self, bootstrap: str) -> None:
        self._codec = AvroCodec([OrderCreated, InventoryReserved])
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 0,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def order(self, topic: str, on_delivery: Any = None) -> str:
        """Publish one order; give its saga's id."""
        saga_id = new_saga_id()
        created = OrderCreated(saga_id, "ada", "apple", 1, 100, "home")
        self.publish(topic, saga_id, created, "orders", "start", "start", on_delivery)
        return saga_id

    def publish(
        self,
        topic: str,
        saga_id: str,
        event: Any,
        source: str,
        step: str,
        kind: Kind,
        on_delivery: Any = None,
    ) -> None:
        """Publish the success of a step."""
        name = event_name(type(event))
        now, saga = time.time_ns() // 1_000_000, order_fulfilment.name
        identity = event_id(saga_id, saga, step, SUCCEEDED, name)
        envelope = Envelope(identity, source, name, now, saga_id, saga, 1, step, SUCCEEDED, kind)
        body, headers = self._codec.encode(event), headers_of(envelope)
        self._producer.produce(topic, body, saga_id, headers=headers, on_delivery=on_delivery)

    def orders(self, topic: str, count: int) -> list[str]:
        """Publish many, and wait until the log has them; give their sagas' ids."""
        sagas = []
        for number in range(count):
            sagas.append(self.order(topic))
            if number % 1000 == 0:
                self._producer.poll(0)
        self.flush()
        return sagas

    def poll(self) -> None:
        """Let the producer work."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the log has all."""
        self._producer.flush()

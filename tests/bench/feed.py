"""Fills a topic with orders, as the participant that starts them would."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Producer

from choreo.avro import AvroCodec
from choreo.envelope import Envelope, event_id
from choreo.event import event_name
from choreo.kafka import headers_of
from choreo.worker.transaction import new_saga_id
from examples.orders.contract import OrderCreated, order_fulfilment


class Feed:
    """A producer of `OrderCreated` records."""

    def __init__(self, bootstrap: str) -> None:
        self._codec = AvroCodec([OrderCreated])
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
        saga_id, name = new_saga_id(), event_name(OrderCreated)
        envelope = Envelope(
            event_id(saga_id, "start", "succeeded", name),
            "orders",
            name,
            time.time_ns() // 1_000_000,
            saga_id,
            order_fulfilment.name,
            1,
            "start",
            "succeeded",
            "start",
        )
        body = self._codec.encode(OrderCreated(saga_id, "ada", "apple", 1, 100, "home"))
        self._producer.produce(topic, body, saga_id, headers=headers_of(envelope), on_delivery=on_delivery)
        return saga_id

    def orders(self, topic: str, count: int) -> None:
        """Publish many, and wait until the log has them."""
        for number in range(count):
            self.order(topic)
            if number % 1000 == 0:
                self._producer.poll(0)
        self._producer.flush()

    def poll(self) -> None:
        """Let the producer work."""
        self._producer.poll(0)

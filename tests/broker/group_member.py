"""One more member of a consumer group, for a while."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer


def join_and_leave(bootstrap: str, group: str, topic: str, seconds: float) -> None:
    """Be a member of a group until some of its partitions are ours, then leave: two rebalances."""
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "session.timeout.ms": 6000}
    guest = Consumer(settings)
    ours: list[Any] = []
    guest.subscribe([topic], on_assign=lambda _, partitions: ours.extend(partitions))
    deadline = time.monotonic() + seconds
    while not ours and time.monotonic() < deadline:
        guest.poll(0.05)
    guest.close()

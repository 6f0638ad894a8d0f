"""Records on the market's topic that no participant wrote: forged, damaged, with impossible times.

Each has the header ``x-forged``. A forgery that names a saga may stop that saga, with a dead letter, and no
other one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from confluent_kafka import Producer

from choreo.envelope import event_id

MARK = "x-forged"
_KINDS = ("own outcome", "outcome of another", "id taken", "never was", "no headers", "garbage", "time")
_STEPS = {
    "stock.reserve": ("market.Reserved", "stock", "compensatable"),
    "payments.charge": ("market.Charged", "payments", "compensatable"),
    "shipping.ship": ("market.Shipped", "shipping", "compensatable"),
    "mailer.confirm": ("market.OrderFulfilled", "mailer", "retriable"),
}
_TIMES = (-1, 1, 2**62, 253_402_300_800_000)


class Forger:
    """Writes forged records; ``touched`` has the ids of the sagas that they name."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "message.timeout.ms": 5000}
        )
        self.touched: set[str] = set()

    def forge(self, live: Sequence[str]) -> None:
        """Write one record, about one of the live sagas or about one that never was."""
        kind = self._chance.choice(_KINDS)
        known = bool(live) and kind != "never was"
        saga_id = self._chance.choice(live) if known else f"forged-{self._chance.getrandbits(40):x}"
        self.touched.add(saga_id)
        headers = self._headers(kind, saga_id)
        value = bytes(self._chance.getrandbits(8) for _ in range(40))
        stamp = self._chance.choice(_TIMES) if kind == "time" else 0
        try:
            self._producer.produce("market", value, saga_id, headers=headers, timestamp=stamp)
        except ValueError:  # a time that the client itself refuses
            self._producer.produce("market", value, saga_id, headers=headers)
        self._producer.poll(0)

    def close(self) -> None:
        """Wait until all is written."""
        self._producer.flush(10)

    def _headers(self, kind: str, saga_id: str) -> dict[str, bytes]:
        if kind == "no headers":
            return {MARK: b"1"}
        if kind == "garbage":
            return {MARK: b"1", "ce_id": b"\xff\xfe", "ce_specversion": b"9", "ce_time": b"yesterday"}
        step = self._chance.choice(list(_STEPS))
        event_type, owner, step_kind = _STEPS[step]
        ce_id = f"forged-{self._chance.getrandbits(60):x}"
        if kind == "id taken":
            ce_id, event_type = event_id(saga_id, "market", step, "succeeded", event_type), "market.Foreign"
        source = "stranger" if kind == "outcome of another" else owner
        said = {
            "ce_id": ce_id,
            "ce_source": source,
            "ce_type": event_type,
            "ce_specversion": "1.0",
            "ce_time": "2026-01-01T00:00:00Z",
            "ce_subject": saga_id,
            "ce_sagatype": "market",
            "ce_sagaversion": "1",
            "ce_step": step,
            "ce_outcome": "succeeded",
            "ce_stepkind": step_kind,
        }
        return {MARK: b"1", **{name: text.encode() for name, text in said.items()}}

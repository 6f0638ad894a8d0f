"""The floor: a loop written by hand, with no abstraction, one transaction a batch.

It consumes an event, decodes it, writes its own row, a row of the saga log and a row of the outbox, moves
the position, commits with ``synchronous=FULL``, publishes, and deletes from the outbox what was
acknowledged. It folds nothing, checks nothing, and knows one event.
"""

from __future__ import annotations

import io
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer

_TABLES = """
create table stock (sku text primary key, available integer not null);
create table reservations (order_id text primary key, sku text, quantity int);
insert into stock values ('apple', 1000000000);
create table saga_log (id integer primary key, saga_id text, step text, old_state text, new_state text,
    event_id text, event_type text, causation_id text, topic text, partition int, offset int, time int,
    payload blob);
create index saga_log_saga on saga_log (saga_id);
create table outbox (seq integer primary key autoincrement, saga_id text, headers text, body blob);
create table positions (topic text, partition int, next_offset int, primary key (topic, partition));
"""
_LOG = "insert into saga_log values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Floor:
    """One hand-written participant: reads ``topic``, publishes to ``out``."""

    def __init__(
        self, bootstrap: str, folder: Path, topic: str, out: str, settings: dict[str, Any], schemas: list[Any]
    ) -> None:
        self._topic, self._out = topic, out
        self._reader, self._writer = (fastavro.parse_schema(schema) for schema in schemas)
        self._db = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(_TABLES)
        common = {"bootstrap.servers": bootstrap}
        self._consumer = Consumer(
            {
                **common,
                "group.id": f"floor-{out}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                **settings,
            }
        )
        self._producer = Producer(
            {**common, "enable.idempotence": True, "linger.ms": 0, "queue.buffering.max.messages": 1_000_000}
        )
        self._acknowledged: list[tuple[int]] = []
        self._consumer.subscribe([topic])

    def assigned(self) -> None:
        """Wait until the consumer has its partitions."""
        deadline = time.monotonic() + 30
        while not self._consumer.assignment() and time.monotonic() < deadline:
            self._consumer.poll(0.05)
        if not self._consumer.assignment():
            raise TimeoutError("no partitions were assigned within 30 s")

    def turn(self, wait: float = 0.05) -> int:
        """Go round once; give the number of events handled."""
        first = self._consumer.poll(wait)
        messages = ([first] if first else []) + self._consumer.consume(499, timeout=0)
        self._producer.poll(0)
        if not messages and not self._acknowledged:
            return 0
        outgoing = self._transact(messages)
        for seq, saga_id, headers, body in outgoing:
            self._producer.produce(
                self._out,
                body,
                saga_id,
                headers=headers,
                on_delivery=lambda err, _, seq=seq: self._acknowledged.append((seq,)),
            )
        self._producer.poll(0)
        return len(messages)

    def _transact(self, messages: list[Any]) -> list[Any]:
        db, outgoing, positions = self._db, [], {}
        db.execute("begin immediate")
        db.executemany("delete from outbox where seq = ?", self._acknowledged)
        self._acknowledged.clear()
        for message in messages:
            headers = {name: value.decode() for name, value in message.headers()}
            value, saga_id = message.value(), headers["ce_subject"]
            order = fastavro.schemaless_reader(io.BytesIO(value[10:]), self._reader)
            db.execute(
                "update stock set available = available - ? where sku = ? and available >= ?",
                (order["quantity"], order["sku"], order["quantity"]),
            )
            db.execute(
                "insert into reservations values (?, ?, ?)",
                (order["order_id"], order["sku"], order["quantity"]),
            )
            body = io.BytesIO()
            fastavro.schemaless_writer(body, self._writer, order)
            event_id = saga_id + "-reserved"
            db.execute(
                _LOG,
                (
                    saga_id,
                    "reserve",
                    "pending",
                    "completed",
                    headers["ce_id"],
                    headers["ce_type"],
                    headers.get("ce_causationid"),
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    value,
                ),
            )
            sent = {
                **headers,
                "ce_id": event_id,
                "ce_type": "shop.InventoryReserved",
                "ce_causationid": headers["ce_id"],
            }
            packed = value[:10] + body.getvalue()
            seq = db.execute(
                "insert into outbox values (null, ?, ?, ?)", (saga_id, json.dumps(sent), packed)
            ).lastrowid
            outgoing.append((seq, saga_id, [(k, v.encode()) for k, v in sent.items()], packed))
            positions[message.partition()] = message.offset() + 1
        for partition, offset in positions.items():
            db.execute("insert or replace into positions values (?, ?, ?)", (self._topic, partition, offset))
        db.execute("commit")
        return outgoing

    @property
    def waiting(self) -> int:
        """Return how many publications the log has not acknowledged."""
        return self._db.execute("select count(*) from outbox").fetchone()[0]

    def close(self) -> None:
        """Leave."""
        self._producer.flush(5)
        self._consumer.close()
        self._db.close()


def main() -> None:
    """Run the loop as a process of its own: BOOTSTRAP FOLDER TOPIC OUT SETTINGS."""
    from choreo.avro import schema_of
    from examples.orders.contract import InventoryReserved, OrderCreated

    bootstrap, folder, topic, out, settings = sys.argv[1:]
    schemas = [schema_of(OrderCreated), schema_of(InventoryReserved)]
    floor = Floor(bootstrap, Path(folder), topic, out, json.loads(settings), schemas)
    while True:
        floor.turn()


if __name__ == "__main__":
    main()

"""One participant whose store is in PostgreSQL, beside a hand-written loop on the same server."""

from __future__ import annotations

import io
import json
from contextlib import closing
from statistics import median
from typing import Any
from uuid import uuid4

import fastavro
import psycopg

from choreo.avro import schema_of
from examples.orders.contract import InventoryReserved, OrderCreated
from examples.orders.inventory import inventory
from tests.postgresql.databases import made_from_template, on
from tests.postgresql.portable import install
from tests.postgresql.server import Server, ServerFailed, Unavailable
from tests.programs.bench.floor import Floor
from tests.programs.bench.participant import rate_of
from tests.programs.bench.replicas import durable_server
from tests.programs.bench.site import Site
from tests.programs.bench.work import at_work

_TABLES = """
create table stock (sku text primary key, available bigint not null);
create table reservations (order_id text primary key, sku text, quantity int);
insert into stock values ('apple', 1000000000);
create table saga_log (id bigint generated always as identity primary key, saga_id text, step text,
    old_state text, new_state text, event_id text, event_type text, causation_id text, topic text,
    partition int, "offset" bigint, time bigint, payload bytea);
create index saga_log_saga on saga_log (saga_id);
create table outbox (seq bigint generated always as identity primary key, saga_id text, headers text,
    body bytea);
create table positions (topic text, partition int, next_offset bigint, primary key (topic, partition))
"""
_LOG_TYPES = ("text",) * 8 + ("int", "bigint", "bigint", "bytea")
_LOG = (
    "insert into saga_log (saga_id, step, old_state, new_state, event_id, event_type, causation_id, topic,"
    ' partition, "offset", time, payload)'
    f" select * from unnest({', '.join(f'%s::{each}[]' for each in _LOG_TYPES)})"
)
_OUTBOX = (
    "insert into outbox (saga_id, headers, body) select * from unnest(%s::text[], %s::text[], %s::bytea[])"
    " returning seq"
)
_TAKE = "update stock set available = available - %s where sku = %s and available >= %s"
_POSITION = (
    "insert into positions values (%s, %s, %s)"
    " on conflict (topic, partition) do update set next_offset = excluded.next_offset"
)


class PostgreSQLFloor(Floor):
    """The hand-written participant on PostgreSQL: a batch is a transaction, its rows go by unnest."""

    def __init__(self, address: str, where: Site, topic: str) -> None:
        schemas = [schema_of(OrderCreated), schema_of(InventoryReserved)]
        super().__init__(
            where.bootstrap, where.new_folder(), topic, where.topic(), where.consumer_settings, schemas
        )
        self._pg = psycopg.connect(address, autocommit=True)
        self._pg.execute(_TABLES)

    def _transact(self, messages: list[Any]) -> list[Any]:
        done: list[int] = [seq for (seq,) in self._acknowledged]
        self._acknowledged.clear()
        own, log, out, positions = [], [], [], {}
        for message in messages:
            headers = {name: value.decode() for name, value in message.headers()}
            value, saga_id = message.value(), headers["ce_subject"]
            order = fastavro.schemaless_reader(io.BytesIO(value[10:]), self._reader)
            own.append((order["order_id"], order["sku"], order["quantity"]))
            body = io.BytesIO()
            fastavro.schemaless_writer(body, self._writer, order)
            place = (message.topic(), message.partition(), message.offset(), message.timestamp()[1])
            event = (headers["ce_id"], headers["ce_type"], headers.get("ce_causationid"))
            log.append((saga_id, "reserve", "pending", "completed", *event, *place, value))
            sent = {
                **headers,
                "ce_id": saga_id + "-reserved",
                "ce_type": "shop.InventoryReserved",
                "ce_causationid": headers["ce_id"],
            }
            out.append((saga_id, json.dumps(sent), value[:10] + body.getvalue(), sent))
            positions[message.partition()] = message.offset() + 1
        seqs = self._write(done, own, log, out, positions)
        return [
            (seq, saga_id, [(k, v.encode()) for k, v in sent.items()], packed)
            for (seq,), (saga_id, _, packed, sent) in zip(seqs, out, strict=True)
        ]

    def _write(
        self, done: list[int], own: list[Any], log: list[Any], out: list[Any], positions: dict[int, int]
    ) -> list[Any]:
        with self._pg.transaction(), self._pg.cursor() as cursor:
            if done:
                cursor.execute("delete from outbox where seq = any(%s)", (done,))
            if not own:
                return []
            cursor.executemany(_TAKE, [(quantity, sku, quantity) for _, sku, quantity in own])
            cursor.executemany("insert into reservations values (%s, %s, %s)", own)
            cursor.execute(_LOG, [list(column) for column in zip(*log, strict=True)])
            columns = [list(column) for column in zip(*(row[:3] for row in out), strict=True)]
            seqs = cursor.execute(_OUTBOX, columns).fetchall()
            cursor.executemany(_POSITION, [(self._topic, *each) for each in positions.items()])
        return seqs

    @property
    def waiting(self) -> int:
        """Return how many publications the log has not acknowledged."""
        row = self._pg.execute("select count(*) from outbox").fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Leave."""
        super().close()
        self._pg.close()


def measure(where: Site, events: int, rounds: int) -> dict[str, Any]:
    """Return events a second of both, in turn, and the median of the ratios round by round."""
    figures: dict[str, Any] = {"bench": "postgresql", "broker": where.broker}
    floors, ours = [], []
    try:
        with durable_server() as server:
            install()
            for _ in range(rounds):
                floors.append(_floor(where, server, events))
                ours.append(_choreo(where, server, events))
    except (Unavailable, ServerFailed) as error:
        return figures | {"unavailable": str(error)}
    return figures | {
        "events_per_s": round(median(ours)),
        "floor_events_per_s": round(median(floors)),
        "ratio": round(median(our / floor for our, floor in zip(ours, floors, strict=True)), 3),
        "events": events,
        "rounds": rounds,
    }


def _floor(where: Site, server: Server, events: int) -> float:
    name, topic = f"floor_{uuid4().hex[:8]}", where.topic()
    with closing(psycopg.connect(server.address("postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    floor = PostgreSQLFloor(server.address(name), where, topic)
    return rate_of(floor, where, topic, events)


def _choreo(where: Site, server: Server, events: int) -> float:
    name = f"store_{uuid4().hex[:8]}"
    made_from_template(server.address("postgres"), name)
    with at_work(where, inventory, on(server.address("postgres"), name)) as work:
        work.store.db.execute("update stock set available = 1000000000")
        work.feed.orders(work.topic, events)
        return events / work.until_done(2 * events)

"""Participants on PostgreSQL as processes of their own: one, two and four replicas, and FastStream's way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from confluent_kafka import Consumer

from choreo.avro import schema_of
from examples.orders.contract import InventoryReserved, OrderCreated, order_fulfilment
from tests.postgresql.databases import made_from_template, on
from tests.postgresql.server import Server, ServerFailed, Unavailable
from tests.programs.bench import hop
from tests.programs.bench.feed import Feed
from tests.programs.bench.processes import process, run_arguments
from tests.programs.bench.site import Site

DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
COUNTS = (1, 2, 4)
_PACKAGES = ("faststream[confluent]", "faststream-outbox[asyncpg]", "fastavro")
_PROGRAM = Path(__file__).with_name("message_by_message.py")
_LONGEST = 300.0


@contextmanager
def durable_server() -> Iterator[Server]:
    """Start a server that loses no commit. Raises `Unavailable` or `ServerFailed`."""
    server = Server(*DURABLE)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def measure(where: Site, events: int, seconds: int) -> dict[str, Any]:
    """Return events a second by the number of replicas, those of FastStream's service, and a hop's time."""
    figures: dict[str, Any] = {"bench": "replicas", "broker": where.broker, "events": events}
    if where.embedded:
        return figures | {"unavailable": "replicas are processes of their own, for which it is no broker"}
    try:
        with durable_server() as server:
            topic = order_fulfilment.topic
            where.create(topic)
            store = _store(server)  # one for all, as the consumer group is of one
            figures |= _hops(where, store, topic, seconds)
            for count in COUNTS:
                figures[f"events_per_s_{count}"] = round(_replicas(where, store, topic, count, events))
            figures |= _faststream(where, server, events)
    except (Unavailable, ServerFailed) as error:
        figures["unavailable"] = str(error)
    return figures


def _hops(where: Site, store: str, topic: str, seconds: int) -> dict[str, Any]:
    rate = 50
    with process(*run_arguments(where, "inventory", store), stops=True):
        p50, p99 = hop.percentiles(hop.hops(where, topic, topic, rate, seconds))
    return {"hop_p50_ms": p50, "hop_p99_ms": p99, "rate": rate}


def _replicas(where: Site, store: str, topic: str, count: int, events: int) -> float:
    """Return how many events a second so many processes of one participant answer."""
    arguments = run_arguments(where, "inventory", store)
    with ExitStack() as running:
        for _ in range(count):
            running.enter_context(process(*arguments, stops=True))
        _until_owned(store, count)
        return _answered(where, topic, topic, events)


def _until_owned(store: str, count: int) -> None:
    """Wait until as many workers are connected, and the partitions have been taken over by each of them."""
    deadline = time.monotonic() + 60
    epochs, since = None, time.monotonic()
    with psycopg.connect(store, autocommit=True) as connection:
        while time.monotonic() < deadline:
            found = connection.execute("SELECT topic, partition, epoch FROM choreo.positions").fetchall()
            if found != epochs:
                epochs, since = found, time.monotonic()
            others = connection.execute(
                "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchone()
            if others and others[0] >= count and found and time.monotonic() - since > 3:
                return
            time.sleep(0.1)
    raise TimeoutError(f"no {count} replicas within 60 s")


def _answered(where: Site, topic: str, out: str, events: int) -> float:
    """Return how many orders a second are answered, by records on the topic ``out``."""
    feed = Feed(where.bootstrap)
    with hop.watching(where, out) as watcher:
        _await(watcher, [feed.order(topic)], topic == out, 60.0)
        begun = time.perf_counter()
        _await(watcher, feed.orders(topic, events), topic == out)
        return events / (time.perf_counter() - begun)


def _await(watcher: Consumer, orders: Sequence[str], are_events: bool, longest: float = _LONGEST) -> None:
    """Wait until orders are answered: by events, or by records without headers, of which any will do."""
    waiting, deadline = {each.encode() for each in orders}, time.monotonic() + longest
    while waiting:
        for message in watcher.consume(1000, 0.5):
            if message.error() is not None:
                continue
            if not are_events:
                waiting.pop()
            elif hop.is_answer(dict(message.headers())):
                waiting.discard(message.key())
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(waiting)} orders were not answered within {longest:.0f} s")


def _store(server: Server) -> str:
    name = f"store_{uuid4().hex[:8]}"
    made_from_template(server.address("postgres"), name)
    return on(server.address("postgres"), name)


def _faststream(where: Site, server: Server, events: int) -> dict[str, Any]:
    """Return the figure of FastStream's service, or why there is none."""
    try:
        python = _environment()
    except subprocess.CalledProcessError as error:
        return {"faststream": f"unavailable: {(error.stdout or '').strip()[-200:]}"}
    name, topic, out = f"faststream_{uuid4().hex[:8]}", where.topic(), where.topic()
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    address = f"postgresql+asyncpg://tester@/{name}?host={server.home}&port={server.port}"
    schemas = json.dumps([schema_of(OrderCreated), schema_of(InventoryReserved)])
    with process(python, str(_PROGRAM), where.bootstrap, address, topic, out, schemas):
        try:
            return {"faststream_events_per_s": round(_answered(where, topic, out, events))}
        except TimeoutError as error:
            return {"faststream": f"unavailable: {error}"}


def _environment() -> str:
    """Return the Python of a virtual environment with FastStream, which is made where there is none."""
    folder = Path(sys.prefix) / "bench-faststream"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PACKAGES],
        ):
            subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        (folder / "ready").touch()
    return str(python)

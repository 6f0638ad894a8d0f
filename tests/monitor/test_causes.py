"""Each alert is made to fire, and to resolve, by its cause: real services, Kafka, Prometheus, Alertmanager.

The rules are those of ``choreo monitor alerts`` with shorter times. With ``CHOREO_ALERTS=1`` all causes
are gone through (``make alerts``).
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic, murmur2

from choreo import connect
from choreo.graph import Choreography
from choreo.kafka import EmbeddedBroker
from choreo.monitor.alerts import alerts, rules_file
from choreo.monitor.grafana import rows
from choreo.project.choreography import choreography_named
from choreo.project.manifests import manifest_from
from tests.broker.kafka import Broker, BrokerFailed
from tests.broker.kafka_jars import Unavailable
from tests.cli.command import CHOREO
from tests.conftest import unavailable
from tests.monitor.alertmanager import Webhook, alertmanager, webhook
from tests.monitor.errand import Asked, desk
from tests.monitor.prometheus import Prometheus, free_port, prometheus, until
from tests.postgresql.databases import empty
from tests.postgresql.server import Server
from tests.postgresql.server import Unavailable as NoPostgreSQL
from tests.scenarios.stage import event_headers

ROOT = Path(__file__).parents[2]
METRIC = re.compile(r"\b((?:saga|choreo)_(?!type)\w+)\b")
MODULE = "tests.monitor.errand"
SHORTER = ((r"> \d{3}\b", "> 5"), (r"> 60$", "> 3"), (r"\[5m\]", "[10s]"))
"""What is in the place of longer times: of a silent saga, of late work, of the rate of failures."""


@pytest.fixture(scope="module")
def choreography() -> Choreography:
    """Return that of the errands."""
    return choreography_named([MODULE], manifest_from)


class Errands:
    """Two services that run, and everybody who looks at them."""

    def __init__(self, folder: Path, bootstrap: str, ports: dict[str, int], server: Server | None) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self._ports = ports
        self._more = ["--kafka", "session.timeout.ms=6000"] if server else ["--embedded"]
        self.server = server
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._asked = 0

    def start(self, name: str) -> None:
        """Start a service, whose calls have room for one, and which is missed for 6 s where it was killed."""
        command = [*CHOREO, "run", f"{MODULE}:{name}", "--bootstrap", self.bootstrap, *self._more]
        command += ["--store", self.store(name), "--admin", str(self._ports[name]), "--calls", "1"]
        command += ["--kafka", "group.protocol=classic", "--kafka", "session.timeout.ms=6000"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "ERRANDS": str(self.folder)}
            )

    def kill(self, name: str) -> None:
        """Kill a service."""
        self._running[name].kill()
        self._running[name].wait()

    def close(self) -> None:
        """End the services."""
        for name in self._running:
            self.kill(name)

    def store(self, name: str) -> str:
        """Return where a service's store is: the shop's in PostgreSQL, where there is a server."""
        if name == "shop" and self.server is not None:
            return self.server.address("postgres")
        return str(self.folder / f"{name}.db")

    def ask(self, what: str, partition: int = 0) -> str:
        """Start a saga on a partition, and return its id."""
        while True:
            self._asked += 1
            saga_id = f"e{self._asked}"
            if murmur2(saga_id.encode(), 2) == partition:
                break
        with desk.transaction() as tx:
            return tx.start(Asked(what), saga_id=saga_id)

    def settle(self, verb: str, name: str, *more: str) -> None:
        """Requeue or discard all dead letters of a service."""
        command = [*CHOREO, "dlq", verb, "--all", "--store", self.store(name), *more]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def told(self) -> str:
        """Return the ends of the services' logs."""
        return "\n".join(each.read_text()[-2000:] for each in sorted(self.folder.glob("*.log")))


class Seen:
    """What a person is told of, and what Prometheus has seen."""

    def __init__(self, errands: Errands, server: Prometheus, told: Webhook) -> None:
        self._errands = errands
        self._server = server
        self._webhook = told
        self.fired: set[str] = set()

    def fires(self, *names: str) -> None:
        """Wait until a person is told of alerts, all of which fire now."""
        self._until("firing", names)

    def ends(self, *names: str) -> None:
        """Wait until a person is told that alerts are over, and nothing fires any more."""
        self._until("resolved", names)
        self.fired.update(names)
        until(lambda: not self._server.alerts(), lambda: f"{self._server.alerts()}\n{self._errands.told()}")
        self._webhook.told.clear()

    def _until(self, status: str, names: tuple[str, ...]) -> None:
        for name in names:
            until(
                lambda: self._webhook.has_told(name, status),  # noqa: B023
                lambda: f"{name} {status}: {self._webhook.told}\n{self._errands.told()}",  # noqa: B023
            )

    def answer(self, expression: str) -> list[Any]:
        """Return what an expression is answered with."""
        return self._server.answer(expression)

    def told(self) -> str:
        """Return the ends of the services' logs."""
        return self._errands.told()

    def values_changed(self, metric: str) -> bool:
        """Whether a series of a metric has had several values, or appeared, in this run."""
        changed = f"max_over_time({metric}[30m]) != min_over_time({metric}[30m])"
        return bool(self._server.answer(changed))


@contextmanager
def watched(
    folder: Path, bootstrap: str, choreography: Choreography, database: Server | None = None
) -> Iterator[tuple[Errands, Seen]]:
    """Start both services, Prometheus and Alertmanager, and wait until all is well."""
    ports = {"desk": free_port(), "shop": free_port()}
    rules = [each._replace(lasts="0s") for each in alerts(choreography)]
    for pattern, shorter in SHORTER:
        rules = [each._replace(expression=re.sub(pattern, shorter, each.expression)) for each in rules]
    with ExitStack() as stack:
        errands = Errands(folder, bootstrap, ports, database)
        stack.callback(errands.close)
        for name in ports:
            errands.start(name)
        until(lambda: Path(errands.store("desk")).exists(), errands.told)
        stack.enter_context(connect(desk, store=errands.store("desk")))
        told = stack.enter_context(webhook())
        manager = stack.enter_context(alertmanager(folder / "alertmanager", told))
        targets = [f"127.0.0.1:{port}" for port in ports.values()]
        server = stack.enter_context(prometheus(folder, rules_file(rules), targets, manager))
        until(lambda: len(server.answer("choreo_store_up == 1")) == 2, errands.told)
        until(lambda: not server.alerts(), lambda: f"{server.alerts()}")
        yield errands, Seen(errands, server, told)


def poison(errands: Errands, seen: Seen) -> None:
    """A record that nobody can read."""
    producer = Producer({"bootstrap.servers": errands.bootstrap})
    producer.produce("errand", b"\xff", key=b"e0", partition=0)
    producer.flush(10)
    seen.fires("DeadLettersWait")
    # Of one that is settled before anybody has looked nothing is ever told.
    until(lambda: len(seen.answer("choreo_dead_letters > 0")) == 2, seen.told)
    for name in ("desk", "shop"):
        errands.settle("discard", name, "--because", "a test")
    seen.ends("DeadLettersWait")


def contradict(errands: Errands, saga_id: str) -> None:
    """Another outcome of a step that has one, which changes nothing and alarms nobody."""
    producer = Producer({"bootstrap.servers": errands.bootstrap})
    headers = event_headers(saga_id, "errand", "shop.fetch", "errand.NotFetched", "failed")
    producer.produce("errand", b"", saga_id.encode(), 0, headers=headers)
    producer.flush(10)


def silence(errands: Errands, seen: Seen) -> None:
    """A worker that was killed, and a saga that waits for it."""
    errands.kill("shop")
    errands.ask("something")
    seen.fires("ParticipantSilent", "SagaStuck")
    errands.start("shop")
    seen.ends("ParticipantSilent", "SagaStuck")


def a_failing_compensation(errands: Errands, seen: Seen) -> None:
    """Somebody can't pay, and what was fetched can't be put back."""
    broken = errands.folder / "broken"
    broken.touch()
    errands.ask("poor")
    seen.fires("DeadLettersWait", "SagaStuckCompensating")
    broken.unlink()
    errands.settle("requeue", "shop")
    seen.fires("SagasFail")
    seen.ends("DeadLettersWait", "SagaStuckCompensating", "SagasFail")


def calls_that_do_not_end(errands: Errands, seen: Seen) -> None:
    """The others wait for room, and the first one hangs once its timeout has passed."""
    slow = errands.folder / "slow"
    slow.touch()
    for _ in range(3):
        errands.ask("something")
    seen.fires("CallsWaitForRoom", "CallsHang")
    slow.unlink()
    seen.ends("CallsWaitForRoom", "CallsHang")


def a_store_that_is_away(errands: Errands, seen: Seen) -> None:
    """Its server was stopped."""
    assert errands.server is not None
    errands.server.stop()
    seen.fires("StoreAway")
    errands.server.start()
    seen.ends("StoreAway")


def a_cluster_that_is_away(brokers: list[Broker], errands: Errands, seen: Seen) -> None:
    """What was started can't be published."""
    for each in brokers:
        each.pause()
    errands.ask("something")
    seen.fires("OutboxWaits", "PartitionWithoutLeader")
    for each in brokers:
        each.resume()
    seen.ends("OutboxWaits", "PartitionWithoutLeader")


def a_partition_without_a_leader(broker: Broker, errands: Errands, seen: Seen) -> None:
    """A worker that starts meanwhile can't read it, and doesn't enforce the deadlines of its sagas."""
    errands.kill("shop")
    errands.ask("something", partition=1)
    until(lambda: "fetch_is_late" in due(errands.store("desk")), errands.told)
    broker.kill()
    errands.kill("desk")
    errands.start("desk")
    seen.fires("PartitionWithoutLeader", "WorkIsLate")
    broker.start()
    errands.start("shop")
    seen.ends("PartitionWithoutLeader", "WorkIsLate")


def a_long_absence(errands: Errands, seen: Seen) -> None:
    """Much stands in the topic when a worker starts again: the same event, many times."""
    errands.kill("desk")
    reader = {"bootstrap.servers": errands.bootstrap, "group.id": "any", "auto.offset.reset": "earliest"}
    with closing(Consumer(reader)) as consumer:
        consumer.assign([TopicPartition("errand", 0, 1)])
        record = consumer.poll(30)
    assert record is not None
    assert record.error() is None
    producer = Producer({"bootstrap.servers": errands.bootstrap, "queue.buffering.max.messages": 200_000})
    for _ in range(60_000):
        producer.produce("errand", record.value(), record.key(), 0, headers=record.headers())
    producer.flush(60)
    errands.start("desk")
    seen.fires("ParticipantBehind")
    seen.ends("ParticipantBehind")


def due(store: str) -> str:
    """Return the names of what is on the schedule of a store."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return " ".join(name for (name,) in db.execute("select name from schedule"))


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[list[Broker]]:
    """Start two real brokers, each of which leads one partition of the topic; the groups are the first's."""
    first, second = Broker(tmp_path / "first"), Broker(tmp_path / "second")
    second.join(first)
    try:
        first.start()
        with closing(Consumer({"bootstrap.servers": first.bootstrap, "group.id": "any"})) as consumer:
            consumer.committed([TopicPartition("errand", 0)], timeout=30)
        second.start()
        admin = AdminClient({"bootstrap.servers": first.bootstrap})
        admin.create_topics([NewTopic("errand", 2, replica_assignment=[[1], [2]])])["errand"].result(30)
        yield [first, second]
    except (Unavailable, BrokerFailed) as error:
        unavailable(error)
    finally:
        second.kill()
        first.kill()


@pytest.fixture
def database() -> Iterator[Server]:
    """Start a PostgreSQL with the tables of a store."""
    try:
        server = Server()
    except NoPostgreSQL as error:
        unavailable(error, "PostgreSQL")
    try:
        server.start()
        empty(server.address("postgres"))
        yield server
    finally:
        server.remove()


def test_a_person_is_told_of_poison_and_of_a_silent_worker(
    choreography: Choreography, tmp_path: Path
) -> None:
    """And that both are over."""
    with (
        EmbeddedBroker() as broker,
        watched(tmp_path, broker.bootstrap, choreography) as (errands, seen),
    ):
        poison(errands, seen)
        silence(errands, seen)
        errands.ask("something")

        def without_a_value() -> list[str]:
            return [each for each in of_every_run(choreography) if not seen.answer(each)]

        until(lambda: not without_a_value(), lambda: f"{without_a_value()}\n{seen.told()}")


def of_every_run(choreography: Choreography) -> list[str]:
    """Return the expressions of the dashboard that have a value in any run, whatever happens in it."""
    return [each for each in shown(choreography) if "choreo_calls" not in each]


def shown(choreography: Choreography) -> list[str]:
    """Return all expressions of the dashboard."""
    panels = (panel for row in rows(choreography).values() for panel in row)
    return [query.expression for panel in panels for query in panel.queries]


@pytest.mark.kafka
@pytest.mark.skipif(not os.environ.get("CHOREO_ALERTS"), reason="make alerts")
def test_each_alert_fires_and_ends_with_its_cause(
    choreography: Choreography, brokers: list[Broker], database: Server, tmp_path: Path
) -> None:
    """And each metric of the rules is told by the services, with a value that changed."""
    names = {each.name for each in alerts(choreography)}
    with watched(tmp_path, brokers[0].bootstrap, choreography, database) as (errands, seen):
        saga_id = errands.ask("late")
        until(lambda: seen.values_changed("saga_completed_total"), errands.told)
        contradict(errands, saga_id)
        for cause in (poison, silence, a_failing_compensation, calls_that_do_not_end, a_store_that_is_away):
            cause(errands, seen)
        a_cluster_that_is_away(brokers, errands, seen)
        a_partition_without_a_leader(brokers[1], errands, seen)
        a_long_absence(errands, seen)
        assert seen.fired == names
        expressions = [*(each.expression for each in alerts(choreography)), *shown(choreography)]
        asked = {name for each in expressions for name in METRIC.findall(each)}
        asked -= {"saga_stuck_count"}  # it changes after ten minutes
        assert sorted(each for each in asked if not seen.values_changed(each)) == []

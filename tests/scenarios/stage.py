"""A stage for tests that misbehave: any participants, any records, a wire to tamper with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from choreo import Participant
from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.cloudevents import headers_of
from choreo.envelope import Envelope, event_id
from choreo.ports import Clock, Log, Publication, Store
from choreo.records import DeadLetter, Partition
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock
from tests.broker.any_broker import AnyBroker, InMemoryBroker, KafkaCluster
from tests.scenarios.shop import PARTICIPANTS, Shop
from tests.stores import open_store

Headers = Sequence[tuple[str, bytes | None]]
Change = Callable[[Publication], Iterable[Publication]]


class Wire:
    """A log whose publications pass through ``change``: it may alter, repeat or keep them."""

    def __init__(self, log: Log, change: Change) -> None:
        self.log = log
        self._change = change

    def publish(self, publications: Iterable[Publication]) -> None:
        """Hand over what ``change`` makes of them."""
        self.log.publish([changed for each in publications for changed in self._change(each)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


class Stage(Shop):
    """Workers of any participants on one topic, driven by the test's own thread."""

    def __init__(
        self,
        any_broker: AnyBroker,
        folder: Path,
        topic: str,
        participants: Sequence[Participant] = PARTICIPANTS,
        *,
        options: Options | None = None,
        change: Change | None = None,
        schemas: Sequence[Path] = (),
        clock: Clock | None = None,
    ) -> None:
        self.any_broker, self.topic, self.group = any_broker, topic, topic
        self._broker, self._folder, self._schemas = any_broker, folder, schemas
        self._options = options or Options(idle_seconds=0.0 if any_broker.name == "memory" else 0.005)
        self._clock = clock or SystemClock()
        self._change = change or (lambda publication: (publication,))
        self._producer: Producer | None = None
        self.stores: dict[str, Store] = {}
        self.workers: dict[str, Worker] = {}
        self.wires: dict[str, Wire] = {}
        any_broker.create_topic(topic)
        self.open(*participants)

    def open(self, *participants: Participant) -> None:
        """Start workers, each on its own database file, and wait until they are live."""
        for each in participants:
            store = open_store(self._folder / f"{each.name}.db")
            self.stores[each.name] = store
            log = self._broker.log(f"{self.group}-{each.name}", f"{self.group}-{each.name}-{store.store_id}")
            wire = self.wires[each.name] = Wire(log, self._change)
            codec = AvroCodec(each.events, self._schemas)
            worker = Worker(each, store, wire, codec, self._clock, self._options)
            worker.start()
            self.workers[each.name] = worker
            each.connect(StoreConnection(each, lambda store=store: store, codec, self._clock))
        self.until(lambda: all(worker.is_live for worker in self.workers.values()))

    def stop(self, *participants: Participant) -> None:
        """Stop workers as a crash does: nothing is finished, nothing is said."""
        for each in participants:
            del self.workers[each.name]
            self.wires.pop(each.name).close()
            self.stores.pop(each.name).close()

    def restart(self, *participants: Participant) -> None:
        """Stop workers and start new ones on the same databases."""
        self.stop(*participants)
        self.open(*participants)

    def append(self, key: bytes | None, headers: Headers, value: bytes | None) -> tuple[Partition, int]:
        """Append a record as any producer could; say where it lies."""
        if isinstance(self.any_broker, InMemoryBroker):
            record = self.any_broker.broker.append(self.topic, key, headers, value)
            return Partition(record.topic, record.partition), record.offset
        assert isinstance(self.any_broker, KafkaCluster)
        if self._producer is None:
            settings = {"bootstrap.servers": self.any_broker.bootstrap, "partitioner": "murmur2_random"}
            self._producer = Producer(settings)
        reports: list[Message] = []
        self._producer.produce(
            self.topic,
            value,
            key,
            headers=list(headers),
            on_delivery=lambda _, report: reports.append(report),
        )
        assert self._producer.flush(10) == 0
        (report,) = reports
        assert report.error() is None
        return Partition(self.topic, report.partition()), report.offset()

    def has_read(self, place: tuple[Partition, int]) -> bool:
        """Whether every participant's position lies behind a record."""
        partition, offset = place
        return all(store.positions().get(partition, 0) > offset for store in self.stores.values())

    def letters(self, participant: str) -> Sequence[DeadLetter]:
        """Return a participant's dead letters."""
        return self.stores[participant].dead_letters()

    def all_letters(self) -> dict[str, list[str]]:
        """Return the reasons of all dead letters, by participant."""
        return {name: [letter.reason for letter in self.letters(name)] for name in self.stores}


def event_headers(
    saga_id: str,
    saga_type: str,
    step: str,
    event_type: str,
    outcome: str = "succeeded",
    version: int = 1,
    source: str = "",
) -> list[tuple[str, bytes | None]]:
    """Return the headers of an event as the participant that owns its step would write them."""
    envelope = Envelope(
        event_id(saga_id, saga_type, step, outcome, event_type),
        source or step.partition(".")[0],
        event_type,
        1_700_000_000_000,
        saga_id,
        saga_type,
        version,
        step,
        outcome,  # type: ignore[arg-type]
        "compensatable",
    )
    return [*headers_of(envelope)]


def header(publication: Publication, name: str) -> str:
    """Return a header's text."""
    return dict(publication.headers)[name].decode()

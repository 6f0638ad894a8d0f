"""``choreo releases``: what a store's workers ran with, and what is newly declared done after all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from choreo import Context
from choreo.participant import Participant
from choreo.records import Entry
from tests.cli.command import assert_refused, invoke
from tests.worker.rig import Rig
from tests.worker.services import hotel
from tests.worker.trip import FlightBooked, FlightFull, TripBooked, TripCancelled, TripRequested


def with_a_ticket() -> Participant:
    """Return the hotel of the next release: it sends the ticket itself, and an observer looks on."""
    made = hotel()

    @made.action(kind="retriable")
    def send(event: FlightBooked, ctx: Context) -> TripBooked:
        ctx.db.execute("insert into effects values (?, 'send')", [ctx.saga_id])
        return TripBooked(event.trip)

    @made.observer
    def look(event: FlightBooked | FlightFull, ctx: Context) -> None:
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, type(event).__name__])

    return made


@pytest.fixture
def released(folder: Path) -> Iterator[Rig]:
    """Open the hotel of before, with three sagas in flight, and then the one of the next release."""
    rig = Rig(hotel(), folder)
    rig.open()
    for saga_id in ("s1", "s2", "s3"):
        rig.feed(TripRequested("t"), saga_id=saga_id)
    rig.feed(FlightBooked("t"), saga_id="s1")
    rig.feed(FlightBooked("t"), TripCancelled("t"), saga_id="s2")
    rig.close()
    rig.participant = with_a_ticket()
    rig.open()
    yield rig
    rig.close()


@pytest.fixture
def topic(released: Rig, monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Let the command read the rig's topic; give a place for the rows that it asked for."""
    asked: list[Entry] = []

    def bodies_of(cluster: object, rows: list[Entry]) -> dict[str, bytes]:
        asked.extend(rows)
        wanted = {row.event_id for row in rows}
        return {envelope.id: record.value for record, envelope in released.records() if envelope.id in wanted}  # type: ignore[misc]

    monkeypatch.setattr("choreo.cli.releases.apply.bodies_of", bodies_of)
    return asked


APPLY = ("releases", "apply", "hotel.send", "--store", "hotel.db")
CLUSTER = ("--bootstrap", "kafka:9092")


def test_what_is_newly_declared_is_done_once(released: Rig, topic: list[Entry]) -> None:
    """Only in the sagas that are past what calls it, with bodies that the log of before did not keep."""
    assert released.effects("s1") == ["action"]
    done = invoke(*APPLY, *CLUSTER, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "hotel.send: 2 sagas in flight are past what calls it\n  2 sagas: would run it\n" in done.stdout
    assert {row.event_type for row in topic} == {"trip.FlightBooked"}
    released.settle()
    assert released.effects("s1") == ["action"]
    done = invoke(*APPLY, *CLUSTER, "--yes")
    assert done.exit_code == 0, done.output
    assert "no saga in flight of 3 sagas is past what calls it" in invoke(*APPLY, *CLUSTER, "--yes").stdout
    released.settle()
    for saga_id in ("s1", "s2"):
        assert released.effects(saga_id) == ["action", "send"]
        assert TripBooked("t") in released.published(saga_id)
    assert released.effects("s3") == ["action"]
    assert "no saga in flight" in invoke(*APPLY, *CLUSTER, "--yes").stdout
    assert invoke(*APPLY[:2], "hotel.look", *APPLY[3:], "--yes").stdout.startswith(
        "hotel.look: no saga in flight"
    )


def test_an_observer_is_shown_what_came_before(released: Rig, topic: list[Entry]) -> None:
    """Each event once, and none that it has handled."""
    look = ("releases", "apply", "hotel.look", "--store", "hotel.db", *CLUSTER, "--yes")
    for _ in range(2):
        assert invoke(*look).exit_code == 0
        released.settle()
    assert released.effects("s2") == ["action", "FlightBooked"]
    released.feed(FlightFull("t", "full"), saga_id="s3")
    assert released.effects("s3")[:2] == ["action", "FlightFull"] or "FlightFull" in released.effects("s3")
    assert "no saga in flight" in invoke(*look).stdout


def test_nothing_is_done_without_the_bodies_or_without_an_answer(released: Rig) -> None:
    """One line each, and nothing is written."""
    done = invoke(*APPLY, "--yes")
    assert_refused(done.exit_code, done.stderr, "no Kafka cluster is named")
    done = invoke("releases", "apply", "hotel.sent", "--store", "hotel.db")
    assert_refused(done.exit_code, done.stderr, "declares no hotel.sent")
    assert released.letters() == []


def test_what_the_topic_has_lost_is_left_alone(released: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And said, saga by saga."""
    monkeypatch.setattr("choreo.cli.releases.apply.bodies_of", lambda cluster, rows: {})
    done = invoke(*APPLY, *CLUSTER, "--yes")
    assert done.exit_code == 1
    assert "left alone: saga s1: the saga log did not keep the body of trip.FlightBooked" in done.stderr
    assert released.letters() == []


def test_bodies_are_read_where_the_rows_say(released: Rig) -> None:
    """Only the events that were asked for, and only where the record is that event's."""
    from choreo.cli.options import Cluster
    from choreo.cli.topic_source import bodies_of
    from choreo.kafka import EmbeddedBroker

    rows = [row for row in released.history() if row.input == "event"]
    with EmbeddedBroker() as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for record, _ in released.records():
            producer.produce("trip", record.value, record.key, partition=0, headers=list(record.headers))
        producer.flush(10)
        cluster = Cluster(broker.bootstrap, False, {"allow.auto.create.topics": "true"})
        assert bodies_of(cluster, rows[-1:]) == {
            rows[-1].event_id: released.codec.encode(FlightBooked("t")),
        }
        assert bodies_of(cluster, [rows[-1]._replace(event_id="other")]) == {}


def test_the_releases_of_a_store_are_listed(released: Rig) -> None:
    """What changed, since when, and from where; with the manifests as JSON."""
    done = invoke("releases", "list", "--store", "hotel.db")
    assert done.exit_code == 0, done.output
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("hotel release 1 since 2023-11-14T22:13:20.000Z: from the beginning")
    assert "send is new" in done.stdout
    assert last.startswith("  ")
    before, today = json.loads(invoke("releases", "list", "--store", "hotel.db", "--format", "json").stdout)
    assert (before["in_force"], today["in_force"], before["after"]) == (False, True, 0)
    assert [each[:2] for each in today["positions"]] == [["trip", 0]]
    assert "look is new" in today["changes"]
    assert today["manifest"]["participant"] == "hotel"

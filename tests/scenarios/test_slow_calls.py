"""A step that takes longer than the broker waits for a consumer that doesn't poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo import Aborted, Context, Participant
from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.events import event_name
from choreo.ports import Assignment
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock
from tests.broker.any_broker import AnyBroker
from tests.stores import open_store
from tests.worker.trip import (
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripFailed,
    TripRequested,
    trip,
)

POLL_INTERVAL = 2.0
STEP = 4.0


def agency_with_a_slow_hotel(released: threading.Event, keys: list[str]) -> Participant:
    """Make a participant that starts trips, and books hotels with a function that blocks."""
    participant = Participant("hotel", sagas=[trip])

    @participant.action(fails=HotelFull, blocking=True)
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        keys.append(ctx.idempotency_key)
        if event.trip == "slow":
            assert released.wait(60)
        return HotelBooked(event.trip)

    @participant.compensation(of=book)
    def cancel(
        event: FlightFull | FlightCancelled | Aborted, booked: HotelBooked | None, ctx: Context
    ) -> HotelCancelled:
        return HotelCancelled(ctx.saga_id)

    @participant.compensation(of=trip.start)
    def fail_trip(event: HotelFull | HotelCancelled, requested: TripRequested) -> TripFailed:
        return TripFailed(requested.trip, "no hotel")

    return participant


@pytest.mark.kafka
@pytest.mark.parametrize("any_broker", ["kafka"], indirect=True)
def test_a_step_that_lasts_longer_than_the_poll_interval_causes_no_rebalance(
    any_broker: AnyBroker, tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four seconds with two allowed: assigned once, called once, and other sagas end meanwhile."""
    monkeypatch.setattr(trip, "topic", topic)
    any_broker.create_topic(topic)
    released, keys = threading.Event(), list[str]()
    participant = agency_with_a_slow_hotel(released, keys)
    store = open_store(tmp_path / "hotel.db")
    milliseconds = round(POLL_INTERVAL * 1000)
    log = any_broker.log(
        topic,
        max_poll_interval_ms=milliseconds,
        session_timeout_ms=milliseconds,
        heartbeat_interval_ms=milliseconds // 5,
    )
    codec, clock = AvroCodec(participant.events), SystemClock()
    worker = Worker(participant, store, log, codec, clock, Options(idle_seconds=0.005))
    participant.connect(StoreConnection(participant, lambda: store, codec, clock))
    assigned, revoked = watched(worker)
    worker.start()

    def booked(saga_id: str) -> bool:
        return any(
            entry.input == "event" and entry.event_type == event_name(HotelBooked)
            for entry in store.history(saga_id)
        )

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            worker.turn()
            assert time.monotonic() < deadline

    until(lambda: worker.is_live)
    with participant.transaction() as tx:
        tx.start(TripRequested("slow"), saga_id="slow")
    until(lambda: len(keys) == 1)
    begun = time.monotonic()
    with participant.transaction() as tx:
        tx.start(TripRequested("quick"), saga_id="quick")
    until(lambda: booked("quick"))
    until(lambda: time.monotonic() > begun + STEP)
    assert not booked("slow")
    released.set()
    until(lambda: booked("slow"))
    assert (len(assigned), revoked) == (1, [])
    assert len(keys) == len(set(keys)) == 2
    store.close()


def watched(worker: Worker) -> tuple[list[object], list[object]]:
    """Note every assignment and every revocation of a worker that isn't started yet."""
    assigned: list[object] = []
    revoked: list[object] = []
    assign, revoke = worker._assigned, worker._revoked

    def on_assign(assignments: list[Assignment]) -> list[int]:
        assigned.append(assignments)
        return assign(assignments)

    def on_revoke(partitions: list[object]) -> None:
        revoked.append(partitions)
        revoke(partitions)  # type: ignore[arg-type]

    worker._assigned = on_assign  # type: ignore[method-assign,assignment]
    worker._revoked = on_revoke  # type: ignore[method-assign,assignment]
    return assigned, revoked

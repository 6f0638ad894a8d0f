"""External events: imported from other topics as steps of the saga, exported to them as copies."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo import Context, External, Participant
from choreo.avro import AvroCodec
from choreo.cloudevents import read
from choreo.outcome import CANCEL, START
from choreo.records import Partition, Record
from choreo.worker.dead_letters import settle
from tests.broker.any_broker import AnyBroker
from tests.scenarios.stage import Stage
from tests.stores import open_store, remove
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import agency, flight, hotel, prepare, ticket
from tests.worker.trip import (
    FlightBooked,
    HotelBooked,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
    trip,
)

BOOKED = b"trip.HotelBooked"


def office(*external: External, **options: Any) -> Participant:
    """Make a participant that starts trips, and books a flight once a hotel is booked."""
    participant = Participant("office", sagas=[trip], external=external, prepare=prepare, **options)

    @participant.compensation(of=trip.start)
    def give_up(event: TripCancelled, asked: TripRequested, ctx: Context) -> TripFailed:
        return TripFailed(asked.trip, "cancelled")

    @participant.action(kind="retriable")
    def confirm(event: HotelBooked, ctx: Context) -> TripBooked:
        ctx.db.execute("insert into effects values (?, 'confirmed')", [ctx.saga_id])
        return TripBooked(event.trip)

    return participant


def booked(**options: Any) -> External:
    return External(HotelBooked, topic="chain", saga_id=lambda event: event.trip, **options)


def opened(rig: Rigs, participant: Participant) -> Rig:
    rigged = rig(participant, opened=False)
    rigged.broker.create_topic("chain", 1)
    rigged.open()
    return rigged


def told(rigged: Rig, event: Any, headers: Any = None, value: bytes | None = None) -> None:
    """Let the hotel chain publish something on its own topic."""
    name = b"trip." + type(event).__name__.encode()
    body = rigged.codec.encode(event) if value is None else value
    rigged.broker.append("chain", b"any", [("ce_type", name)] if headers is None else headers, body)
    rigged.settle()


def begin(rigged: Rig, saga_id: str = "s1") -> None:
    with rigged.participant.transaction() as tx:
        tx.start(TripRequested("t"), saga_id)
    rigged.settle()


def test_an_external_event_becomes_a_step_of_the_saga(rig: Rigs) -> None:
    """Only the copy on the saga's topic is folded."""
    rigged = opened(rig, office(booked()))
    begin(rigged)
    told(rigged, HotelBooked("s1", room=7))
    assert rigged.published()[1:] == [HotelBooked("s1", room=7), TripBooked("s1")]
    copy = rigged.records()[1][1]
    assert (copy.step, copy.outcome, copy.kind, copy.source) == (
        *("office.HotelBooked", "succeeded", "external"),
        "office",
    )
    assert rigged.state("office.HotelBooked") == "completed"
    assert rigged.effects() == ["confirmed"]


def test_an_external_event_counts_once(rig: Rigs) -> None:
    """The same record again, another one for the same saga, and both again by a participant that is new."""
    rigged = opened(rig, office(booked()))
    begin(rigged)
    for room in (1, 1, 2):
        told(rigged, HotelBooked("s1", room=room))
    rigged.close()
    remove(rigged.path)
    rigged.begin()
    ids = [envelope.id for _, envelope in rigged.records() if envelope.type == "trip.HotelBooked"]
    assert len(ids) == 1
    assert rigged.published()[1:] == [HotelBooked("s1"), TripBooked("s1")]


def test_an_external_event_may_start_a_saga(rig: Rigs) -> None:
    """The participant owns the start, as if it had started it itself; once."""
    wanted = External(TripRequested, topic="chain", saga_id=lambda event: f"trip-{event.trip}")
    rigged = opened(rig, office(wanted))
    told(rigged, TripRequested("t"))
    told(rigged, TripRequested("t"))
    assert rigged.published("trip-t") == [TripRequested("t")]
    assert rigged.saga("trip-t").started
    assert rigged.records()[0][1].step == START
    with rigged.participant.transaction() as tx:
        tx.cancel("trip-t", TripCancelled("t"))
    rigged.settle()
    assert rigged.published("trip-t")[-1] == TripFailed("t", "cancelled")


def test_an_external_event_may_cancel_a_saga(rig: Rigs) -> None:
    """As `tx.cancel` would."""
    rigged = opened(rig, office(External(TripCancelled, topic="chain", saga_id=lambda event: event.trip)))
    begin(rigged)
    told(rigged, TripCancelled("s1"))
    assert rigged.records()[1][1].step == CANCEL
    assert rigged.published()[-1] == TripFailed("t", "cancelled")


def test_what_concerns_no_saga_is_passed_over(rig: Rigs) -> None:
    """Other events of the topic, those of no saga, and what `decode` says is none."""

    def decode(value: bytes) -> HotelBooked | None:
        fields = json.loads(value)
        return HotelBooked(fields["trip"]) if fields["what"] == "booked" else None

    plain = External(HotelBooked, topic="chain", saga_id=lambda event: event.trip or None)
    rigged = opened(rig, office(plain))
    told(rigged, FlightBooked("s1"))
    told(rigged, HotelBooked(""))
    rigged.broker.append("chain", b"k", [], b"noise")
    rigged.settle()
    assert rigged.records() == []
    rigged.participant = office(booked(decode=decode))
    rigged.restart()
    told(rigged, None, [], b'{"what": "priced"}')
    told(rigged, None, [], b'{"what": "booked", "trip": "s2"}')
    assert rigged.published("s2") == [HotelBooked("s2")]
    assert rigged.letters() == [letter for letter in rigged.letters() if letter.saga_id == "s2"]


def _raises(event: HotelBooked) -> str:
    raise KeyError(event.trip)


@pytest.mark.parametrize(
    ("external", "value", "detail"),
    [
        (booked(), b"rubbish", "trip.HotelBooked"),
        (booked(), b"", "too short"),
        (booked(decode=json.loads), b"{", "JSONDecodeError"),
        (booked(decode=json.loads), b"{}", "gave a dict"),
        (External(HotelBooked, topic="chain", saga_id=_raises), None, "KeyError"),
        (External(HotelBooked, topic="chain", saga_id=lambda event: 7), None, "gave a int"),  # type: ignore[arg-type,return-value]
        (External(HotelBooked, topic="chain", saga_id=lambda event: ""), None, "printable"),
    ],
    ids=[
        "body",
        "no body",
        "decode raises",
        "decode gives another",
        "id raises",
        "id is no str",
        "id is bad",
    ],
)
def test_a_record_that_can_not_be_imported_is_a_dead_letter(
    rig: Rigs, external: External, value: bytes | None, detail: str
) -> None:
    """With the raw record; the next one is imported."""
    rigged = opened(rig, office(external))
    told(rigged, HotelBooked("s1"), [("ce_type", BOOKED)], value)
    (letter,) = rigged.letters()
    assert (letter.reason, letter.task, letter.name) == ("unimportable", "import", "office.HotelBooked")
    assert detail in letter.detail
    assert (letter.topic, letter.offset, letter.key) == ("chain", 0, b"any")
    assert rigged.store.positions()[Partition("chain", 0)] == 1


def test_a_record_that_could_not_be_imported_is_requeued(rig: Rigs) -> None:
    """After the code, or the event, was mended."""
    rigged = opened(rig, office(External(HotelBooked, topic="chain", saga_id=_raises)))
    begin(rigged)
    told(rigged, HotelBooked("s1", room=3))
    (letter,) = rigged.letters()
    rigged.participant = office(booked())
    rigged.close()
    with closing(open_store(rigged.path)) as store:
        assert settle(store, letter, "requeued", "", 0)
    rigged.open()
    assert rigged.published()[1:] == [HotelBooked("s1", room=3), TripBooked("s1")]


def test_an_edited_record_is_imported(rig: Rigs) -> None:
    """Whatever `decode` would have said."""
    rigged = opened(rig, office(booked(decode=json.loads)))
    begin(rigged)
    told(rigged, None, [], b"{")
    (letter,) = rigged.letters()
    with closing(open_store(rigged.path)) as store:
        with store.turn():
            store.edit_dead_letter(letter.id, rigged.codec.encode(HotelBooked("s1", room=4)))
        assert settle(store, letter, "requeued", "", 0)
    rigged.settle()
    assert rigged.published()[1:] == [HotelBooked("s1", room=4), TripBooked("s1")]


def test_an_exported_event_goes_to_both_topics(rig: Rigs) -> None:
    """The same record, in one transaction with what emitted it; the start, too."""
    exports = (External(event, topic="chain") for event in (TripBooked, TripRequested))
    rigged = opened(rig, office(*exports))
    begin(rigged)
    rigged.feed(HotelBooked("t"))
    saga = {envelope.type: (envelope, record.value) for record, envelope in rigged.records()}
    for record in rigged.broker.records("chain"):
        assert (read(record), record.value) == saga[read(record).type]
    assert [read(each).type for each in rigged.broker.records("chain")] == [
        *("trip.TripRequested", "trip.TripBooked")
    ]


def records_of(any_broker: AnyBroker, topic: str, count: int) -> list[Record]:
    """Read a topic from its beginning."""
    log, records = any_broker.log(f"reader-of-{topic}"), list[Record]()
    log.subscribe([topic], lambda assigned: [each.low for each in assigned], lambda revoked: None)
    deadline = time.monotonic() + 20
    while len(records) < count:
        records += log.take(100, 0.05).records
        assert time.monotonic() < deadline
    return records


def test_a_trip_that_begins_and_ends_outside(
    any_broker: AnyBroker, tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every broker: asked for on one topic, three times; told on another, once."""
    monkeypatch.setattr(trip, "topic", topic)
    asked, done = f"{topic}-asked", f"{topic}-done"
    for name in (asked, done):
        any_broker.create_topic(name)
    desk = Participant(
        "agency",
        sagas=[trip],
        prepare=prepare,
        external=[External(TripRequested, topic=asked, saga_id=lambda event: event.trip)],
    )
    for handler in agency().handlers:
        options: dict[str, Any] = {"of": trip.start} if handler.task == "compensation" else {}
        getattr(desk, handler.task)(**options)(handler.function)
    printer = Participant(
        "ticket", sagas=[trip], prepare=prepare, external=[External(TripBooked, topic=done)]
    )
    printer.action(kind="retriable")(ticket().handlers[0].function)
    stage = Stage(any_broker, tmp_path, topic, [desk, hotel(), flight(), printer])
    stage.topic = asked
    codec = AvroCodec([TripRequested])
    for saga_id in ("a", "b", "a", "a"):
        stage.append(
            saga_id.encode(), [("ce_type", b"trip.TripRequested")], codec.encode(TripRequested(saga_id))
        )
    stage.topic = topic
    stage.until_quiet(["a", "b"])
    assert stage.ends("a") == stage.ends("b") == {"completed"}
    assert stage.value("hotel", "select count(*) from effects") == 2
    assert not any(stage.all_letters().values())
    assert sorted(read(record).saga_id for record in records_of(any_broker, done, 2)) == ["a", "b"]
    stage.close()

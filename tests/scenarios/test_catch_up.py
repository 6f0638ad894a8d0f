"""A participant that comes late, or comes back: it acts on what still waits for it, and on nothing else.

A new participant, `loyalty`, gives points once the payment is made; the topic is full of sagas that never
knew it. `payments`, which was away, finds sagas that were cancelled, or went on, or ended without it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from choreo import Context, Participant, Saga, event
from choreo.avro import AvroCodec
from choreo.cloudevents import headers_of, read
from choreo.envelope import Envelope, event_id
from choreo.events import event_name
from choreo.ports import Log, Publication, Store
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock
from tests.broker.any_broker import AnyBroker, InMemoryBroker, KafkaCluster, unique
from tests.stores import open_store


@event(namespace="late")
class Ordered:
    order: str


@event(namespace="late")
class Paid:
    order: str


@event(namespace="late")
class NotPaid:
    order: str
    reason: str


@event(namespace="late")
class Refunded:
    order: str


@event(namespace="late")
class Rewarded:
    order: str


@event(namespace="late")
class NotRewarded:
    order: str
    reason: str


@event(namespace="late")
class Unrewarded:
    order: str


@event(namespace="late")
class Sent:
    order: str


@event(namespace="late")
class NotSent:
    order: str
    reason: str


@event(namespace="late")
class Failed:
    order: str


@event(namespace="late")
class Cancelled:
    order: str


EVENTS = (
    *(Ordered, Paid, NotPaid, Refunded, Rewarded, NotRewarded, Unrewarded, Sent, NotSent, Failed),
    Cancelled,
)

STEPS: dict[type, tuple[str, str, str, str]] = {
    Ordered: ("orders", "start", "succeeded", "start"),
    Paid: ("payments", "payments.pay", "succeeded", "compensatable"),
    NotPaid: ("payments", "payments.pay", "failed", "compensatable"),
    Refunded: ("payments", "payments.pay", "compensated", "compensatable"),
    Sent: ("shipping", "shipping.send", "succeeded", "pivot"),
    NotSent: ("shipping", "shipping.send", "failed", "pivot"),
    Failed: ("orders", "start", "compensated", "start"),
    Cancelled: ("orders", "cancel", "succeeded", "cancellation"),
}

HISTORIES: dict[str, tuple[type, ...]] = {
    "completed": (Ordered, Paid, Sent),
    "failed": (Ordered, Paid, NotSent, Refunded, Failed),
    "failed at once": (Ordered, NotPaid, Failed),
    "given up": (Ordered, Failed),
    "aborted": (Ordered, Paid, NotSent),
    "cancelled": (Ordered, Cancelled, Paid),
    "in flight": (Ordered, Paid),
    "just begun": (Ordered,),
}
"""What lies in the log of an old saga, by how it stands."""


def late(topic: str) -> tuple[Saga, Participant, Participant]:
    """Return the saga, the participant that is new to it, and the one that was away."""
    saga = Saga("late", starts=Ordered, completes=Sent, fails=Failed, aborts=Cancelled, topic=topic)
    loyalty = Participant("loyalty", sagas=[saga], prepare=_prepare)

    @loyalty.action(fails=NotRewarded, timeout=None)
    def reward(event: Paid, ctx: Context) -> Rewarded:
        ctx.db.execute("insert into effects values (?)", [event.order])
        return Rewarded(event.order)

    @loyalty.compensation(of=reward)
    def take_back(event: NotSent, rewarded: Rewarded, ctx: Context) -> Unrewarded:
        ctx.db.execute("delete from effects where order_id = ?", [rewarded.order])
        return Unrewarded(rewarded.order)

    payments = Participant("payments", sagas=[saga], prepare=_prepare)

    @payments.action(fails=NotPaid, timeout=None)
    def pay(event: Ordered, ctx: Context) -> Paid:
        ctx.db.execute("insert into effects values (?)", [event.order])
        return Paid(event.order)

    @payments.compensation(of=pay)
    def refund(event: NotSent, paid: Paid, ctx: Context) -> Refunded:
        ctx.db.execute("delete from effects where order_id = ?", [paid.order])
        return Refunded(paid.order)

    return saga, loyalty, payments


def _prepare(db: Any) -> None:
    db.execute("create table if not exists effects (order_id text primary key)")


def resident() -> float:
    """Return the memory that this process holds, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Caught(NamedTuple):
    """What a participant did by the time that it had caught up."""

    seconds: float
    effects: set[str]
    published: dict[str, Counter[str]]
    """By how the saga stood: which events, and how many."""
    store: Store
    waiting: int
    """How many rows the schedule held at most."""


def catch_up(
    memory: AnyBroker, participant: Participant, path: Path, topic: str, expected: int, options: Options
) -> Caught:
    """Run a participant until it has folded all there was, has nothing left to do, and published that."""
    store, codec = open_store(path), AvroCodec(EVENTS)
    log = memory.log(f"{topic}-{participant.name}")
    worker = Worker(participant, store, log, codec, SystemClock(), options)
    began, waiting = time.monotonic(), 0
    worker.start()
    while not (worker.is_live and store.next_due() is None and not store.unpublished(0, 1)):
        worker.turn()
        waiting = max(waiting, store.db.execute("select count(*) from schedule").fetchone()[0])
        assert time.monotonic() - began < 120
    seconds = time.monotonic() - began
    log.close()
    effects = {row[0] for row in store.db.execute("select order_id from effects")}
    published: dict[str, Counter[str]] = {}
    for saga_id, name in store.db.execute(
        "select saga_id, event_type from saga_log where event_id <> '' and source = ? and input <> 'event'",
        [participant.name],
    ):
        published.setdefault(saga_id.split("/")[0], Counter())[name.removeprefix("late.")] += 1
    assert store.db.execute("select count(distinct saga_id) from saga_log").fetchone()[0] == expected
    return Caught(seconds, effects, published, store, waiting)


def write(log: Log, topic: str, sagas: dict[str, int], *, without: type | None = None) -> int:
    """Publish the histories of so many sagas of each kind, interleaved; give the number of records."""
    codec, records = AvroCodec(EVENTS), []
    for kind, count in sagas.items():
        for number in range(count):
            for place, cls in enumerate(HISTORIES[kind]):
                if cls is not without:
                    records.append(((place, number), _publication(codec, topic, f"{kind}/{number}", cls)))
    records.sort(key=lambda each: each[0])
    log.publish([each._replace(seq=seq) for seq, (_, each) in enumerate(records)])
    acknowledged, deadline = 0, time.monotonic() + 60
    while acknowledged < len(records):
        acknowledged += len(log.flush(1.0))
        assert time.monotonic() < deadline
    return len(records)


def _publication(codec: AvroCodec, topic: str, saga_id: str, cls: type) -> Publication:
    source, step, outcome, kind = STEPS[cls]
    given = cls(saga_id, "full") if cls in (NotPaid, NotSent) else cls(saga_id)
    name, now = event_name(cls), SystemClock().now()
    identity = event_id(saga_id, "late", step, outcome, name)
    envelope = Envelope(identity, source, name, now, saga_id, "late", 1, step, outcome, kind)  # type: ignore[arg-type]
    return Publication(0, topic, saga_id.encode(), headers_of(envelope), codec.encode(given))


@pytest.fixture
def memory() -> InMemoryBroker:
    """Return a broker in memory."""
    return InMemoryBroker()


TIMES = 10 if os.environ.get("CHOREO_FUZZ") else 3
MIX = {
    "completed": 600 * TIMES,
    "failed": 250 * TIMES,
    "failed at once": 140 * TIMES,
    "aborted": 40,
    "in flight": 60,
}


def check_newcomer(caught: Caught, sagas: dict[str, int]) -> None:
    """It acts on what is in flight, refuses what is aborted, and is silent about what has ended."""
    assert caught.effects == {f"in flight/{number}" for number in range(sagas["in flight"])}
    assert caught.published == {
        "in flight": Counter(Rewarded=sagas["in flight"]),
        "aborted": Counter(NotRewarded=sagas["aborted"]),
    }


def test_a_newcomer_acts_on_none_of_thousands_of_old_sagas_that_ended_without_it(
    memory: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """Folding them takes seconds; the schedule is empty again, and the memory of sagas is bounded."""
    _, loyalty, _ = late(topic)
    memory.create_topic(topic)
    records = write(memory.log("others"), topic, MIX)
    before = resident()
    options = Options(idle_seconds=0.0, sagas_in_memory=1_000)
    caught = catch_up(memory, loyalty, tmp_path / "loyalty.db", topic, sum(MIX.values()), options)
    grown = resident() - before
    print(f"{records} records in {caught.seconds:.1f} s, {grown:.0f} MiB more, {caught.waiting} rows waiting")
    check_newcomer(caught, MIX)
    assert caught.store.db.execute("select count(*) from schedule").fetchone() == (0,)
    assert caught.store.dead_letters() == []
    caught.store.close()
    assert caught.seconds < 60
    assert grown < 100


AWAY = {"completed": 300, "given up": 300, "cancelled": 40, "just begun": 60}


def test_who_was_away_charges_nobody_for_what_was_aborted_or_ended_meanwhile(
    memory: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """Its store stands early; it pays only for the sagas that really wait for it."""
    _, _, payments = late(topic)
    memory.create_topic(topic)
    others = memory.log("others")
    write(others, topic, {"just begun": 5})
    first = catch_up(memory, payments, tmp_path / "payments.db", topic, 5, Options(idle_seconds=0.0))
    assert len(first.effects) == 5
    first.store.close()

    write(others, topic, AWAY, without=Paid)
    sagas = sum(AWAY.values())
    caught = catch_up(memory, payments, tmp_path / "payments.db", topic, sagas, Options(idle_seconds=0.0))
    caught.store.close()
    assert caught.effects == {f"just begun/{number}" for number in range(60)}
    assert caught.published == {"just begun": Counter(Paid=60), "cancelled": Counter(NotPaid=40)}


FEW = {"completed": 150, "failed": 80, "failed at once": 50, "aborted": 15, "in flight": 15}


@pytest.mark.kafka
def test_a_newcomer_on_a_real_broker(kafka_bootstrap: str, tmp_path: Path) -> None:
    """The same, with 310 old sagas."""
    kafka, topic = KafkaCluster(kafka_bootstrap, embedded=False), unique("late")
    _, loyalty, _ = late(topic)
    kafka.create_topic(topic)
    write(kafka.log("writer"), topic, FEW)
    caught = catch_up(kafka, loyalty, tmp_path / "loyalty.db", topic, sum(FEW.values()), Options())
    caught.store.close()
    kafka.close()
    check_newcomer(caught, FEW)


def test_a_newcomer_that_is_told_to_begin_at_the_end_acts_on_nothing_old(
    memory: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """It refuses what is aborted all the same: somebody may wait for an answer."""
    _, loyalty, _ = late(topic)
    memory.create_topic(topic)
    write(memory.log("others"), topic, FEW)
    options = Options(idle_seconds=0.0, start="latest")
    caught = catch_up(memory, loyalty, tmp_path / "loyalty.db", topic, sum(FEW.values()), options)
    assert caught.effects == set()
    assert caught.published == {"aborted": Counter(NotRewarded=FEW["aborted"])}
    assert {read(record).source for record in memory.broker.records(topic)} >= {"loyalty", "orders"}
    caught.store.close()

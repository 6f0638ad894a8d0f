"""Bad input of every kind: each becomes a dead letter, nothing is lost, and nothing stops."""

from __future__ import annotations

import dataclasses
import json
import os
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreo import Context, Participant, Permanent, Retry, Saga, event
from choreo.avro import AvroCodec
from choreo.avro.derivation import derive
from choreo.avro.schema import MARKER
from choreo.errors import BodyError, StoreError
from choreo.events import event_name
from choreo.ports import Publication
from choreo.ports.codec import MAX_BODY
from choreo.records import DeadLetter, Partition
from choreo.worker import Options
from examples.bank.contract import TransferDone, TransferRequested, bank_transfer
from examples.orders.contract import InventoryReserved, OrderCreated, order_fulfilment
from examples.orders.inventory import inventory
from tests.broker.any_broker import AnyBroker, InMemoryBroker
from tests.scenarios.scripted_saga import Acted, Job, JobAsked, JobDone, JobFailed, Undone, do, take_back
from tests.scenarios.shop import PARTICIPANTS
from tests.scenarios.stage import Headers, Stage, event_headers, header
from tests.stores import open_store

RESERVE, PAY = "inventory.reserve_inventory", "payments.process_payment"
SAGA = "order-fulfilment"
GARBAGE = 200 if os.environ.get("CHOREO_FUZZ") == "1" else 12
SOON = Retry(attempts=3, delay=timedelta(milliseconds=1), factor=1)
VALID = event_headers("bad-1", SAGA, "depot.look", "shop.DepotLooked")
BODY = AvroCodec(inventory.events).encode(OrderCreated("bad-1", "ada", "apple", 1, 1, "home"))


def order(name: str) -> OrderCreated:
    """Return an order that goes well."""
    return OrderCreated(name, "ada", "apple", 2, 250, "home")


@pytest.fixture
def on_topic(topic: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put order fulfilment on a topic that nobody else uses."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    return topic


@pytest.fixture
def in_memory_broker() -> Iterator[InMemoryBroker]:
    """Return a broker in memory."""
    memory = InMemoryBroker()
    yield memory
    memory.close()


@pytest.fixture
def quick(any_broker: AnyBroker) -> Options:
    """Return options with which an unknown schema is waited for only shortly."""
    return Options(idle_seconds=0.0 if any_broker.name == "memory" else 0.005, schema_retry=SOON)


def raw(letter: DeadLetter) -> tuple[bytes | None, Headers, bytes | None]:
    """Return the record that a dead letter holds."""
    headers = [
        (name, None if value is None else b64decode(value)) for name, value in json.loads(letter.headers)
    ]
    return letter.key, headers, letter.value


# Headers that can't be read: nobody can fold them, so everybody keeps them.


def without(name: str) -> Headers:
    """Return valid headers but for one."""
    return [each for each in VALID if each[0] != name]


def garbled(name: str, value: bytes | None) -> Headers:
    """Return valid headers, one of them spoilt."""
    return [*without(name), (name, value)]


NAMES = [name for name, _ in VALID if name.startswith("ce_")]
KEY = b"bad-1"


class Bad(NamedTuple):
    """A record whose headers say no event of the saga."""

    name: str
    headers: Headers
    key: bytes | None = KEY
    value: bytes | None = BODY


UNREADABLE = [
    *(Bad(f"no {name}", without(name)) for name in NAMES),
    *(Bad(f"null {name}", garbled(name, None)) for name in NAMES),
    *(Bad(f"empty {name}", garbled(name, b"")) for name in NAMES),
    *(Bad(f"{name} that is not UTF-8", garbled(name, b"bad\xff\xfe")) for name in NAMES),
    *(Bad(f"{name} with a NUL", garbled(name, b"bad\0")) for name in NAMES),
    *(Bad(f"{name} twice", [*VALID, (name, b"bad-1")]) for name in NAMES),
    Bad("a cause that is not UTF-8", [*VALID, ("ce_causationid", b"\xff")]),
    Bad("a time of no calendar", garbled("ce_time", b"2026-02-30T00:00:00Z")),
    Bad("a version that is no number", garbled("ce_sagaversion", b"one")),
    Bad("a version beyond all numbers", garbled("ce_sagaversion", b"9" * 40)),
    Bad("an outcome that is not known", garbled("ce_outcome", b"exploded")),
    Bad("a kind that is not known", garbled("ce_stepkind", b"quantum")),
    Bad("another saga's type", garbled("ce_sagatype", b"bank-transfer")),
    Bad("no header at all", []),
    Bad("a thousand headers", [*VALID, *((f"x-{i}", b"x") for i in range(1000))]),
    Bad("a header of 100 kB", [*VALID, ("x", b"x" * 100_000)]),
    Bad("a saga id of 10,000 characters", garbled("ce_subject", b"x" * 10_000), b"x" * 10_000),
    Bad("a null key", VALID, None),
    Bad("a key that is not the subject", VALID, b"bad-2"),
    Bad("a key that is not UTF-8", garbled("ce_subject", b"\xff\xfe"), b"\xff\xfe"),
    Bad("an empty record", [], None, None),
]


def test_a_record_whose_headers_can_not_be_read_is_a_dead_letter(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """It is kept as it was, with its place and the reason; the orders before and after it complete."""
    stage = Stage(any_broker, tmp_path, on_topic)
    in_flight = stage.place(order("before"))
    stage.workers["orders"].turn()
    places = {stage.append(bad.key, bad.headers, bad.value): bad for bad in UNREADABLE}
    after = stage.place(order("after"))
    stage.until(lambda: all(stage.has_read(place) for place in places))
    stage.until_quiet([in_flight, after])

    for _ in range(2):
        for name in stage.stores:
            letters = stage.letters(name)
            found = {(Partition(each.topic, each.partition), each.offset): each for each in letters}
            assert len(letters) == len(found)
            assert found.keys() == places.keys()
            for place, bad in places.items():
                assert raw(found[place]) == (bad.key, list(bad.headers), bad.value), bad.name
                assert found[place].reason == "unreadable-headers"
                assert found[place].detail
            assert {
                row["saga_id"] for row in stage.stores[name].db.query("select saga_id from saga_log")
            } == {
                in_flight,
                after,
            }
        stage.assert_balance(fulfilled=2)
        stage.restart(*PARTICIPANTS)  # and once more: nothing is repeated
    stage.close()


# Bodies that can't be used: the event is folded by its headers, and who needs the body keeps it.

GOOD_RESERVED = AvroCodec(inventory.events).encode(InventoryReserved("x", "ada", 250, "home"))
LONG = AvroCodec(inventory.events).encode(OrderCreated("x", "ada", "apple", 1, 1, "x" * 950_000))
FOREIGN_TEXT = BODY.replace(b"apple", b"\xff\xfeple")
BODIES: dict[str, tuple[str, bytes | None]] = {
    "undecodable": ("unreadable-body", b"\xff\x00garbage, and more of it"),
    "unknown": ("unknown-fingerprint", MARKER + b"\x01" * 8 + b"body"),
    "truncated": ("unreadable-body", BODY[:-3]),
    "marker": ("unreadable-body", BODY[:10]),
    "leftover": ("unreadable-body", BODY + b"more"),
    "empty": ("unreadable-body", b""),
    "null": ("unreadable-body", None),
    "1mb": ("unreadable-body", LONG),
    "text": ("unreadable-body", FOREIGN_TEXT),
    "other": ("unreadable-body", GOOD_RESERVED),
    "negative": ("unreadable-body", BODY[:10] + b"\x0b" + BODY[11:]),
}


def spoil(publication: Publication) -> Iterable[Publication]:
    """Spoil the body of each start whose saga id names how."""
    _, _, how = publication.key.decode().partition("bad-")
    if how and header(publication, "ce_outcome") == "succeeded":
        return (publication._replace(value=BODIES[how][1]),)  # type: ignore[arg-type]
    return (publication,)


def test_a_body_that_can_not_be_used_is_a_dead_letter_of_who_needs_it(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str, quick: Options
) -> None:
    """The event is folded by its headers; only its handler can't go on, and only in that saga."""
    stage = Stage(any_broker, tmp_path, on_topic, options=quick, change=spoil)
    first = stage.place(order("before"))
    stage.workers["orders"].turn()
    bad = {stage.place(order(f"bad-{how}")): how for how in BODIES}
    last = stage.place(order("after"))
    stage.until(lambda: len(stage.letters("inventory")) >= len(bad))
    stage.until_quiet([first, last])

    for _ in range(2):
        letters = {letter.saga_id: letter for letter in stage.letters("inventory")}
        assert stage.all_letters() == {
            "orders": [],
            "inventory": [letter.reason for letter in letters.values()],
            "payments": [],
            "shipping": [],
            "notifications": [],
        }
        assert letters.keys() == bad.keys()
        for saga_id, letter in letters.items():
            reason, body = BODIES[bad[saga_id]]
            (entry,) = [each for each in stage.history("inventory", saga_id) if each.input == "event"]
            assert (letter.reason, letter.value, letter.task, letter.name) == (
                reason,
                body,
                "action",
                RESERVE,
            )
            assert letter.key == saga_id.encode()
            assert dict(raw(letter)[1])["ce_type"] == b"shop.OrderCreated"
            place = (entry.topic, entry.partition, entry.offset)
            assert (letter.topic, letter.partition, letter.offset) == place
            assert letter.detail
            for name in stage.stores:
                assert {entry.saga_state for entry in stage.history(name, saga_id)} == {"started"}
        stage.assert_balance(fulfilled=2)
        stage.restart(*PARTICIPANTS)
    stage.close()


@pytest.mark.parametrize("saga_id", ["bad-1", "before"], ids=["a saga of its own", "a saga in flight"])
def test_an_event_of_an_unknown_type_is_folded_by_its_headers_and_disturbs_nobody(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str, saga_id: str
) -> None:
    """Also where its step is unknown, its body is no Avro, and it says that it failed or was undone."""
    stage = Stage(any_broker, tmp_path, on_topic)
    stage.place(order("before"))
    stage.workers["orders"].turn()
    outcomes = ["succeeded", "compensated"] + (["failed", "timed_out"] if saga_id == "bad-1" else [])
    places = [
        stage.append(
            saga_id.encode(),
            event_headers(saga_id, SAGA, f"depot.{n}", f"shop.Depot{n}", outcome),
            b"\xff not avro",
        )
        for n, outcome in enumerate(outcomes)
    ]
    stage.place(order("after"))
    stage.until(lambda: all(stage.has_read(place) for place in places))
    stage.until_quiet(["before", "after"])

    stage.assert_balance(fulfilled=2)
    assert not any(stage.all_letters().values())
    for name in stage.stores:
        types = [each.event_type for each in stage.history(name, saga_id) if each.source == "depot"]
        assert types == [f"shop.Depot{n}" for n in range(len(outcomes))]
    stage.close()


def test_a_version_newer_than_known_is_folded_and_not_acted_on(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """The dead letter says so."""

    def newer(publication: Publication) -> Iterable[Publication]:
        if publication.key != b"bad-version":
            return (publication,)
        headers = [(name, b"2" if name == "ce_sagaversion" else value) for name, value in publication.headers]
        return (publication._replace(headers=headers),)

    stage = Stage(any_broker, tmp_path, on_topic, change=newer)
    stage.place(order("bad-version"))
    stage.place(order("after"))
    stage.until(lambda: bool(stage.letters("inventory")))
    stage.until_quiet(["after"])
    (letter,) = stage.letters("inventory")
    assert (letter.reason, letter.saga_id, letter.name) == ("unknown-version", "bad-version", "start")
    stage.restart(*PARTICIPANTS)
    assert len(stage.letters("inventory")) == 1
    stage.close()


def test_an_event_of_a_saga_whose_start_was_never_seen_is_not_acted_on(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """Payments charges nobody for what it knows nothing about."""
    stage = Stage(any_broker, tmp_path, on_topic)
    headers = event_headers("lost", SAGA, "depot.reserve", "shop.InventoryReserved")
    partition, offset = place = stage.append(b"lost", headers, GOOD_RESERVED)
    stage.place(order("after"))
    stage.until(lambda: stage.has_read(place))
    stage.until_quiet(["after"])
    (letter,) = stage.letters("payments")
    assert (letter.reason, letter.saga_id, letter.name) == ("incomplete-history", "lost", PAY)
    assert (letter.partition, letter.offset) == (partition.number, offset)
    assert raw(letter) == (b"lost", headers, GOOD_RESERVED)
    stage.assert_balance(fulfilled=1)
    stage.close()


def test_a_saga_that_was_seen_before_it_started_goes_its_way(
    in_memory_broker: InMemoryBroker, tmp_path: Path, on_topic: str
) -> None:
    """An event under its id is in the memory of the worker that then starts it."""
    stage = Stage(in_memory_broker, tmp_path, on_topic)
    place = stage.append(b"early", event_headers("early", SAGA, "depot.look", "shop.DepotLooked"), None)
    stage.until(lambda: stage.has_read(place))
    stage.until_quiet([stage.place(order("early"))])
    stage.assert_balance(fulfilled=1)
    stage.close()


# A writer that is newer.


@event(namespace="job", name="JobAsked")
class NewerJobAsked:
    name: str
    refused: bool = False
    colour: str = "green"


def newer_asked(publication: Publication) -> Iterable[Publication]:
    """Write a job's start as a newer version of the service does."""
    if header(publication, "ce_type") != "job.JobAsked":
        return (publication,)
    body = AvroCodec([NewerJobAsked]).encode(NewerJobAsked(publication.key.decode()))
    return (publication._replace(value=body),)


def test_an_unknown_schema_that_arrives_in_time_is_used_and_costs_the_handler_no_attempt(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """The service may be deployed before its schemas: its handler then has all of its attempts."""
    attempts: list[int] = []

    def act(asked: JobAsked, ctx: Context) -> Acted:
        attempts.append(ctx.attempt)
        if len(attempts) < 3:
            raise ConnectionError("for a while")
        return do(asked, ctx)

    schemas = tmp_path / "schemas"
    often = Retry(attempts=100_000, delay=timedelta(milliseconds=1), factor=1)
    options = Options(idle_seconds=0.0, schema_retry=often)
    job = Job(
        in_memory_broker, tmp_path, topic, act=act, options=options, change=newer_asked, schemas=(schemas,)
    )
    job.ask("newer")
    waits = "select count(*) from saga_log where input = 'deferred'"
    job.until(lambda: job.value("doer", waits) > 5)
    assert not attempts
    (schemas / "history").mkdir(parents=True)
    (schemas / "history" / "any-name.avsc").write_text(json.dumps(derive(NewerJobAsked).schema))
    job.until_quiet(["newer"])
    assert job.ends("newer") == {"completed"}
    assert attempts == [1, 2, 3]
    assert not any(job.all_letters().values())
    job.close()


# Failure events that nobody can read.


def test_a_failure_that_can_not_be_read_aborts_the_saga_all_the_same(
    any_broker: AnyBroker, tmp_path: Path, topic: str
) -> None:
    """Everyone folds it by its headers; the compensation that needs its body is a dead letter."""

    def spoil_refusal(publication: Publication) -> Iterable[Publication]:
        if header(publication, "ce_type") != "job.CheckFailed":
            return (publication,)
        return (publication._replace(value=publication.value[:-1]),)

    job = Job(any_broker, tmp_path, topic, change=spoil_refusal)
    job.ask("bad", refused=True)
    job.until(lambda: bool(job.letters("doer")))
    assert job.run("good") == {"completed"}
    (letter,) = job.letters("doer")
    assert (letter.reason, letter.task, letter.name) == ("unreadable-body", "compensation", "doer.work")
    assert letter.event_type == "job.CheckFailed"
    for name in job.stores:
        assert job.history(name, "bad")[-1].saga_state == "compensating"
    assert job.work() == ["bad", "good"]
    job.close()


def test_a_body_is_bad_only_for_the_handler_that_needs_it(
    any_broker: AnyBroker, tmp_path: Path, topic: str
) -> None:
    """The end can't be read by the observer; all the same it is the end, for everybody."""

    def spoil_end(publication: Publication) -> Iterable[Publication]:
        if (header(publication, "ce_type"), publication.key) != ("job.JobDone", b"bad"):
            return (publication,)
        return (publication._replace(value=None),)  # type: ignore[arg-type]

    seen: list[str] = []
    job = Job(any_broker, tmp_path, topic, change=spoil_end, look=lambda event, ctx: seen.append(event.name))
    assert job.run("bad") == {"completed"}
    assert job.run("good") == {"completed"}
    assert job.all_letters() == {"asker": ["unreadable-body"], "doer": [], "checker": []}
    assert job.letters("asker")[0].value is None
    assert seen == ["good"]
    job.close()


# Handlers that misbehave.


class Unspeakable(Permanent):
    """Has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


def _raises(error: BaseException) -> Callable[[Any, Context], Any]:
    def handler(_: Any, ctx: Context) -> Any:
        raise error

    return handler


def _executes(*statements: str) -> Callable[[Any, Context], Any]:
    def handler(subject: Any, ctx: Context) -> Any:
        for statement in statements:
            ctx.db.execute(statement)
        return Acted(subject.name) if isinstance(subject, JobAsked) else Undone(subject.name)

    return handler


def _commits(subject: Any, ctx: Context) -> Any:
    ctx.db.conn.commit()
    return Acted(subject.name) if isinstance(subject, JobAsked) else Undone(subject.name)


def _uses_a_connection_as_a_context(subject: Any, ctx: Context) -> Any:
    with ctx.db.conn:
        return Acted(subject.name) if isinstance(subject, JobAsked) else Undone(subject.name)


MISBEHAVIOURS: dict[str, Callable[[Any, Context], Any]] = {
    "returns None": lambda _, ctx: None,
    "returns an event that it does not declare": lambda asked, ctx: JobDone(asked.name),
    "returns the event that called it": lambda asked, ctx: asked,
    "returns a text": lambda asked, ctx: "Acted",
    "returns a class": lambda asked, ctx: Acted,
    "returns a field of the wrong type": lambda asked, ctx: (
        Acted(5) if isinstance(asked, JobAsked) else Undone(5)  # type: ignore[arg-type]
    ),
    "returns half of a surrogate pair": lambda asked, ctx: (
        Acted("\ud800") if isinstance(asked, JobAsked) else Undone("\ud800")
    ),
    "returns 2 MB": lambda asked, ctx: (
        Acted("x" * 2_000_000) if isinstance(asked, JobAsked) else Undone("x" * 2_000_000)
    ),
    "returns one byte too many": lambda asked, ctx: (
        Acted("x" * MAX_BODY) if isinstance(asked, JobAsked) else Undone("x" * MAX_BODY)
    ),
    "commits": _executes("commit"),
    "commits by the connection": _commits,
    "commits by leaving the connection": _uses_a_connection_as_a_context,
    "rolls back": _executes("rollback"),
    "begins": _executes("begin"),
    "attaches a file": _executes("attach ':memory:' as other"),
    "raises something permanent": _raises(Permanent("never")),
    "raises something permanent with half of a surrogate pair": _raises(Permanent("\ud800")),
    "raises something permanent with a NUL": _raises(Permanent("a\0b")),
    "raises something permanent and long": _raises(Permanent("x" * 2_000_000)),
    "raises something permanent that has no text": _raises(Unspeakable()),
    "raises for ever": _raises(ConnectionError("\ud800\0" + "x" * 2_000_000)),
    "raises an error of a store": _raises(StoreError("a store of its own is locked")),
    "recurses": lambda asked, ctx: MISBEHAVIOURS["recurses"](asked, ctx),
}


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_an_action_that_misbehaves_fails_its_saga_and_nothing_of_it_stays(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str, how: str
) -> None:
    """What it wrote is gone, its failure is published, and the next saga runs (R10)."""

    def act(asked: JobAsked, ctx: Context) -> Any:
        acted = do(asked, ctx)
        return acted if asked.name == "good" else MISBEHAVIOURS[how](asked, ctx)

    job = Job(in_memory_broker, tmp_path, topic, act=act)
    assert job.run("bad") == {"failed"}
    assert job.run("good") == {"completed"}
    assert job.work() == ["good"]
    assert not any(job.all_letters().values())
    assert job.undone("bad") == ["start"]
    (failed,) = [entry for entry in job.history("asker", "bad") if entry.event_type == "job.ActFailed"]
    assert failed.payload is not None
    assert len(failed.payload) < 5_000
    job.close()


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_a_compensation_that_misbehaves_waits_in_the_dead_letters_and_nothing_of_it_stays(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str, how: str
) -> None:
    """Its saga stays compensating, for all to see; the next saga is undone."""

    def undo(acted: Acted, ctx: Context) -> Any:
        undone = take_back(acted, ctx)
        return undone if acted.name == "good" else MISBEHAVIOURS[how](acted, ctx)

    job = Job(in_memory_broker, tmp_path, topic, undo=undo)
    job.ask("bad", refused=True)
    job.until(lambda: bool(job.letters("doer")) and job.is_quiet())
    assert job.run("good", refused=True) == {"failed"}
    assert job.work() == ["bad"]
    assert job.all_letters() == {"asker": [], "doer": ["gave-up"], "checker": []}
    assert job.history("asker", "bad")[-1].saga_state == "compensating"
    job.close()


def test_an_interrupt_leaves_the_store_at_a_turns_boundary(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """Nothing of the turn is there, and the next worker does it, once."""
    armed = [KeyboardInterrupt()]

    def act(asked: JobAsked, ctx: Context) -> Acted:
        acted = do(asked, ctx)
        if asked.name == "bad" and armed:
            raise armed.pop()
        return acted

    job = Job(in_memory_broker, tmp_path, topic, act=act)
    job.ask("good")
    job.ask("bad")
    before = job.stores["doer"].positions()
    with pytest.raises(KeyboardInterrupt):
        job.until_quiet(["bad"])
    job.stop(job.doer)
    with closing(open_store(tmp_path / "doer.db")) as store:
        assert store.positions() == before
        assert not store.history("bad")
        assert not store.unpublished(0, 1)
        assert store.db.execute("select count(*) from work").fetchone() == (0,)
    job.open(job.doer)
    job.until_quiet(["good", "bad"])
    assert job.work() == ["bad", "good"]
    job.close()


@pytest.mark.parametrize("close", [lambda db: db.close(), lambda db: db.__exit__(None, None, None)])
def test_a_handler_that_closes_the_database_fails_its_step(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str, close: Callable[[Any], None]
) -> None:
    """The transaction isn't the handler's to end, by ``with ctx.db:`` either; others go on."""

    def act(asked: JobAsked, ctx: Context) -> Acted:
        acted = do(asked, ctx)
        if asked.name == "closed":
            close(ctx.db)
        return acted

    job = Job(in_memory_broker, tmp_path, topic, act=act)
    job.ask("closed")
    job.ask("good")
    job.until_quiet(["closed", "good"])
    assert job.work() == ["good"]
    assert (job.ends("closed"), job.ends("good")) == ({"failed"}, {"completed"})
    job.close()


def test_a_handler_that_starts_a_saga_of_its_own_service_fails_its_step(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """A transaction inside the turn's can't be: that is the handler's fault, not the end of the worker."""

    def look(end: Any, ctx: Context) -> None:
        job.ask(f"{end.name}-again")

    job = Job(in_memory_broker, tmp_path, topic, look=look)
    assert job.run("nested") == {"completed"}
    assert job.all_letters() == {"asker": ["gave-up"], "doer": [], "checker": []}
    assert not job.history("asker", "nested-again")
    job.close()


def test_the_longest_event_that_may_be_emitted_can_be_read_by_everybody(
    any_broker: AnyBroker, tmp_path: Path, topic: str
) -> None:
    """What would be too long to read, or for the broker, is refused before anything is committed."""
    overhead = len(AvroCodec([JobAsked]).encode(JobAsked(""))) + 2
    job = Job(
        any_broker, tmp_path, topic, act=lambda asked, ctx: do(JobAsked("x" * (MAX_BODY - overhead)), ctx)
    )
    assert job.run("long") == {"completed"}
    with pytest.raises(BodyError, match="at most"), job.asker.transaction() as tx:
        tx.start(JobAsked("x" * MAX_BODY), saga_id="longer")
    assert not job.history("asker", "longer")
    assert not any(job.all_letters().values())
    job.close()


# What a new release of the service, or a log that breaks the contract, may bring.


def test_two_sagas_of_different_types_may_have_the_same_id(
    in_memory_broker: InMemoryBroker, tmp_path: Path
) -> None:
    """A participant of both keeps them apart, also after a restart."""
    jobs = Saga("job", starts=JobAsked, completes=JobDone, fails=JobFailed)
    both = Participant("both", sagas=[jobs, bank_transfer])

    @both.action(kind="retriable", saga=jobs)
    def finish(event: JobAsked, ctx: Context) -> JobDone:
        return JobDone(event.name)

    @both.action(kind="retriable", saga=bank_transfer)
    def settle(event: TransferRequested, ctx: Context) -> TransferDone:
        return TransferDone(event.transfer_id)

    codec = AvroCodec(both.events)
    stage = Stage(in_memory_broker, tmp_path, "job", [both])
    for started in (JobAsked("same"), TransferRequested("same", "alice", "carol", 1)):
        name = event_name(type(started))
        saga = "job" if name == "job.JobAsked" else "bank-transfer"
        headers = event_headers("same", saga, "start", name)
        in_memory_broker.broker.append(saga, b"same", headers, codec.encode(started))
        stage.until(stage.is_quiet)
        stage.restart(both)
    stage.until(lambda: len(in_memory_broker.broker.records()) == 4)
    stage.until(lambda: sum(stage.stores["both"].positions().values()) == 4)
    states = {entry.saga_type: entry.saga_state for entry in stage.history("both", "same")}
    assert states == {"job": "completed", "bank-transfer": "completed"}
    assert not stage.letters("both")
    stage.close()


def test_a_handler_that_a_new_release_does_not_have_any_more_stops_nobody(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str
) -> None:
    """What was scheduled for it is a dead letter, and its sagas are folded on (R9)."""

    def act(asked: JobAsked, ctx: Context) -> Acted:
        if asked.name == "pending":
            raise ConnectionError("for ever")
        return do(asked, ctx)

    often = Retry(attempts=1_000_000, delay=timedelta(milliseconds=1), factor=1)
    job = Job(in_memory_broker, tmp_path, topic, act=act, retry=often)
    assert job.run("done", refused=True) == {"failed"}
    job.ask("pending")
    job.until(lambda: job.value("doer", "select count(*) from saga_log where input = 'deferred'") > 1)
    job.stop(job.doer)

    doer = Participant("doer", sagas=[job.saga])

    @doer.observer
    def see(event: JobDone, ctx: Context) -> None:
        """Only look."""

    job._options = dataclasses.replace(job._options, retire=("work",))
    job.open(doer)
    job.until(lambda: bool(job.letters("doer")))
    (letter,) = job.letters("doer")
    assert (letter.reason, letter.saga_id, letter.name) == ("retired", "pending", "doer.work")
    for name in ("done", "pending"):
        headers = event_headers(name, "job", "depot.look", "job.DepotLooked")
        place = job.append(name.encode(), headers, None)
        job.until(lambda place=place: job.has_read(place))
    job.close()


@pytest.mark.parametrize("step", ["doer.work", "checker.check", "checker.finish", "start"])
@pytest.mark.parametrize("when", ["at the start", "when it failed", "at the end"])
def test_a_timeout_that_nobody_may_set_stops_no_worker(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str, step: str, when: str
) -> None:
    """A pivot, a retriable step and the start have no deadline; one that comes harms its saga alone."""
    armed = when == "when it failed"

    def after_failure(publication: Publication) -> Iterable[Publication]:
        mine = header(publication, "ce_outcome") == "failed" and publication.key == b"bad"
        return (publication, timeout) if mine and armed else (publication,)

    headers = event_headers("bad", "job", step, "job.TimedOut", "timed_out")
    timeout = Publication(-1, topic, b"bad", headers, b"")  # type: ignore[arg-type]
    job = Job(in_memory_broker, tmp_path, topic, change=after_failure)
    job.ask("bad", refused=armed)
    if when == "at the start":
        job.workers["asker"].turn()
        job.append(b"bad", headers, b"")
    job.until(job.is_quiet)
    if when == "at the end":
        job.append(b"bad", headers, b"")
    assert job.run("good") == {"completed"}
    job.restart(job.asker, job.doer, job.checker)
    assert job.run("better") == {"completed"}
    job.close()


# Garbage of any kind.

_TEXTS = st.one_of(
    st.sampled_from([SAGA, "1.0", "1", "succeeded", "failed", "timed_out", "compensated", "compensatable"]),
    st.sampled_from(
        ["shop.OrderCreated", "shop.InventoryReserved", "shop.PaymentFailed", "shop.OrderFailed"]
    ),
    st.sampled_from(["start", "depot.look", "2026-01-01T00:00:00Z"]),
    st.text(max_size=20),
)
_VALUES = st.one_of(st.none(), st.binary(max_size=20), _TEXTS.map(str.encode))
_SPOILT = st.dictionaries(st.sampled_from([*NAMES, "traceparent", "content-type", "x"]), _VALUES, max_size=3)
_BODIES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.sampled_from([BODY, GOOD_RESERVED, *(b for _, b in BODIES.values())]),
)


class Garbage(NamedTuple):
    """A record made of a valid one by replacing some of its parts; it never is one of a good order."""

    key: bytes | None
    headers: Headers
    value: bytes | None


@st.composite
def _garbage(draw: st.DrawFn) -> Garbage:
    step = f"depot.{draw(st.integers(0, 3))}"
    event_type = draw(
        st.sampled_from(["shop.InventoryReserved", "shop.PaymentFailed", "shop.OrderFailed", "shop.Odd"])
    )
    outcome = draw(st.sampled_from(["succeeded", "failed", "timed_out", "compensated"]))
    saga_id = f"bad-{draw(st.integers(0, 2))}"
    fields: dict[str, bytes | None] = dict(event_headers(saga_id, SAGA, step, event_type, outcome))
    fields.update(draw(_SPOILT))
    if fields.get("ce_step") == b"start":  # who forges an owner's outcome stops that owner: that is meant
        fields["ce_step"] = b"depot.start"
    key = draw(st.one_of(st.just(saga_id.encode()), st.none(), st.binary(max_size=8)))
    return Garbage(
        key, [*fields.items(), *draw(st.lists(st.tuples(_TEXTS, _VALUES), max_size=2))], draw(_BODIES)
    )


@settings(max_examples=GARBAGE, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.just("order"), _garbage()), min_size=3, max_size=30))
def test_garbage_among_good_orders_stops_nothing(records: list[Any]) -> None:
    """Whatever comes in between: all good orders end, the books balance, and every position is at the end."""
    with TemporaryDirectory() as folder:
        memory = InMemoryBroker()
        options = Options(idle_seconds=0.0, schema_retry=SOON)
        stage = Stage(memory, Path(folder), order_fulfilment.topic, options=options)
        placed = []
        for number, each in enumerate(records):
            if each == "order":
                placed.append(stage.place(order(f"good-{number}")))
                stage.workers["orders"].turn()
            else:
                stage.append(each.key, each.headers, each.value)
                stage.workers["inventory"].turn()
        stage.until_quiet(placed)
        stage.assert_balance(fulfilled=len(placed))
        end = len(memory.broker.records())
        stage.until(lambda: all(sum(s.positions().values()) == end for s in stage.stores.values()))
        stage.until(stage.is_quiet)  # a body of an unknown schema is tried again for a while
        letters = {name: stage.letters(name) for name in stage.stores}
        stage.restart(*PARTICIPANTS)
        stage.until(stage.is_quiet)
        assert {name: stage.letters(name) for name in stage.stores} == letters
        stage.close()

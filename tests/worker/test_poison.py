"""One saga's bad handler, row or record: it alone is to blame, at this start and at the next ones."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Retry, Saga, event
from choreo.avro import AvroCodec
from choreo.cloudevents import headers_of, read
from choreo.envelope import Envelope, event_id
from choreo.errors import StoreError
from choreo.events import event_name
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from choreo.worker.dead_letters import settle
from tests.stores import in_postgresql, open_store

from .rig import ManualClock


@event(namespace="p")
class Asked:
    n: str


@event(namespace="p")
class Acted:
    n: str


@event(namespace="p")
class NotActed:
    n: str
    reason: str


@event(namespace="p")
class Undone:
    n: str


@event(namespace="p")
class Late:
    n: str


@event(namespace="p")
class OtherFailed:
    n: str


@event(namespace="p")
class Finished:
    n: str


@event(namespace="p")
class Failed:
    n: str


EVENTS = (Asked, Acted, NotActed, Undone, Late, OtherFailed, Finished, Failed)
RETRY = Retry(attempts=2, delay=timedelta(seconds=1))


class Weird(BaseException):
    """No `Exception`."""


class Unspeakable(Exception):
    """Can't be shown."""

    def __str__(self) -> str:
        raise Weird

    __repr__ = __str__


def tables(db: Any) -> None:
    for sql in (
        "create table if not exists people (id text primary key)",
        "create table if not exists debts (who text references people(id) deferrable initially deferred)",
        "create table if not exists strict_ones (id text unique on conflict rollback)",
        "create table if not exists guarded (id text)",
        "create trigger if not exists no before insert on guarded begin select raise(rollback, 'no'); end",
    ):
        db.execute(sql)


def raises(error: BaseException) -> Callable[[Context], Any]:
    def fault(ctx: Context) -> Any:
        raise error

    return fault


def runs(*statements: str) -> Callable[[Context], Any]:
    def fault(ctx: Context) -> Any:
        for sql in statements:
            with suppress(sqlite3.Error):
                ctx.db.conn.execute(sql)

    return fault


def sets(name: str, *arguments: Any) -> Callable[[Context], Any]:
    def fault(ctx: Context) -> Any:
        with suppress(sqlite3.Error):
            getattr(ctx.db.conn, name)(*arguments)

    return fault


def assigns(name: str, value: Any) -> Callable[[Context], Any]:
    def fault(ctx: Context) -> Any:
        setattr(ctx.db.conn, name, value)

    return fault


def recurses(ctx: Context) -> Any:
    return recurses(ctx)


def forks(ending: Callable[[], Any]) -> Callable[[Context], Any]:
    def fault(ctx: Context) -> Any:
        child = os.fork()
        if child == 0:
            return ending()
        os.waitpid(child, 0)
        raise ConnectionError

    return fault


def exits() -> Any:
    sys.exit(3)


ANYWHERE: dict[str, Callable[[Context], Any]] = {
    "SystemExit": raises(SystemExit(2)),
    "GeneratorExit": raises(GeneratorExit()),
    "CancelledError": raises(asyncio.CancelledError()),
    "StopIteration": raises(StopIteration(1)),
    "StopAsyncIteration": raises(StopAsyncIteration()),
    "MemoryError": raises(MemoryError()),
    "BaseException": raises(Weird("a\nb\x1b[31m\ud800\0" * 1000)),
    "unspeakable": raises(Unspeakable()),
    "group": raises(BaseExceptionGroup("g", [SystemExit(1), ExceptionGroup("h", [ValueError("x")])])),
    "group of one": raises(ExceptionGroup("g", [Unspeakable()])),
    "recursion": recurses,
    "another object": lambda ctx: object(),
    "a class": lambda ctx: Acted,
    "another event": lambda ctx: Asked("x"),
    "a surrogate": lambda ctx: Acted("\ud800"),
    "a field of another type": lambda ctx: Acted(2**80),  # type: ignore[arg-type]
    "an unspeakable field": lambda ctx: Acted(Unspeakable()),  # type: ignore[arg-type]
    "a fork that returns": forks(lambda: None),
    "a fork that exits": forks(exits),
}
INSIDE: dict[str, Callable[[Context], Any]] = {
    "deferred key": runs("insert into debts values ('nobody')"),
    "or rollback": runs(*["insert or rollback into people values ('x')"] * 2),
    "on conflict rollback": runs(*["insert into strict_ones values ('x')"] * 2),
    "raise(rollback)": runs("insert into guarded values ('x')"),
    "query_only": runs("pragma query_only = 1"),
    "locking_mode": runs("pragma locking_mode = exclusive"),
    "attach": runs("attach ':memory:' as other"),
    "commit": runs("commit"),
    "release": runs("release choreo_item", "rollback to choreo_item"),
    "open savepoints": runs("savepoint a", "savepoint b"),
    "begin": runs("begin", "end"),
    "script": sets("executescript", "select 1; commit; select 2"),
    "close": sets("close"),
    "rollback()": sets("rollback"),
    "authorizer": sets("set_authorizer", None),
    "progress handler": sets("set_progress_handler", lambda: 1, 1),
    "interrupt": sets("interrupt"),
    "rows as dicts": assigns("row_factory", lambda cursor, row: {"row": row}),
    "texts as bytes": assigns("text_factory", bytes),
    "isolation": assigns("isolation_level", "IMMEDIATE"),
}
HARMLESS = {"open savepoints", "interrupt", "rows as dicts", "texts as bytes", "isolation", "release"}
if in_postgresql():  # a trigger can't roll back there, and an assignment is refused
    del INSIDE["raise(rollback)"], INSIDE["isolation"]
    # There is no such method, and the savepoint of an item that is gone is the fault of its handler.
    HARMLESS -= {"interrupt", "release"}

CASES = [
    (how, task, name)
    for task in ("action", "compensation", "observer", "deadline")
    for how in (("inside", "async", "blocking") if task in ("action", "compensation") else ("inside",))
    for name in (*ANYWHERE, *(INSIDE if how == "inside" else ()))
    if not (name.startswith("a fork") and how == "async")
]
if not os.environ.get("CHOREO_FUZZ"):  # each fault in some of its places
    _FAULTS = [*ANYWHERE, *INSIDE]
    CASES = [
        (how, task, name)
        for how, task, name in CASES
        if (_FAULTS.index(name) + len(task) + len(how)) % 4 == 0
    ]


def service(how: str, task: str, fault: Callable[[Context], Any], seen: list[str]) -> Participant:
    """Return a participant of which one handler is bad, for the saga ``bad``."""
    saga = Saga("p", starts=Asked, completes=Finished, fails=Failed)
    made = Participant("w", sagas=[saga], prepare=tables)

    def act(of: str, good: Any, ctx: Context) -> Any:
        seen.append(f"{of} {ctx.saga_id}")
        if task != of or ctx.saga_id != "bad":
            return good
        found = fault(ctx)
        return good if found is None else found

    declare_step(made, how, act)

    @made.observer
    def watch(event: Asked, ctx: Context) -> None:
        return act("observer", None, ctx)  # type: ignore[no-any-return]

    @made.deadline(of="x.other", within=timedelta(minutes=5), after=Asked)
    def late(event: Asked, ctx: Context) -> Late:
        return act("deadline", Late(event.n), ctx)  # type: ignore[no-any-return]

    return made


def declare_step(made: Participant, how: str, act: Any) -> None:
    """Declare a step and its compensation."""
    blocking = {"blocking": True, "partial": False} if how == "blocking" else {}

    async def do_async(event: Asked, ctx: Context) -> Acted:
        return act("action", Acted(event.n), ctx)  # type: ignore[no-any-return]

    def do(event: Asked, ctx: Context) -> Acted:
        return act("action", Acted(event.n), ctx)  # type: ignore[no-any-return]

    async def undo_async(event: Aborted, done: Acted, ctx: Context) -> Undone:
        return act("compensation", Undone(done.n), ctx)  # type: ignore[no-any-return]

    def undo(event: Aborted, done: Acted, ctx: Context) -> Undone:
        return act("compensation", Undone(done.n), ctx)  # type: ignore[no-any-return]

    outside = {"partial": False} if how == "async" else blocking
    step = made.action(fails=NotActed, retry=RETRY, **outside)(do_async if how == "async" else do)  # type: ignore[call-overload]
    undoing = {"blocking": True} if how == "blocking" else {}
    made.compensation(of=step, retry=RETRY, **undoing)(undo_async if how == "async" else undo)  # type: ignore[call-overload]


class Bench:
    """One worker on a broker in memory; it may be closed and opened again."""

    def __init__(self, made: Participant, folder: Path) -> None:
        self.made = made
        self.clock = ManualClock()
        self.broker = MemoryBroker(1, self.clock)
        self.path = folder / "w.db"
        self.codec = AvroCodec(EVENTS)

    def open(self) -> None:
        self.store = open_store(self.path)
        log = self.broker.log("w")
        self.worker = Worker(self.made, self.store, log, self.codec, self.clock, Options(idle_seconds=0.0))
        self.worker.start()

    def close(self) -> None:
        self.worker._calls.stop(1)
        self.worker._log.close()
        self.store.close()

    def settle(self) -> None:
        idle, until = 0, time.monotonic() + 20
        while idle < 2 or self.worker.calls.out:
            done = self.worker.turn() or not self.worker.is_live
            idle = 0 if done else idle + 1
            assert time.monotonic() < until, "the worker never comes to rest"

    def send(self, what: Any, saga_id: str, step: str, outcome: Any, kind: Any = "compensatable") -> None:
        name, now = event_name(type(what)), self.clock.now()
        identity = event_id(saga_id, "p", step, outcome, name)
        envelope = Envelope(identity, "x", name, now, saga_id, "p", 1, step, outcome, kind)
        self.broker.append("p", saga_id.encode(), headers_of(envelope), self.codec.encode(what))

    def published(self, saga_id: str) -> list[str]:
        records = (each for each in self.broker.records("p") if "ce_source" in dict(each.headers))
        found = map(read, records)
        return [each.type for each in found if each.saga_id == saga_id and each.source == "w"]


SAGAS = ("good-1", "bad", "good-2", "good-3")
GOOD = ("good-1", "good-2", "good-3")


def ask(bench: Bench) -> None:
    """Publish the start of each of the sagas."""
    for saga_id in SAGAS:
        bench.send(Asked(saga_id), saga_id, "start", "succeeded", "start")


def go_on(bench: Bench, task: str) -> None:
    """Let a deadline pass, or another participant fail, in each of the sagas."""
    if task == "deadline":
        bench.clock.advance(301)
    elif task == "compensation":
        for saga_id in SAGAS:
            bench.send(OtherFailed(saga_id), saga_id, "x.other", "failed")
    bench.settle()


EXPECTED = {
    "action": ["p.Acted"],
    "compensation": ["p.Acted", "p.Undone"],
    "observer": ["p.Acted"],
    "deadline": ["p.Acted", "p.Late", "p.Undone"],
}


def is_over(bench: Bench, task: str) -> bool:
    """Whether the bad saga is a dead letter, or its step has answered with its failure."""
    letters = [letter.saga_id for letter in bench.store.dead_letters()]
    return letters == ["bad"] or (task == "action" and "p.NotActed" in bench.published("bad"))


@pytest.mark.parametrize(("how", "task", "name"), CASES)
def test_only_the_saga_of_a_bad_handler_suffers(tmp_path: Path, how: str, task: str, name: str) -> None:
    """The good ones beside it are done at once, the next starts are well; it ends as a letter or fails."""
    seen: list[str] = []
    bench = Bench(service(how, task, {**ANYWHERE, **INSIDE}[name], seen), tmp_path)
    ask(bench)
    for start in range(2):
        bench.open()
        bench.settle()
        if not start:
            go_on(bench, task)
        for saga_id in GOOD:
            assert bench.published(saga_id) == EXPECTED[task]
        assert task != "observer" or {f"observer {saga_id}" for saga_id in GOOD} <= set(seen)
        bench.close()
    bench.open()
    for _ in range(6):  # the pauses between the attempts
        bench.settle()
        bench.clock.advance(200)
    if name in HARMLESS:
        assert bench.published("bad")[: len(EXPECTED[task])] == EXPECTED[task]
        assert not bench.store.dead_letters()
    else:
        assert is_over(bench, task)
    bench.close()


TIMES = (2**63 - 1, 2**62, 253_402_300_800_000, 0, -1, -5, -(2**63), -62_135_596_800_001)


@pytest.mark.parametrize("task", ["action", "deadline", "observer"])
@pytest.mark.parametrize("timestamp", TIMES)
def test_a_record_may_have_any_time(tmp_path: Path, timestamp: int, task: str) -> None:
    """It is kept as one that clocks and databases can hold; a record without a time has the reader's."""
    bench = Bench(service("inside", task, raises(Weird()), []), tmp_path)
    noon, bench.clock.time = bench.clock.time, timestamp
    bench.broker.append("p", *_start_of(bench, "bad", noon))
    bench.clock.time = noon
    ask(bench)
    for _ in range(2):
        bench.open()
        bench.settle()
        assert [bench.published(saga_id)[:1] for saga_id in GOOD] == [["p.Acted"]] * 3
        (first, *_) = bench.store.history("bad", "p")
        assert 0 <= first.event_time <= 32_503_680_000_000
        bench.close()


def _start_of(bench: Bench, saga_id: str, now: int) -> tuple[bytes, Any, bytes]:
    identity = event_id(saga_id, "p", "start", "succeeded", "p.Asked")
    envelope = Envelope(identity, "x", "p.Asked", now, saga_id, "p", 1, "start", "succeeded", "start")
    return saga_id.encode(), headers_of(envelope), bench.codec.encode(Asked(saga_id))


IN_FILES = pytest.mark.skipif(in_postgresql(), reason="PostgreSQL takes no such rows")

COLUMNS = ("saga_id", "saga_type", "task", "name", "event_id", "due", "attempt", "lane")
ROWS = [
    (saga_id, saga_type, task, name, event_id, 0, attempt, lane)
    for saga_id, saga_type, event_id in (("bad", "p", "none"), ("no such", "p", ""), ("bad", "other", "none"))
    for task, name in (
        ("action", "w.do"),
        ("action", "w.watch"),
        ("action", "start"),
        ("compensation", "w.do"),
        ("observer", "w.watch"),
        ("observer", "w.do"),
        ("deadline", "w.late"),
        ("deadline", "w.do"),
        ("answer", "w.do"),
        ("answer", "w.watch"),
        ("nonsense", "w.do"),
        ("requeue", "w.do"),
        ("requeue", "77"),
        ("discard", "-1"),
        ("", ""),
    )
    for attempt, lane in ((0, "turn"), (-3, "call"), (2**62, "undo"), (0, "doubt"))
]


@IN_FILES
@pytest.mark.parametrize("chunk", range(6))
def test_damaged_rows_of_the_schedule_stop_nobody(tmp_path: Path, chunk: int) -> None:
    """Each is a letter, or nothing; what is due beside them is done, at this start and at the next."""
    bench = Bench(service("inside", "action", raises(Weird()), []), tmp_path)
    bench.open()
    bench.settle()
    bench.close()
    database = sqlite3.connect(bench.path)
    marks = ", ".join("?" * len(COLUMNS))
    for row in ROWS[chunk::6]:
        database.execute(f"insert or ignore into schedule ({', '.join(COLUMNS)}) values ({marks})", row)
    database.commit()
    database.close()
    ask(bench)
    for _ in range(2):
        bench.open()
        bench.settle()
        assert [bench.published(saga_id) for saga_id in GOOD] == [["p.Acted"]] * 3
        left = bench.store.db.execute("select count(*) from schedule where due = 0").fetchone()[0]
        assert left == 0
        bench.close()


HEADERS = ("", "nonsense", ":\n: x\n\0", "ce_id: x", "x: y\n" * 5000, "x: " + "h" * 2**20)
OUTBOX = [
    *[("e", "bad", "p", "p", headers, b"") for headers in HEADERS],
    ("", "", "", "p", "ce_id: x", b"\0" * 2**20),
    ("e", "\0", "no such", "p", "ce_id: x", b""),
    *[("e", "bad", "p", topic, "ce_id: x", b"") for topic in ("", "a/b c", "t" * 300, "x\0y")],
]


@IN_FILES
def test_damaged_rows_of_the_outbox_stop_nobody(tmp_path: Path) -> None:
    """They are published as they are, and whoever reads one keeps it as a letter."""
    bench = Bench(service("inside", "action", raises(Weird()), []), tmp_path)
    open_store(bench.path).close()
    columns = "event_id, saga_id, saga_type, topic, headers, body"
    write(bench.path, f"insert into outbox ({columns}) values (?, ?, ?, ?, ?, ?)", OUTBOX)
    goes_well(bench)
    letters = bench.store.dead_letters()
    assert [each.reason for each in letters if each.saga_id != "bad"] == ["unreadable-headers"] * 8
    bench.close()


LETTERS = [
    (reason, saga_id, task, name, headers, attempt)
    for reason in ("unpublishable", "gave-up", "unknown-version", "no such")
    for saga_id in ("bad", "no such", "")
    for task, name in (
        *[(task, "w.do") for task in ("action", "compensation", "observer", "deadline", "answer")],
        *[(task, "") for task in ("publication", "import", "outcome", "event", "nonsense", "")],
    )
    for headers, attempt in (("", 0), ("7", -1), ('[["a", null]]', 2**63 - 1), ('[["a", "!"]]', 1))
]
if not os.environ.get("CHOREO_FUZZ"):
    LETTERS = LETTERS[::7]


@IN_FILES
@pytest.mark.parametrize("how", ["requeued", "discarded"])
def test_damaged_letters_stop_nobody(tmp_path: Path, how: Any) -> None:
    """Each that is settled is done, or is a letter again, at this start and at the next."""
    bench = Bench(service("inside", "action", raises(Weird()), []), tmp_path)
    columns = "reason, saga_id, task, name, headers, attempt"
    others = "detail, recorded_at, saga_type, event_id, event_type, topic, partition, offset"
    open_store(bench.path).close()
    write(
        bench.path,
        f"insert into dead_letters ({columns}, {others})"
        f" values (?, ?, ?, ?, ?, ?, '', {2**63 - 1}, 'p', '', '', 'p', -1, -1)",
        LETTERS,
    )
    with closing(open_store(bench.path)) as store:
        for letter in store.dead_letters():
            settle(store, letter, how, "", 0)
    goes_well(bench)
    assert bench.store.db.execute("select count(*) from schedule where due = 0").fetchone()[0] == 0
    bench.close()


TEXTS = ("outbox.headers", "outbox.saga_id", "schedule.name", "dead_letters.detail", "saga_log.note")


@IN_FILES
@pytest.mark.parametrize("place", TEXTS)
def test_bytes_that_are_no_text_are_damage_of_the_store(tmp_path: Path, place: str) -> None:
    """It is said so; in a saga's own log it is the blame of that saga, and of nobody else."""
    bench = Bench(service("inside", "action", raises(Weird()), []), tmp_path)
    open_store(bench.path).close()
    rows = {
        "outbox": "(seq, event_id, saga_id, topic, headers, body) values (1, '', '', 'p', '', x'')",
        "schedule": "values (1, 'bad', 'p', 'action', 'w.do', '', 0, 0, 'turn', 0, 0)",
        "dead_letters": "(reason, detail, recorded_at, saga_id, saga_type, task, name, event_id, event_type, "
        "topic, partition, offset, headers, attempt) "
        "values ('unknown-version', '', 0, '', '', '', '', '', '', '', 0, 0, '', 0)",
    }
    table, column = place.split(".")
    if table in rows:
        write(bench.path, f"insert into {table} {rows[table]}", [()])
    else:
        bench.open()
        ask(bench)
        bench.settle()
        bench.close()
        write(bench.path, "drop trigger saga_log_refuses_update", [()])
    write(bench.path, f"update {table} set {column} = cast(x'ff' as text)", [()])
    bench.send(OtherFailed("x"), "good-1", "x.other", "failed")
    is_of_a_saga = table == "saga_log"
    with nullcontext() if is_of_a_saga else pytest.raises(StoreError, match="holds what is no text"):
        opened(bench)
    letters = bench.store.open_letters("unworkable")
    assert [each.key for each in letters] == ([b"good-1"] if is_of_a_saga else [])
    bench.close()


def write(path: Path, sql: str, rows: Any) -> None:
    """Change a store behind its worker's back."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(sql, rows)


def opened(bench: Bench) -> None:
    """Start, and go on until nothing is left to do."""
    bench.open()
    bench.settle()


def goes_well(bench: Bench) -> None:
    """Start twice: the good sagas are done, each time."""
    ask(bench)
    for start in range(2):
        if start:
            bench.close()
        bench.open()
        bench.settle()
        assert [bench.published(saga_id) for saga_id in GOOD] == [["p.Acted"]] * 3

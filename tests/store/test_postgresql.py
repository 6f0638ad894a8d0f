"""The PostgreSQL store: the common suite, and what concerns a server and its connections."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from choreo.errors import NestedTransaction, StoreError, StoreUnavailable, TurnLost
from choreo.store.postgresql.reader import PostgreSQLReader
from choreo.store.postgresql.store import PostgreSQLStore
from tests.conftest import unavailable
from tests.postgresql.pooler import Pooler
from tests.postgresql.server import Unavailable

from .conformance import (
    Connect,
    SharedStoreConformance,
    StoreConformance,
    check_chain,
    entry,
    scheduled,
    unpublished,
)


class TestPostgreSQL(StoreConformance, SharedStoreConformance):
    """Every store's tests, on a server."""

    @pytest.fixture
    def connect(self, empty_store: str) -> Connect:
        return lambda: PostgreSQLStore(empty_store)


@pytest.fixture
def store(empty_store: str) -> Iterator[PostgreSQLStore]:
    store = PostgreSQLStore(empty_store)
    store.db.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    yield store
    store.close()


def cut(address: str, store: PostgreSQLStore) -> None:
    """End a store's session from outside, as a restart of the server does."""
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (store.db.info.backend_pid,))


def orders(store: PostgreSQLStore) -> list[int]:
    return [number for (number,) in store.db.execute("SELECT id FROM orders ORDER BY id").fetchall()]


def insert(store: PostgreSQLStore, *numbers: int) -> None:
    for number in numbers:
        store.db.execute("INSERT INTO orders VALUES (%s)", (number,))


def test_the_services_tables_share_the_transaction(store: PostgreSQLStore) -> None:
    """What is inserted inside a turn is committed, or undone, with it."""
    with store.turn():
        insert(store, 1)
        with suppress(ZeroDivisionError), store.savepoint():
            insert(store, 2)
            _ = 1 / 0
    with suppress(ZeroDivisionError), store.turn():
        insert(store, 3)
        _ = 1 / 0
    assert orders(store) == [1]


def test_the_saga_log_is_append_only(store: PostgreSQLStore) -> None:
    """Not even a handler can rewrite history."""
    with store.turn():
        store.append([entry()])
    for change in (
        "UPDATE choreo.saga_log SET note = 'x'",
        "DELETE FROM choreo.saga_log",
        "TRUNCATE choreo.saga_log",
    ):
        with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
            store.db.execute(change.encode())


@pytest.mark.parametrize(
    "odd",
    [
        lambda store: store.append([entry(note="\ud800")]),
        lambda store: store.append([entry(note="a\0b")]),
        lambda store: store.append([entry(offset=2**70)]),
        lambda store: store.append([entry(payload="text")]),
        lambda store: store.schedule([scheduled(due=2**70)]),
        lambda store: store.schedule([scheduled("\0")]),
        lambda store: store.enqueue([unpublished("\ud800")]),
    ],
)
def test_values_that_no_database_takes_are_refused_in_one_line(
    store: PostgreSQLStore, odd: Callable[[PostgreSQLStore], None]
) -> None:
    """A lone surrogate, a NUL, a number over 64 bits, text for bytes: the item's fault."""
    with pytest.raises(TurnLost, match=r"the database postgresql://.* failed") as lost, store.turn():
        store.append([entry()])
        odd(store)
    assert "\n" not in str(lost.value)
    with store.turn():
        store.append([entry(note="after")])
    assert [each.note for each in store.history("s1")] == ["after"]
    assert not store.scheduled("s1", "shop")
    check_chain(store)


def test_what_is_cut_off_while_idle_is_not_noticed(store: PostgreSQLStore, empty_store: str) -> None:
    """Another connection is opened, and nothing is lost."""
    with store.turn():
        store.append([entry()])
    cut(empty_store, store)
    with store.turn():
        store.append([entry()])
    cut(empty_store, store)
    with pytest.raises(StoreUnavailable, match="lost"):
        store.history("s1")
    assert len(store.history("s1")) == 2
    check_chain(store)


POINTS: dict[str, Callable[[PostgreSQLStore, Callable[[], None]], None]] = {
    "at the beginning": lambda store, cut: (cut(), store.append([entry()])),  # type: ignore[func-returns-value]
    "at a read": lambda store, cut: (store.append([entry()]), cut(), store.history("s1")),  # type: ignore[func-returns-value]
    "after a write": lambda store, cut: (store.append([entry()]), store.history("s1"), cut()),  # type: ignore[func-returns-value]
    "in a handler": lambda store, cut: _handler(store, lambda: (cut(), insert(store, 1))),  # type: ignore[func-returns-value]
    "after a handler": lambda store, cut: _handler(store, lambda: (insert(store, 1), cut())),  # type: ignore[func-returns-value]
    "in a handler that goes on": lambda store, cut: _handler(store, lambda: _swallow(store, cut)),
    "after an idle handler": lambda store, cut: _handler(store, cut),
}


def _handler(store: PostgreSQLStore, work: Callable[[], object]) -> None:
    with store.savepoint():
        work()
    store.append([entry()])


def _swallow(store: PostgreSQLStore, cut: Callable[[], None]) -> None:
    cut()
    with suppress(psycopg.Error):
        insert(store, 1)


@pytest.mark.parametrize("point", POINTS)
def test_a_turn_that_is_cut_off_is_repeated(store: PostgreSQLStore, empty_store: str, point: str) -> None:
    """Wherever it happens, nothing of it is committed, no item is blamed, and the next turn goes on."""
    with store.turn():
        store.append([entry(note="before")])
    with pytest.raises(StoreUnavailable), store.turn():
        POINTS[point](store, lambda: cut(empty_store, store))
    with store.turn():
        insert(store, 7)
        store.append([entry(note="after")])
    assert [each.note for each in store.history("s1")] == ["before", "after"]
    assert orders(store) == [7]
    check_chain(store)


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_deadlock_is_the_turns_to_repeat(store: PostgreSQLStore, empty_store: str, swallowed: bool) -> None:
    """Never the handler's failure, even where the handler has caught it."""
    insert(store, 1, 2)
    store.db.execute(
        "CREATE FUNCTION meet() RETURNS void LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = 'deadlock_detected'; END $$"
    )
    with pytest.raises(StoreUnavailable, match="deadlock"), store.turn():
        with store.savepoint():
            insert(store, 3)
            with suppress(*([psycopg.Error] if swallowed else [])):
                store.db.execute("SELECT meet()")
        raise AssertionError("the turn went on")
    with store.turn():
        insert(store, 4)
    assert orders(store) == [1, 2, 4]


def test_a_handler_that_loses_every_turn_is_blamed_in_the_end(store: PostgreSQLStore) -> None:
    """Else it would stop its participant for good: who cuts off its own connection, or is always too slow."""
    seen = []
    for _ in range(12):
        with pytest.raises(StoreError) as lost, store.turn(), store.savepoint():
            store.db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        seen.append(type(lost.value))
    assert seen == [StoreUnavailable] * 8 + [TurnLost] * 4
    with store.turn():
        pass
    with pytest.raises(StoreUnavailable), store.turn(), store.savepoint():
        store.db.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_constraint_that_speaks_at_commit_loses_the_turn(store: PostgreSQLStore) -> None:
    """It is of an item inside, so the turn is done item by item."""
    store.db.execute("CREATE TABLE lines (of bigint REFERENCES orders DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(TurnLost, match="violates foreign key"), store.turn():
        store.append([entry()])
        with store.savepoint():
            store.db.execute("INSERT INTO lines VALUES (9)")
    assert not store.history("s1")


def test_a_turn_waits_no_longer_than_told(store: PostgreSQLStore, empty_store: str) -> None:
    """A store that stays locked is an error with a hint; afterwards it works, and handlers may wait again."""
    with closing(PostgreSQLStore(empty_store, busy_timeout=0.05)) as hasty:
        with store.turn():
            found: list[Exception] = []

            def begin() -> None:
                try:
                    with closing(PostgreSQLStore(empty_store, busy_timeout=0.05)) as own, own.turn():
                        pass
                except StoreError as error:
                    found.append(error)

            thread = threading.Thread(target=begin)
            thread.start()
            thread.join()
        assert isinstance(found[0], StoreUnavailable)
        assert "is locked" in str(found[0])
        with hasty.turn(), hasty.savepoint():
            assert hasty.db.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_turn_inside_of_another_ones_is_refused_at_once(store: PostgreSQLStore, empty_store: str) -> None:
    """By whichever connection: the inner one would wait for the outer one."""
    with closing(PostgreSQLStore(empty_store)) as other, store.turn():
        assert other.blocks_here
        with pytest.raises(NestedTransaction), other.turn():
            pass


def test_many_writers_take_turns(store: PostgreSQLStore, empty_store: str) -> None:
    """Half of them undo theirs: the chain holds, and the outbox grows in the order of commits."""
    failures: list[BaseException] = []
    seen: list[int] = []
    done = threading.Event()

    def write(number: int) -> None:
        try:
            with closing(PostgreSQLStore(empty_store)) as own:
                for attempt in range(6):
                    with suppress(ZeroDivisionError), own.turn():
                        own.append([entry(note=f"{number}.{attempt}")])
                        own.enqueue([unpublished(f"{number}.{attempt}")])
                        _ = 1 / (attempt % 2)
        except BaseException as error:
            failures.append(error)

    def publish() -> None:
        with closing(PostgreSQLStore(empty_store)) as own:
            while not done.is_set() or own.unpublished(seen[-1] if seen else 0, 1):
                seen.extend(row.seq for row in own.unpublished(seen[-1] if seen else 0, 5))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    publisher = threading.Thread(target=publish)
    for each in (publisher, *writers):
        each.start()
    for each in writers:
        each.join()
    done.set()
    publisher.join()
    assert not failures
    assert len(check_chain(store)) == 12
    assert seen == [row.seq for row in store.unpublished(0, 99)]


def test_ids_as_long_as_headers_may_have_them(store: PostgreSQLStore) -> None:
    """An index of PostgreSQL's has room for 2,704 bytes."""
    long = [scheduled("\U0001f600" * 255, event_id=f"{n}" + "\U0001f600" * 1023) for n in range(2)]
    with store.turn():
        store.schedule(long)
        store.schedule([long[0]._replace(attempt=3)])
    assert list(store.due(99, 9)) == [long[0]._replace(attempt=3), long[1]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_neither_uses_nor_closes_what_it_inherits(store: PostgreSQLStore) -> None:
    """Whether inside of a turn or not: the parent's goes on."""
    with store.turn():
        store.append([entry()])
        child = os.fork()
        if not child:
            code = 0
            for use in (
                lambda: store.history("s1"),
                lambda: store.turn().__enter__(),
                lambda: store.append([]),
            ):
                with suppress(StoreError):
                    use()
                    code = 1
            store.close()
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    assert len(store.history("s1")) == 1


def test_a_savepoint_costs_nothing_where_nothing_is_asked(
    store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made by the first statement inside, with those around it, in one round trip."""
    made: list[list[bytes]] = []
    real = store.db._execute_first
    monkeypatch.setattr(store.db, "_execute_first", lambda each: (made.append(each), real(each))[1])
    with store.turn():
        with store.savepoint(), store.savepoint():
            store.append([entry()])
        assert not made
        with store.savepoint(), suppress(ZeroDivisionError), store.savepoint():
            insert(store, 1)
            _ = 1 / 0
        (first, timeout, second) = made[0]
        assert first == second
        assert timeout.startswith(b"SET LOCAL lock_timeout")
        assert len(made) == 1
    assert orders(store) == []
    assert len(store.history("s1")) == 1


@pytest.mark.parametrize("is_pipelined", [True, False])
def test_it_is_read_through_a_pooler_in_transaction_mode(
    empty_store: str, is_pipelined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By more readers than it has sessions; none leaves anything there."""
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: is_pipelined)
    with closing(PostgreSQLStore(empty_store)) as store, store.turn():
        store.append([entry(saga_id=f"s{number}") for number in range(20)])
        store.enqueue([unpublished("e1")])
    try:
        pooler = Pooler(empty_store, size=2)
    except Unavailable as error:
        unavailable(error, "pgbouncer")
    seen: list[tuple[int, int, int]] = []

    def read() -> None:
        with PostgreSQLReader(pooler.before(empty_store)) as reader:
            for number in range(20):
                views = reader.views(f"s{number}")
                seen.append((len(views), reader.depths().unpublished, len([*reader.unended()])))
            assert reader._connection.execute("SHOW lock_timeout").fetchone() == ("0",)

    try:
        readers = [threading.Thread(target=read) for _ in range(5)]
        for each in readers:
            each.start()
        for each in readers:
            each.join()
    finally:
        pooler.stop()
    assert seen == [(1, 1, 20)] * 100

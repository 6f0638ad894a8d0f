"""Transactions that would wait for each other in one thread: refused at once, with nothing left locked."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Context, Participant, connect
from choreo.errors import ChoreoError, NestedTransaction, StoreError
from choreo.participant import Transaction
from choreo.worker.composition import open_worker
from tests.worker.conftest import Rigs
from tests.worker.services import Script, agency, hotel
from tests.worker.trip import TripRequested, trip

Use = Callable[[Participant, Path], Any]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Participant]:
    participant = agency()
    with connect(participant, tmp_path / "shop.db"):
        start(participant, "first")
        yield participant


def start(participant: Participant, saga_id: str) -> None:
    with participant.transaction() as tx:
        tx.start(TripRequested("t"), saga_id)


def is_known(participant: Participant, saga_id: str) -> bool:
    return participant.status(saga_id) is not None


def check_free(path: Path) -> None:
    """Another process could write at once."""
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("begin immediate")


def in_a_block(shop: Participant, path: Path) -> None:
    with shop.transaction():
        start(shop, "inner")


def by_another_participant(shop: Participant, path: Path) -> None:
    other = Participant("other", sagas=[trip])
    with connect(other, path), shop.transaction(), other.transaction():
        pass


def by_another_connection(shop: Participant, path: Path) -> None:
    twin = agency()
    with connect(twin, path), shop.transaction():
        start(twin, "inner")


def in_two_generators(shop: Participant, path: Path) -> None:
    def session() -> Iterator[Transaction]:
        with shop.transaction() as tx:
            yield tx

    first, second = session(), session()
    try:
        next(first)
        next(second)
    finally:
        second.close()
        first.close()


def in_two_coroutines(shop: Participant, path: Path) -> None:
    async def request(saga_id: str) -> None:
        with shop.transaction() as tx:
            await asyncio.sleep(0)
            tx.start(TripRequested("t"), saga_id)

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(request("outer"))
            group.create_task(request("inner"))

    try:
        asyncio.run(both())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def in_a_thread_that_is_awaited(shop: Participant, path: Path) -> None:
    async def request() -> None:
        with shop.transaction():
            await asyncio.to_thread(start, shop, "inner")

    asyncio.run(request())


def wait_in_a_block(shop: Participant, path: Path) -> None:
    with shop.transaction():
        shop.wait("first", timedelta(seconds=30))


NESTED: list[Use] = [
    in_a_block,
    by_another_participant,
    by_another_connection,
    in_two_generators,
    in_two_coroutines,
    in_a_thread_that_is_awaited,
    wait_in_a_block,
]


@pytest.mark.parametrize("use", NESTED)
def test_what_would_wait_for_itself_is_refused_at_once(shop: Participant, tmp_path: Path, use: Use) -> None:
    """In words that say what to do; the database is free afterwards, and the connection works."""
    began = time.monotonic()
    with pytest.raises(StoreError, match="inside of") as refused:
        use(shop, tmp_path / "shop.db")
    assert time.monotonic() - began < 2
    assert refused.value.hint
    check_free(tmp_path / "shop.db")
    assert not is_known(shop, "inner")
    start(shop, "after")


@pytest.mark.parametrize("call", ["transaction", "wait"])
@pytest.mark.parametrize("kind", ["file", "shared"])
def test_a_handler_inside_of_the_turn_is_refused(rig: Rigs, call: str, kind: str) -> None:
    """At once: the turn, and with it every writer of the database, does not wait."""
    said: list[ChoreoError] = []

    class Nested(Script):
        def __call__(self, ctx: Context) -> None:
            service = rigged.participant
            try:
                if call == "wait":
                    service.wait("s1", timedelta(seconds=30))
                else:
                    with service.transaction():
                        pass
            except ChoreoError as error:
                said.append(error)

    rigged = rig(hotel(Nested()))
    if kind == "file":
        connect(rigged.participant, rigged.path)
    began = time.monotonic()
    rigged.feed(TripRequested("t"))
    assert time.monotonic() - began < 2
    assert "inside of" in str(said[0])
    check_free(rigged.path)


def test_a_handler_outside_of_the_turn_may_start_sagas(tmp_path: Path) -> None:
    """Declared ``blocking=True``, as the hint says: here beside an open turn of a worker."""
    service = agency()
    with connect(service, tmp_path / "shop.db"), ThreadPoolExecutor(1) as outside:
        start(service, "first")
        with service.transaction():
            waiting = outside.submit(start, service, "second")
        waiting.result(10)
        assert is_known(service, "second")


def test_a_read_inside_of_a_transaction_sees_what_it_wrote(shop: Participant) -> None:
    """Others see it after the commit."""
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), "mine")
        assert is_known(shop, "mine")
        with ThreadPoolExecutor(1) as elsewhere:
            assert not elsewhere.submit(is_known, shop, "mine").result(10)


@pytest.mark.parametrize("copies", [True, False], ids=["contexts", "no contexts"])
def test_a_transaction_may_be_left_in_another_thread(shop: Participant, tmp_path: Path, copies: bool) -> None:
    """As a web framework does with the halves of a generator, for several requests at once."""

    class InThread(ThreadPoolExecutor):
        def run(self, call: Callable[..., Any], *args: Any) -> Any:
            if not copies:
                return self.submit(call, *args).result(10)
            return self.submit(copy_context().run, call, *args).result(10)

    with InThread(1) as first, InThread(1) as second:
        for number in range(3):
            block = shop.transaction()
            tx = first.run(block.__enter__)
            if copies:  # the thread is free, and another request enters there meanwhile
                other = shop.transaction()
                entering = first.submit(copy_context().run, other.__enter__)
            second.run(tx.start, TripRequested("t"), f"by-{number}")
            second.run(block.__exit__, None, None, None)
            if copies:
                entering.result(10).start(TripRequested("t"), f"other-{number}")
                second.run(other.__exit__, None, None, None)
            assert is_known(shop, f"by-{number}")
            assert is_known(shop, f"other-{number}") == copies
        block = shop.transaction()
        first.run(block.__enter__).start(TripRequested("t"), "undone")
        error = ZeroDivisionError()
        assert not second.run(block.__exit__, ZeroDivisionError, error, None)
    assert not is_known(shop, "undone")
    check_free(tmp_path / "shop.db")


@pytest.mark.parametrize("way", ["generator", "block"])
def test_a_transaction_that_nobody_leaves_is_undone_with_its_last_reference(
    shop: Participant, tmp_path: Path, way: str
) -> None:
    """Of a generator that holds one, say; it is collected in any thread."""

    def session() -> Iterator[None]:
        with shop.transaction() as tx:
            tx.start(TripRequested("t"), "dropped")
            yield

    def enter() -> None:
        if way == "generator":
            held.append(session())
            next(held[0])
        else:
            held.append(shop.transaction())
            held[0].__enter__()

    held: list[Any] = []
    with ThreadPoolExecutor(1) as entering:
        entering.submit(enter).result(10)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        check_free(tmp_path / "shop.db")
    held.clear()
    gc.collect()
    check_free(tmp_path / "shop.db")
    assert not is_known(shop, "dropped")


def test_a_commit_that_the_database_refuses_leaves_nothing_locked(shop: Participant, tmp_path: Path) -> None:
    """A constraint may speak as late as then; the next transaction works."""
    with shop.transaction() as tx:
        tx.db.executescript(
            "create table a (id integer primary key);"
            "create table b (a references a deferrable initially deferred);"
        )
    with pytest.raises(StoreError, match="FOREIGN KEY"), shop.transaction() as tx:
        tx.start(TripRequested("t"), "refused")
        tx.db.execute("insert into b values (1)")
    check_free(tmp_path / "shop.db")
    assert not is_known(shop, "refused")
    start(shop, "next")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_whatever_leaves_a_transaction_undoes_it(
    shop: Participant, tmp_path: Path, error: type[BaseException]
) -> None:
    """The end of the program, too."""
    with pytest.raises(error), shop.transaction() as tx:
        tx.start(TripRequested("t"), "undone")
        raise error
    check_free(tmp_path / "shop.db")
    assert not is_known(shop, "undone")


def test_a_transaction_that_has_ended_is_refused(shop: Participant) -> None:
    """Its connection may serve another caller by then."""
    with shop.transaction() as ended:
        pass
    uses: list[Callable[[], Any]] = [
        lambda: ended.start(TripRequested("t"), "late"),
        lambda: ended.cancel("first", TripRequested("t")),
        lambda: ended.db,
    ]
    with shop.transaction():
        for use in uses:
            with pytest.raises(StoreError, match="has ended"):
                use()
    assert not is_known(shop, "late")


def test_a_transaction_beside_a_worker_of_the_same_thread(tmp_path: Path, rig: Rigs) -> None:
    """Between two turns nothing is open."""
    rigged = rig(agency())
    connect(rigged.participant, rigged.path)
    with open_worker(agency(), tmp_path / "other.db", rigged.broker.log("agency")):
        start(rigged.participant, "s1")
    rigged.settle()
    assert rigged.published() == [TripRequested("t")]
    assert issubclass(NestedTransaction, StoreError)

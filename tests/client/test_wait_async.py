"""Waiting for the ends of sagas in coroutines: one thread for all of them, and none when nobody waits."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from choreo import Participant, connect
from choreo.client.watch import Watch
from choreo.errors import ConfigurationError, StoreError
from choreo.participant import Status
from choreo.testing import Harness
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders, place_order
from tests.client.test_transaction import Running
from tests.worker.conftest import Rigs
from tests.worker.services import agency
from tests.worker.trip import FlightBooked, HotelBooked, TripBooked, TripRequested

LONG = timedelta(seconds=60)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Participant]:
    participant = agency()
    with connect(participant, tmp_path / "shop.db"):
        yield participant
    wait_until(lambda: not watching())


def start(shop: Participant, *saga_ids: str) -> None:
    with shop.transaction() as tx:
        for saga_id in saga_ids:
            tx.start(TripRequested("t"), saga_id)


def watching() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "choreo-watch"]


def wait_until(condition: Callable[[], bool]) -> None:
    ended = threading.Event()
    for _ in range(1000):
        if condition():
            return
        ended.wait(0.01)
    raise AssertionError("it never came")


def test_two_hundred_coroutines_share_one_thread(rig: Rigs) -> None:
    """Each is told of the end of its own saga, once that has come."""
    rigged = rig(agency(), opened=False)
    ids = [f"s{number}" for number in range(200)]

    async def wait() -> list[Status | None]:
        tasks = [asyncio.create_task(rigged.participant.wait_async(each, LONG)) for each in ids]
        await asyncio.sleep(0)
        assert len(watching()) == 1
        for each in ids:
            for event in (HotelBooked("t"), FlightBooked("t"), TripBooked("t")):
                rigged.append(event, each)
        ended = await asyncio.gather(*tasks)
        assert len(watching()) <= 1
        return ended

    with Running(rigged) as running:
        with connect(rigged.participant, rigged.path):
            start(rigged.participant, *ids)
            running.seconds_until_published(len(ids))
            ended = asyncio.run(wait())
        wait_until(lambda: not watching())
    assert [(each.saga_id, each.state) for each in ended if each] == [(each, "completed") for each in ids]


def test_a_wait_ends_with_its_time(shop: Participant) -> None:
    """With the status of then, which may be None; without a time it only looks."""
    start(shop, "s1")
    for timeout in (timedelta(0), timedelta(seconds=0.05), timedelta(seconds=-1)):
        status = asyncio.run(shop.wait_async("s1", timeout))
        assert status == shop.status("s1")
        assert asyncio.run(shop.wait_async("unknown", timeout)) is None


@pytest.mark.parametrize("how", ["cancelled", "timed out", "its loop has ended"])
def test_a_wait_that_is_given_up_leaves_nothing_behind(shop: Participant, how: str) -> None:
    """Neither a thread, nor who waits in it, nor a message about it; others are told."""

    async def give_up() -> None:
        waits = [asyncio.create_task(shop.wait_async("s1", LONG)) for _ in range(3)]
        await asyncio.sleep(0.03)
        if how == "cancelled":
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        elif how == "timed out":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waits), 0.01)

    start(shop, "s1")
    asyncio.run(give_up())
    watch: Watch = shop.connection._watch  # type: ignore[union-attr]
    assert watch._waiting == {}
    wait_until(lambda: not watching())
    assert asyncio.run(shop.wait_async("s1", timedelta(0))) is not None


def test_a_loop_that_is_gone_is_forgotten(shop: Participant) -> None:
    """Without a word to its coroutines, which never go on."""
    start(shop, "s1")
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(shop.wait_async("s1", timedelta(seconds=0.03)))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    wait_until(lambda: not watching())
    waiting.get_coro().close()  # type: ignore[union-attr]
    del waiting


def test_errors_reach_who_waits(shop: Participant, tmp_path: Path) -> None:
    """A bad question, at once; a store that is gone, all of them."""
    with pytest.raises(ConfigurationError):
        asyncio.run(shop.wait_async(7, LONG))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        asyncio.run(shop.wait_async("s1", 7))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="connect"):
        asyncio.run(agency().wait_async("s1", LONG))

    async def gone() -> list[object]:
        waits = [asyncio.create_task(shop.wait_async(each, LONG)) for each in ("s1", "s2")]
        await asyncio.sleep(0.03)
        for each in ("", "-wal", "-shm"):
            (tmp_path / f"shop.db{each}").unlink(missing_ok=True)
        return await asyncio.gather(*waits, return_exceptions=True)

    start(shop, "s1")
    assert [type(each).__mro__[1] for each in asyncio.run(gone())] == [StoreError, StoreError]


def test_a_wait_inside_of_a_transaction_is_refused(shop: Participant) -> None:
    """It would never see the end; beside a transaction of another task it waits."""

    async def inside() -> None:
        with shop.transaction() as tx:
            tx.start(TripRequested("t"), "s1")
            with pytest.raises(StoreError, match="inside of a transaction"):
                await shop.wait_async("s1", LONG)

    async def beside() -> None:
        over = asyncio.Event()

        async def other() -> None:
            with shop.transaction() as tx:
                tx.start(TripRequested("t"), "s2")
                await over.wait()

        holding = asyncio.create_task(other())
        await asyncio.sleep(0)
        assert await shop.wait_async("s1", timedelta(0)) is not None
        over.set()
        await holding

    asyncio.run(inside())
    asyncio.run(beside())


def test_the_loop_goes_on_while_another_writer_is_waited_for(shop: Participant) -> None:
    """A block of plain code in a thread: the loop itself must let the writer go on."""

    async def both() -> None:
        entered, over = threading.Event(), threading.Event()

        def hold() -> None:
            with shop.transaction():
                entered.set()
                assert over.wait(10)

        holding = asyncio.create_task(asyncio.to_thread(hold))
        await asyncio.to_thread(entered.wait, 10)
        starting = asyncio.create_task(asyncio.to_thread(start, shop, "s1"))
        assert await asyncio.to_thread(shop.status, "s1") is None
        assert await shop.wait_async("s1", timedelta(0)) is None
        assert not starting.done()
        over.set()
        await asyncio.gather(holding, starting)
        assert await shop.wait_async("s1", timedelta(0)) is not None

    asyncio.run(both())


def test_a_forked_process_waits_by_itself(shop: Participant) -> None:
    """Its parent's waiting thread is not there."""
    start(shop, "s1")

    async def parent() -> int:
        waiting = asyncio.create_task(shop.wait_async("s1", LONG))
        await asyncio.sleep(0.03)
        pid = await asyncio.to_thread(_forked, shop)
        waiting.cancel()
        return pid

    assert os.waitpid(asyncio.run(parent()), 0)[1] == 0


def _forked(shop: Participant) -> int:
    pid = os.fork()
    if not pid:
        asyncio.set_event_loop(None)
        try:
            loop = asyncio.new_event_loop()
            asyncio._set_running_loop(None)
            status = loop.run_until_complete(shop.wait_async("s1", timedelta(0)))
            os._exit(0 if status is not None else 1)
        except BaseException:
            os._exit(2)
    return pid


def test_a_harness_runs_the_simulation() -> None:
    """As for ``wait``."""
    with Harness([orders, inventory]):
        saga_id = place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))
        status = asyncio.run(orders.wait_async(saga_id, LONG))
    assert status is not None
    assert status.state == "failed"

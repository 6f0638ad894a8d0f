"""What calls share: opened before the worker begins, closed after its calls, whatever goes wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from choreo import Context, Participant
from choreo.errors import LifespanError
from choreo.worker import Options, Worker
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.provider import undone
from tests.worker.rig import Rig
from tests.worker.trip import HotelBooked, HotelFull, TripRequested, trip

WAYS = pytest.mark.parametrize("way", ["coroutine", "thread"])
LEAVES_TASKS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SECONDS = 20.0
RELEASED = threading.Event()


@pytest.fixture(autouse=True)
def _blocked() -> Iterator[None]:
    """Let what blocks a thread go on in the end, and wait until it has ended."""
    RELEASED.clear()
    yield
    RELEASED.set()
    for thread in threading.enumerate():
        if thread.name == "choreo-calls":
            thread.join(SECONDS)
    gc.collect()  # so that what a test leaves alone is warned of in that test


class Service:
    """A hotel whose calls share a client; what happens is noted in its order."""

    def __init__(self, way: str, client: Callable[[], Any]) -> None:
        self.noted: list[str] = []
        self.is_closed = False
        self.stop: Callable[[], None] = lambda: None
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self.participant = Participant("hotel", sagas=[trip])
        self.participant.lifespan(client)
        self._declare(way)

    def _declare(self, way: str) -> None:
        def answer(ctx: Context) -> HotelBooked:
            self.noted.append(f"called with {ctx.shared}, closed: {self.is_closed}")
            self.stop()
            return HotelBooked("t")

        if way == "coroutine":

            @self.participant.action(fails=HotelFull)
            async def book(event: TripRequested, ctx: Context) -> HotelBooked:
                self.begun.set()
                while not self.may_end.is_set():
                    await asyncio.sleep(0.01)
                return answer(ctx)

        else:

            @self.participant.action(fails=HotelFull, blocking=True)
            def book(event: TripRequested, ctx: Context) -> HotelBooked:  # type: ignore[misc]
                self.begun.set()
                self.may_end.wait(SECONDS)
                return answer(ctx)

        undone(self.participant, book, None)


def _served(rig: Rigs, way: str, client: Callable[[], Any], **options: Any) -> tuple[Service, Rig, Worker]:
    service = Service(way, client)
    settings = Options(idle_seconds=0.0, flush_seconds=0.3, **{"drain_seconds": 60.0, **options})
    rigged = rig(service.participant, opened=False, options=settings)
    rigged.store = open_store(rigged.path)
    log = rigged.broker.log("hotel")
    worker = Worker(service.participant, rigged.store, log, rigged.codec, rigged.clock, settings)
    rigged._worker = worker
    service.stop = worker.stop
    rigged.append(TripRequested("t"))
    return service, rigged, worker


async def _normal() -> AsyncIterator[str]:
    yield "the client"


async def _raises_at_start() -> AsyncIterator[str]:
    raise TimeoutError("no route to the provider")
    yield "the client"


async def _exits_at_start() -> AsyncIterator[str]:
    raise SystemExit(0)
    yield "the client"


async def _is_cancelled_at_start() -> AsyncIterator[str]:
    raise asyncio.CancelledError
    yield "the client"


async def _never_yields() -> AsyncIterator[str]:
    if asyncio.get_running_loop().time() < 0:
        yield "the client"


async def _raises_at_stop() -> AsyncIterator[str]:
    yield "the client"
    raise ConnectionError("gone away")


async def _exits_at_stop() -> AsyncIterator[str]:
    yield "the client"
    raise SystemExit(7)


async def _hangs_at_stop() -> AsyncIterator[str]:
    yield "the client"
    await asyncio.Event().wait()


async def _clings_at_stop() -> AsyncIterator[str]:
    yield "the client"
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def _blocks_at_stop() -> AsyncIterator[str]:
    yield "the client"
    RELEASED.wait(SECONDS)


async def _yields_twice() -> AsyncIterator[str]:
    yield "the client"
    yield "another client"


@asynccontextmanager
async def _decorated() -> AsyncIterator[str]:
    yield "the client"


async def _waits_first() -> AsyncIterator[str]:
    await asyncio.to_thread(lambda: None)
    yield "the client"


STARTS_BADLY = [_raises_at_start, _exits_at_start, _is_cancelled_at_start, _never_yields]
GOOD = [_normal, _decorated, _waits_first]
ENDS_BADLY = {
    _raises_at_stop: "ConnectionError: gone away",
    _exits_at_stop: "SystemExit: 7",
    _hangs_at_stop: "does not end within 0.3 s",
    _clings_at_stop: "does not end within 0.3 s",
    _blocks_at_stop: "the event loop of the calls does not end",
    _yields_twice: "generator didn't stop",
}


@LEAVES_TASKS
@WAYS
@pytest.mark.parametrize("client", [*GOOD, *ENDS_BADLY], ids=lambda each: each.__name__)
def test_calls_share_what_it_yields(
    rig: Rigs, way: str, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """However it ends, the call's result is committed before, and the stop takes a few seconds at most."""
    service, rigged, worker = _served(rig, way, client)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "choreo.worker"):
        worker.run()
    assert time.monotonic() - began < 6
    assert service.noted == ["called with the client, closed: False"]
    assert rigged.published() == [HotelBooked("t")]
    said = [record.getMessage() for record in caplog.records if record.name == "choreo.worker"]
    assert [ENDS_BADLY[client] in line for line in said] == [True] if client in ENDS_BADLY else not said


@WAYS
@pytest.mark.parametrize("client", STARTS_BADLY, ids=lambda each: each.__name__)
def test_one_that_fails_at_the_start_lets_nothing_begin(rig: Rigs, way: str, client: Any) -> None:
    """The worker that has the store keeps it."""
    service, rigged, worker = _served(rig, way, client)
    plain = Service(way, _normal).participant
    other = Worker(
        plain,
        open_store(rigged.path),
        rigged.broker.log("hotel"),
        rigged.codec,
        rigged.clock,
        Options(idle_seconds=0.0),
    )
    other.start()
    with pytest.raises(LifespanError, match="hotel: its lifespan failed at the start: ") as raised:
        worker.run()
    assert raised.value.hint
    assert raised.value.exit_code == 2
    assert not service.noted
    other.turn()  # it isn't fenced off
    other._calls.stop(1)
    other._log.close()
    other._store.close()


@LEAVES_TASKS
@pytest.mark.parametrize("blocks", [False, True], ids=["waits", "blocks the loop"])
def test_a_stop_ends_one_that_never_begins(rig: Rigs, blocks: bool) -> None:
    entering = threading.Event()

    async def client() -> AsyncIterator[str]:
        entering.set()
        if blocks:
            RELEASED.wait(SECONDS)
        await asyncio.Event().wait()
        yield "the client"

    service, rigged, worker = _served(rig, "coroutine", client)

    def stop_meanwhile() -> None:
        entering.wait(SECONDS)
        worker.stop()

    threading.Thread(target=stop_meanwhile).start()
    began = time.monotonic()
    worker.run()
    assert time.monotonic() - began < 6
    assert not service.noted
    assert not rigged.history()


@WAYS
def test_it_is_left_after_the_calls_have_ended(rig: Rigs, way: str) -> None:
    """On the event loop on which it was entered, in the same task, which the coroutines share."""
    where: list[tuple[Any, Any]] = []

    async def client() -> AsyncIterator[str]:
        where.append((asyncio.get_running_loop(), asyncio.current_task()))
        yield "the client"
        where.append((asyncio.get_running_loop(), asyncio.current_task()))
        service.is_closed = True
        service.noted.append("closed")

    service, _, worker = _served(rig, way, client)
    service.may_end.clear()

    def stop_meanwhile() -> None:
        service.begun.wait(SECONDS)
        worker.stop()
        service.may_end.set()

    threading.Thread(target=stop_meanwhile).start()
    worker.run()
    assert service.noted == ["called with the client, closed: False", "closed"]
    assert where[0] == where[1]


def test_a_cancelled_call_ends_before_what_it_uses_is_closed(rig: Rigs) -> None:
    noted: list[str] = []
    stop: list[Callable[[], None]] = []

    async def client() -> AsyncIterator[str]:
        yield "the client"
        noted.append("closed")

    hotel = Participant("hotel", sagas=[trip])
    hotel.lifespan(client)

    @hotel.action(fails=HotelFull)
    async def book(event: TripRequested, ctx: Context) -> HotelBooked:
        stop[0]()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            noted.append(f"cancelled beside {ctx.shared}")
        return HotelBooked("t")

    undone(hotel, book, None)

    rigged = rig(hotel, opened=False)
    rigged.append(TripRequested("t"))
    store = open_store(rigged.path)
    options = Options(idle_seconds=0.0, drain_seconds=0.0)
    worker = Worker(hotel, store, rigged.broker.log("hotel"), rigged.codec, rigged.clock, options)
    stop.append(worker.stop)
    worker.run()
    store.close()
    assert noted == ["cancelled beside the client", "closed"]


@WAYS
@pytest.mark.parametrize("swallows", [False, True])
def test_one_that_ends_while_the_worker_runs_ends_the_worker(rig: Rigs, way: str, swallows: bool) -> None:
    """Its calls would be made with what is closed, again and again."""

    async def fail() -> None:
        raise ConnectionError("the pool has lost its server")

    async def client() -> AsyncIterator[str]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                yield "the client"
        except BaseException:
            if not swallows:
                raise

    service, rigged, worker = _served(rig, way, client)
    service.stop = lambda: None
    ticking = threading.Event()

    def tick() -> None:
        deadline = time.monotonic() + SECONDS
        while not ticking.wait(0.01):
            rigged.clock.advance(0.5)
            if time.monotonic() > deadline:
                worker.stop()

    threading.Thread(target=tick).start()
    try:
        with pytest.raises(LifespanError, match="its lifespan ended while the worker ran: "):
            worker.run()
    finally:
        ticking.set()


def test_a_participant_without_calls_may_have_one(rig: Rigs) -> None:
    noted: list[str] = []
    hotel = Participant("hotel", sagas=[trip])

    @hotel.lifespan
    async def client() -> AsyncIterator[None]:
        noted.append("opened")
        yield
        noted.append("closed")

    @hotel.action(fails=HotelFull)
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        noted.append("called")
        ctx.shared.get("http://provider")
        return HotelBooked("t")

    undone(hotel, book, None)

    rigged = rig(hotel)
    rigged.feed(TripRequested("t"))
    assert rigged.published() == [HotelFull("t", "TransactionControl")]  # inside of the transaction
    rigged.close()
    assert noted == ["opened", "called", "closed"]

"""Room for calls: what waits for it, what does not have to, and what is said where there is none."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Retry
from choreo.worker import Options
from tests.worker.conftest import Rigs
from tests.worker.provider import until
from tests.worker.rig import Rig
from tests.worker.services import SECOND
from tests.worker.trip import (
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripRequested,
    trip,
)

ROOM = 2
MINUTE = 60 * SECOND


class Hanging:
    """A provider that answers nobody until it is let go."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.asked: list[str] = []
        self.hangs = True

    def ask(self, ctx: Context) -> None:
        """Hang in a thread."""
        self.asked.append(ctx.saga_id)
        if self.hangs:
            self.gone.wait(30)

    async def ask_async(self, ctx: Context) -> None:
        """Hang in a coroutine."""
        self.asked.append(ctx.saga_id)
        while self.hangs and not self.gone.is_set():
            await asyncio.sleep(0.001)

    async def ask_deaf(self, ctx: Context) -> None:
        """Hang in a coroutine that takes no notice of being cancelled."""
        while not self.gone.is_set():
            try:
                await self.ask_async(ctx)
                return
            except asyncio.CancelledError:
                continue


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    provider = Hanging()
    yield provider
    provider.gone.set()


def _hotel(provider: Hanging, way: str, kind: str, timeout: timedelta | None, retry: Retry) -> Participant:
    """Make a hotel whose booking hangs, in a thread or as a coroutine, and whose cancellation is a call."""
    participant = Participant("hotel", sagas=[trip], retry=retry)
    options: dict[str, Any] = {"fails": HotelFull, "kind": kind, "timeout": timeout}
    options |= {"partial": False} if kind == "pivot" else {}
    if way == "thread":

        @participant.action(**options, blocking=True)
        def book(event: TripRequested, ctx: Context) -> HotelBooked:
            provider.ask(ctx)
            return HotelBooked(event.trip)

        action: Any = book
    else:
        asks = provider.ask_deaf if way == "deaf" else provider.ask_async

        @participant.action(**options)
        async def book_async(event: TripRequested, ctx: Context) -> HotelBooked:
            await asks(ctx)
            return HotelBooked(event.trip)

        action = book_async
    if kind == "compensatable":

        @participant.compensation(of=action)
        async def cancel(
            event: FlightFull | Aborted, booked: HotelBooked | None, ctx: Context
        ) -> HotelCancelled:
            return HotelCancelled(ctx.saga_id)

    return participant


def _full(rig: Rigs, participant: Participant, hanging: Hanging, more: int = 3) -> Rig:
    """Return a hotel whose room is used up by calls that hang, with more that wait for it."""
    rigged = rig(participant, options=Options(idle_seconds=0.0, calls=ROOM))
    for number in range(ROOM + more):
        rigged.append(TripRequested("t"), f"s{number}")
    rigged.settle()
    until(rigged, lambda: len(hanging.asked) == ROOM)
    return rigged


WAYS = pytest.mark.parametrize("way", ["thread", "coroutine", "deaf"])
OFTEN = pytest.mark.parametrize(
    ("way", "restarted"),
    [("thread", False), ("coroutine", False), ("deaf", False), ("thread", True), ("coroutine", True)],
)
NONE = Retry(attempts=1)


@OFTEN
@pytest.mark.parametrize("kind", ["compensatable", "pivot"])
def test_a_timeout_needs_no_room(rig: Rigs, hanging: Hanging, way: str, kind: str, restarted: bool) -> None:
    """A step whose timeout passes while it waits for room fails at that time, and is not called.

    Of a pivot that was out at a crash the effect is unknown: it waits until it is called again.
    """
    rigged = _full(rig, _hotel(hanging, way, kind, MINUTE, NONE), hanging)
    if restarted:
        rigged.restart()
        until(rigged, lambda: len(hanging.asked) == 2 * ROOM)
    called = {call.item.saga_id for call in rigged.worker._calls._out}
    waited = {f"s{number}" for number in range(ROOM + 3)} - called
    waited -= {"s0", "s1"} if kind == "pivot" else set()
    assert waited
    rigged.clock.advance(60)
    rigged.settle()
    assert not any(rigged.published(each) for each in waited)
    assert rigged.worker.wakes_at == rigged.clock.now() + 1
    rigged.clock.advance(0.001)
    until(rigged, lambda: all(rigged.published(each) for each in waited))
    assert {str(event) for each in waited for event in rigged.published(each)} == {
        str(HotelFull("t", "timed out"))
    }
    assert set(hanging.asked) == {"s0", "s1"} | called


@WAYS
def test_an_abort_needs_no_room(rig: Rigs, hanging: Hanging, way: str) -> None:
    """A step that waits for room answers at once."""
    rigged = _full(rig, _hotel(hanging, way, "compensatable", None, NONE), hanging)
    rigged.feed(TripCancelled("t"), saga_id="s3")
    assert rigged.published("s3") == [HotelFull("t", "the saga is aborted")]
    assert rigged.published("s2") == []


@OFTEN
def test_a_compensation_waits_for_no_action(rig: Rigs, hanging: Hanging, way: str, restarted: bool) -> None:
    """It has room of its own."""
    hanging.hangs = False
    rigged = rig(
        _hotel(hanging, way, "compensatable", None, NONE), options=Options(idle_seconds=0.0, calls=ROOM)
    )
    rigged.feed(TripRequested("t"), saga_id="done")
    until(rigged, lambda: bool(rigged.published("done")))
    rigged.settle()
    hanging.hangs = True
    for number in range(ROOM + 1):
        rigged.append(TripRequested("t"), f"s{number}")
    rigged.settle()
    until(rigged, lambda: len(hanging.asked) == ROOM + 1)
    rigged.append(FlightFull("t", "full"), "done")
    if restarted:
        rigged.restart()
    until(rigged, lambda: rigged.published("done")[1:] == [HotelCancelled("done")])


@WAYS
def test_calls_that_hang_give_their_room_back(rig: Rigs, hanging: Hanging, way: str) -> None:
    """Round after round; what comes late is void."""
    participant = _hotel(hanging, way, "compensatable", MINUTE, NONE)
    rigged = _full(rig, participant, hanging, more=0)
    for number in range(ROOM):
        assert not rigged.published(f"s{number}")
    rigged.clock.advance(61)
    until(rigged, lambda: all(rigged.published(f"s{number}") for number in range(ROOM)))
    hanging.hangs = False
    rigged.feed(TripRequested("t"), saga_id="next")
    until(rigged, lambda: rigged.published("next") == [HotelBooked("t")])
    hanging.gone.set()
    until(rigged, lambda: not rigged.worker._calls.hanging())
    rigged.settle()
    assert rigged.published("s0") == [HotelFull("t", "timed out")]


@pytest.mark.parametrize("way", ["thread", "coroutine"])
@pytest.mark.parametrize("kind", ["pivot", "retriable", "compensation"])
def test_a_call_that_nothing_may_cut_gives_its_room_back(
    rig: Rigs, hanging: Hanging, way: str, kind: str
) -> None:
    """Its result is awaited, whenever it comes; a heartbeat keeps the place."""
    participant = Participant("hotel", sagas=[trip])
    if kind == "compensation":
        _undo_that_hangs(participant, hanging, way)
    else:
        _action_that_hangs(participant, hanging, way, kind)
    rigged = rig(participant, options=Options(idle_seconds=0.0, calls=1))
    for saga_id in ("s1", "s2"):
        rigged.feed(TripRequested("t"), saga_id=saga_id)
        if kind == "compensation":
            rigged.feed(FlightFull("t", "full"), saga_id=saga_id)
    until(rigged, lambda: hanging.asked == ["s1"])
    rigged.clock.advance(299)
    rigged.settle()
    assert hanging.asked == ["s1"]
    (call,) = rigged.worker._calls._out
    call.context.extend(10 * SECOND)
    rigged.clock.advance(2)
    rigged.settle()
    assert hanging.asked == ["s1"]
    rigged.clock.advance(10)
    until(rigged, lambda: hanging.asked == ["s1", "s2"])
    hanging.gone.set()
    until(rigged, lambda: not rigged.worker._calls.out)
    rigged.settle()
    assert [type(rigged.published(each)[-1]) for each in ("s1", "s2")] == [
        HotelCancelled if kind == "compensation" else TripBooked
    ] * 2
    assert rigged.worker._calls.room("call") == rigged.worker._calls.room("undo") == 1


def _action_that_hangs(participant: Participant, hanging: Hanging, way: str, kind: Any) -> None:
    options: dict[str, Any] = {"on": TripRequested, "kind": kind, "timeout": None}
    options |= {"fails": HotelFull, "partial": False} if kind == "pivot" else {}
    if way == "thread":

        @participant.action(**options, blocking=True)
        def send(event: TripRequested, ctx: Context) -> TripBooked:
            hanging.ask(ctx)
            return TripBooked(event.trip)
    else:

        @participant.action(**options)
        async def send_async(event: TripRequested, ctx: Context) -> TripBooked:
            await hanging.ask_async(ctx)
            return TripBooked(event.trip)


def _undo_that_hangs(participant: Participant, hanging: Hanging, way: str) -> None:
    @participant.action(fails=HotelFull)
    def book(event: TripRequested) -> HotelBooked:
        return HotelBooked(event.trip)

    if way == "thread":

        @participant.compensation(of=book, blocking=True)
        def cancel(event: FlightFull, booked: HotelBooked, ctx: Context) -> HotelCancelled:
            hanging.ask(ctx)
            return HotelCancelled(booked.trip)
    else:

        @participant.compensation(of=book)
        async def cancel_async(event: FlightFull, booked: HotelBooked, ctx: Context) -> HotelCancelled:
            await hanging.ask_async(ctx)
            return HotelCancelled(booked.trip)


def test_a_limit_of_an_older_release_counts_no_more(rig: Rigs, hanging: Hanging) -> None:
    """A step that waits is timed out by the timeout of today."""
    rigged = _full(rig, _hotel(hanging, "coroutine", "compensatable", MINUTE, NONE), hanging)
    rigged.close()
    rigged.participant = _hotel(hanging, "coroutine", "compensatable", None, NONE)
    rigged.open()
    until(rigged, lambda: len(hanging.asked) == 2 * ROOM)
    rigged.clock.advance(3600)
    rigged.settle()
    assert rigged.worker.wakes_at is None
    assert [rigged.published(f"s{number}") for number in range(ROOM + 3)] == [[]] * (ROOM + 3)


def test_a_pivot_that_was_out_at_a_crash_is_called_again_once_there_is_room(
    rig: Rigs, hanging: Hanging
) -> None:
    """Its timeout counts until it begins: nothing may end it then, and nothing goes round in circles."""
    rigged = _full(rig, _hotel(hanging, "coroutine", "pivot", MINUTE, NONE), hanging, more=0)
    rigged.close()
    rigged.clock.advance(3600)
    rigged.begin()
    rigged.worker._calls.is_open = False
    rigged.settle()
    assert not rigged.published("s0")
    rigged.worker._calls.is_open = True
    hanging.hangs = False
    rigged.feed(TripRequested("t"), saga_id="wakes")
    until(rigged, lambda: rigged.published("s0") == [HotelBooked("t")])


Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return the lines about room that were logged so far."""
    caplog.set_level(logging.INFO, "choreo.worker")
    words = ("room", "hang", "hung")
    return lambda: [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if any(word in record.getMessage() for word in words)
    ]


def test_a_lack_of_room_is_said_once_and_so_is_its_end(rig: Rigs, hanging: Hanging, lines: Lines) -> None:
    """With how many wait, and since when."""
    rigged = _full(rig, _hotel(hanging, "thread", "compensatable", None, NONE), hanging)
    assert lines() == []
    for _ in range(5):
        rigged.clock.advance(2)
        rigged.settle()
    (said,) = lines()
    assert said.startswith(
        "WARNING hotel: no room for another call: 3 actions wait, the first since 2023-11-14T"
    )
    hanging.gone.set()
    until(rigged, lambda: all(rigged.published(f"s{number}") for number in range(ROOM + 3)))
    rigged.clock.advance(2)
    rigged.settle()
    assert lines()[1:] == ["WARNING hotel: there is room for actions again, after 12 s"]


def test_calls_that_hang_are_said(rig: Rigs, hanging: Hanging, lines: Lines) -> None:
    """Not each, but again when there are twice as many, and when all have returned."""
    rigged = _full(rig, _hotel(hanging, "thread", "compensatable", MINUTE, NONE), hanging, more=0)
    for round in range(1, 5):
        rigged.clock.advance(61)
        until(rigged, lambda: not rigged.worker._calls.out)
        for _ in range(2):
            rigged.clock.advance(2)
            rigged.settle()
        for number in range(ROOM):
            rigged.append(TripRequested("t"), f"again{round}-{number}")
        until(rigged, lambda round=round: len(hanging.asked) == ROOM * (round + 1))  # type: ignore[misc]
    assert [line.split(" calls")[0] for line in lines()] == [
        f"WARNING hotel: {number}" for number in (2, 4, 8)
    ]
    assert "the first is hotel.book for saga_id=s0" in lines()[0]
    hanging.gone.set()
    until(rigged, lambda: not rigged.worker._calls.hanging())
    rigged.clock.advance(2)
    rigged.settle()
    assert lines()[-1] == "WARNING hotel: every call that hung has ended"


@WAYS
def test_a_stop_lets_calls_end_and_begins_none(rig: Rigs, hanging: Hanging, way: str) -> None:
    """Their results are committed; what waits for room goes on waiting in the store."""
    options = Options(idle_seconds=0.0, calls=ROOM, drain_seconds=60)
    rigged = rig(_hotel(hanging, way, "compensatable", None, NONE), options=options)
    for number in range(ROOM + 1):
        rigged.append(TripRequested("t"), f"s{number}")
    rigged.settle()
    until(rigged, lambda: len(hanging.asked) == ROOM)
    rigged.worker.stop()
    threading.Timer(0.1, hanging.gone.set).start()
    rigged.worker.run()
    assert [rigged.published(f"s{number}") for number in range(ROOM + 1)] == [
        *[[HotelBooked("t")]] * ROOM,
        [],
    ]
    assert len(hanging.asked) == ROOM
    assert [row.saga_id for row in rigged.store.due(rigged.clock.now(), 9, "call")] == [f"s{ROOM}"]


@pytest.mark.parametrize("way", ["thread", "coroutine"])
def test_a_stop_waits_for_calls_no_longer_than_it_should(rig: Rigs, hanging: Hanging, way: str) -> None:
    """What is left is called again after the next start."""
    options = Options(idle_seconds=0.0, calls=ROOM, drain_seconds=60)
    rigged = rig(_hotel(hanging, way, "compensatable", None, NONE), options=options)
    rigged.feed(TripRequested("t"))
    until(rigged, lambda: hanging.asked == ["s1"])
    rigged.worker.stop()
    threading.Timer(0.1, rigged.clock.advance, [61]).start()
    rigged.worker.run()
    assert not rigged.published()
    hanging.hangs = False
    rigged.restart()
    until(rigged, lambda: rigged.published() == [HotelBooked("t")])
    assert hanging.asked == ["s1", "s1"]


_HANGS = """
import asyncio, time
from choreo.worker.threads import Threads
class Call:
    class handler: runs, name = {runs!r}, "hotel.book"
    def run(self): time.sleep(3600)
    async def run_async(self): {hangs}
threads = Threads()
threads.start(Call())
time.sleep(0.2)
threads.stop(0.2)
"""


@pytest.mark.parametrize(
    ("runs", "hangs"),
    [
        ("thread", "pass"),
        ("coroutine", "await asyncio.to_thread(time.sleep, 3600)"),
        ("coroutine", "time.sleep(3600)"),
    ],
    ids=["thread", "to_thread", "blocked-loop"],
)
def test_a_call_that_hangs_keeps_no_process_from_its_end(runs: str, hangs: str) -> None:
    """Whatever it hangs in."""
    script = _HANGS.format(runs=runs, hangs=hangs)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=10)

"""Clocks that differ: who stamps the records, by how much it is off, and that a timeout tells of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo import Participant
from choreo.records import Lane, Record, Scheduled, record_time
from choreo.worker.clocks import TOLERANCE, Clocks
from tests.worker.conftest import Rigs
from tests.worker.rig import NOON, ManualClock, Rig
from tests.worker.services import Script, agency, hotel
from tests.worker.trip import HotelBooked, HotelFull, TripRequested

HOUR = 3_600_000


def stamped(rigged: Rig, off: int, saga_id: str, **changes: str) -> None:
    """Publish a start, as its participant does whose clock is so far off."""
    right = rigged.clock.time
    rigged.clock.time = right + off
    rigged.append(TripRequested("t"), saga_id, **changes)
    rigged.clock.time = right


@pytest.mark.parametrize(
    ("off", "words"),
    [(-2 * HOUR, "2:00:00 behind"), (-300_000, "0:05:00 behind"), (50 * 60_000, "0:50:00 ahead of")],
)
def test_a_producer_s_wrong_clock_is_told_once_and_named_by_what_times_out(
    rig: Rigs, caplog: pytest.LogCaptureFixture, off: int, words: str
) -> None:
    """All its sagas time out, or none does in time; the log says why, and so does each failure."""
    rigged = rig(hotel(timeout=timedelta(minutes=2)))
    for number in range(5):
        stamped(rigged, off, f"s{number}")
        rigged.settle()
    assert caplog.text.count(f"the clock of agency is {words} this host's") == 1
    for number in range(5):
        (event,) = rigged.published(f"s{number}")
        assert isinstance(event, HotelFull) == (off < 0)
        if off < 0:
            assert f"timed out by a clock that is {words} this host's (that of agency)" in event.reason


def test_a_clock_that_is_set_right_is_told_of_again_when_it_is_wrong_again(
    rig: Rigs, caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each change; what times out between has no clock to blame."""
    rigged = rig(hotel(timeout=timedelta(minutes=2)))
    for number, off in enumerate((-HOUR, 0, -HOUR)):
        stamped(rigged, off, f"s{number}")
        rigged.settle()
    assert caplog.text.count("the clock of agency is") == 2
    assert [type(rigged.published(f"s{n}")[0]).__name__ for n in range(3)] == [
        *("HotelFull", "HotelBooked", "HotelFull")
    ]


def test_where_the_broker_stamps_the_records_its_clock_is_compared(
    rig: Rigs, caplog: pytest.LogCaptureFixture
) -> None:
    """A participant's clock can't matter then, but this host's still does."""
    rigged = rig(hotel(timeout=timedelta(minutes=2)), opened=False)
    rigged.broker.create_topic("trip", 1)
    rigged.broker.configure("trip", {"message.timestamp.type": "LogAppendTime"})
    rigged.open()
    stamped(rigged, -HOUR, "s1")
    rigged.settle()
    assert "the clock of the broker is 1:00:00 behind this host's" in caplog.text
    (event,) = rigged.published("s1")
    assert "(that of the broker)" in event.reason


@pytest.mark.parametrize("how", ["caught up", "stalled"])
def test_the_age_of_what_was_waiting_says_nothing_of_clocks(
    rig: Rigs, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """A worker that was stopped, or that did no turn for a while, reads old records of good clocks."""
    rigged = rig(hotel(timeout=timedelta(minutes=2)))
    if how == "caught up":
        rigged.close()
    rigged.append(TripRequested("t"))
    rigged.clock.advance(3600)
    if how == "caught up":
        rigged.begin()
    rigged.settle()
    assert "clock" not in caplog.text
    (event,) = rigged.published()
    assert isinstance(event, HotelFull)
    assert "clock" not in event.reason


@given(
    st.dictionaries(st.binary(max_size=80), st.integers(-(2**63), 2**63 - 1), max_size=30),
    st.booleans(),
)
def test_whatever_records_say_of_their_source_and_time(sources: dict[bytes, int], named: bool) -> None:
    """Any bytes, any time: at most so many are remembered, and no line of the log is broken."""
    clocks = Clocks("hotel", ManualClock(), lambda _topic: False)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("choreo.worker")
    logger.addHandler(handler)
    try:
        for source, time in sources.items():
            headers = [("ce_source", source)] if named else [("ce_source", None)]
            clocks.look([Record("trip", 0, 0, time, b"k", headers, b"")])
    finally:
        logger.removeHandler(handler)
    assert len(clocks._off) <= 100
    wrong = [time for time in sources.values() if abs(record_time(time, NOON) - NOON) > TOLERANCE]
    assert bool(lines) == bool(wrong)
    assert all(line.isprintable() and line.isascii() for line in lines)


class JumpingClock(ManualClock):
    """A clock whose wall time somebody sets ahead and back; its monotonic time goes on."""

    ahead = 0

    def now(self) -> int:
        """Return the wall time."""
        return self.time + self.ahead


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "while it was down"])
@pytest.mark.parametrize("ahead", [2, 600, 86_400 * 400], ids=lambda seconds: f"{seconds} s")
@pytest.mark.parametrize("make", [hotel, agency], ids=["action", "observer"])
def test_nothing_waits_for_a_time_that_only_a_wrong_clock_knew(
    rig: Rigs, make: Callable[[Script], Participant], ahead: int, restarted: bool
) -> None:
    """A retry comes after its pause when the clock is set right."""
    tries = Script([ConnectionError()])
    shop = rig(make(tries), opened=False)
    shop.clock = clock = JumpingClock()
    shop.open()
    clock.ahead = ahead * 1000
    for event in (TripRequested("t"), HotelBooked("t")):
        if make is agency or type(event) is TripRequested:
            shop.append(event)
    while not tries.calls:
        shop.worker.turn()
    clock.ahead = 0
    if restarted:
        shop.restart()
    for _ in range(11):
        clock.advance(1.0)
        shop.settle()
    assert len(tries.calls) == 2


@pytest.mark.parametrize("lane", ["turn", "call", "undo"])
@pytest.mark.parametrize("task", ["action", "compensation", "answer"])
def test_what_is_due_at_once_is_due_at_once_after_the_clock_was_set_back(
    rig: Rigs, lane: Lane, task: str
) -> None:
    """Work that waits for its first attempt waits for nothing; a deadline stands where its record put it."""
    shop = rig(hotel())
    later = shop.clock.now() + 3_600_000
    with shop.store.turn():
        rows = [
            Scheduled("s", "trip", each, "hotel.book", "e", later, 0, lane) for each in (task, "deadline")
        ]
        shop.store.schedule(rows)
        shop.worker._processor.pull_in()
    due = {row.task: row.due for row in shop.store.scheduled("s", "trip")}
    assert due == {task: shop.clock.now(), "deadline": later}

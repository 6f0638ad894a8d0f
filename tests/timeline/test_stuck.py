"""A saga is stuck by the age of its last transition: no retry, and no clock that is wrong, hides it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.records import Entry
from choreo.store.opening import open_reader, open_store
from choreo.timeline.selection import Filter, Timelines, is_stuck
from choreo.timeline.source import MemorySource

MINUTE, HOUR = 60_000, 3_600_000
AFTER = 10 * MINUTE
NOON = 1_700_000_000_000
EVENT, LOCAL, RETRY, BURIED, REQUEUED, VOID = "event", "local", "retry", "buried", "requeued", "void"


class Happened(NamedTuple):
    """What a participant wrote, at a true time."""

    who: int
    what: str
    at: int


def row(what: str, number: int, at: int, topic: int, saga: str = "s1") -> Entry:
    """Return a row that a clock wrote at ``at``, of an event that the topic has since ``topic``."""
    head = (saga, "order", 1, "started" if number < 2 else "pending", at)
    if what in (EVENT, VOID):
        event = (f"e{number}", "E", "succeeded", "start", "p0", "", "orders", 0, number, topic)
        old, new = ("pending", "completed") if what == EVENT else ("failed", "failed")
        note = "void" if what == VOID else ""
        return Entry._make((*head, "event", f"p.{number}", old, new, *event, None, note, ""))
    inputs = {LOCAL: "begin", RETRY: "deferred", BURIED: "buried", REQUEUED: "requeued"}
    new = "executing" if what == LOCAL else "pending"
    return Entry(*head, inputs[what], f"p.{number}", "pending", new)


def timelines(happened: Sequence[Happened], clocks: Sequence[int], broker: int | None, now: int) -> Timelines:
    """Return what stores tell whose clocks are wrong; without a broker's, producers stamp records."""
    rows: list[list[tuple[int, Entry]]] = [[] for _ in clocks]
    for number, each in enumerate(happened):
        for who, clock in enumerate(clocks):
            if each.what in (EVENT, VOID) or who == each.who:
                stamped = each.at + (clocks[each.who] if broker is None else broker)
                rows[who].append((number, row(each.what, number, each.at + clock, stamped)))
    sources = [MemorySource(f"p{who}", f"p{who}.db", found) for who, found in enumerate(rows)]
    return Timelines(sources, {}, now)


OFFSETS = st.sampled_from([0, 500, -500, MINUTE // 2, 9 * MINUTE, HOUR, 30 * HOUR])
WHATS = st.sampled_from([EVENT, LOCAL, RETRY, BURIED, REQUEUED, VOID])


@given(
    st.lists(st.tuples(st.integers(0, 2), WHATS, st.integers(0, 20 * MINUTE)), max_size=8),
    st.lists(OFFSETS, min_size=1, max_size=3),
    st.booleans(),
)
def test_whichever_clock_is_ahead_what_does_not_move_is_found(
    more: list[tuple[int, str, int]], clocks: list[int], broker_stamps: bool
) -> None:
    """One clock must be right: the broker's, or that of some participant, which the others are held to."""
    if not broker_stamps:
        clocks = [*clocks, 0]
    happened, at = [Happened(0, EVENT, NOON)], NOON
    for who, what, later in more:
        at += later
        happened.append(Happened(who % len(clocks), what, at))
    moved = max(each.at for each in happened if each.what in (EVENT, LOCAL))
    broker = 0 if broker_stamps else None
    told = timelines(happened, clocks, broker, moved + AFTER)
    assert [each.saga_id for each in told.chosen(Filter(stuck_for=AFTER))] == ["s1"]


@given(st.lists(st.tuples(st.integers(0, 2), WHATS, st.integers(0, MINUTE)), max_size=8))
def test_with_right_clocks_only_what_does_not_move_is_found(more: list[tuple[int, str, int]]) -> None:
    """To the millisecond."""
    happened, at = [Happened(0, EVENT, NOON)], NOON
    for who, what, later in more:
        at += later
        happened.append(Happened(who, what, at))
    moved = max(each.at for each in happened if each.what in (EVENT, LOCAL))
    (one,) = timelines(happened, (0, 0, 0), 0, moved + AFTER - 1).of("s1")
    assert (one.idle, is_stuck(one, AFTER)) == (AFTER - 1, False)


def test_a_time_that_has_not_come_is_told_as_it_is() -> None:
    """By little it is nothing to speak of; by much, nobody knows for how long the saga has not moved."""
    for ahead, stuck in ((1_000, False), (HOUR, True)):
        (one,) = timelines([Happened(0, EVENT, NOON)], (ahead,), ahead, NOON).of("s1")
        assert (one.idle, is_stuck(one, AFTER)) == (-ahead, stuck)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of a new store."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("empty_store"))
    return str(tmp_path / "shop.db")


def test_a_database_tells_the_same_as_its_rows(place: str) -> None:
    """Of sagas in flight, ended, ended and gone on; of rows of every kind, by clocks of every kind."""
    random, rows = Random(20261), []
    for saga in range(120):
        ends = random.choice(["", "", "completed", "failed"])
        for number in range(random.randrange(1, 9)):
            what = EVENT if number == 0 else random.choice([EVENT, LOCAL, RETRY, BURIED, REQUEUED, VOID])
            at = NOON + random.randrange(HOUR)
            made = row(what, number, at, at + random.randrange(-HOUR, HOUR), f"s{saga}")
            rows.append(made._replace(saga_type=random.choice(["order"] * 9 + ["return"])))
        if ends:
            states = [ends, *(["compensating"] if ends == "failed" and saga % 2 else [])]
            rows += [rows[-1]._replace(saga_state=state) for state in states]
    first = {(each.saga_id, each.saga_type): number for number, each in reversed([*enumerate(rows)])}
    rows = [
        each._replace(saga_state="started") if first[each.saga_id, each.saga_type] == number else each
        for number, each in enumerate(rows)
    ]
    with closing(open_store(place)) as store, store.turn():
        store.append(rows)
    with open_reader(place) as reader:
        found = list(reader.unended())
        told = MemorySource("shop", "shop.db", enumerate(rows, 1))
        assert found == list(told.unended())
        assert 30 < len(found) < len(first)
        assert [each.time for each in found] == sorted(each.time for each in found)

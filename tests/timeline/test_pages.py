"""Pages of sagas: each one once and none left out, however sources lag and whatever is written meanwhile."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from choreo.records import Entry
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.selection import Filter, Timelines
from choreo.timeline.source import MemorySource

NOW = 1_000_000
STATES = ("pending", "compensating", "completed", "failed")


class Row(NamedTuple):
    """One row of a saga in one source: an event, or a further attempt, with which nothing moves."""

    source: int
    saga: int
    state: str
    pause: int
    moves: bool


rows = st.lists(
    st.builds(
        Row, st.integers(0, 2), st.integers(0, 7), st.sampled_from(STATES), st.integers(0, 2), st.booleans()
    ),
    max_size=40,
)
filters = st.sampled_from(
    [
        Filter(),
        Filter(is_unended=True),
        Filter(states=("failed",)),
        Filter(states=("pending",)),
        Filter(saga_type="b"),
        Filter(stuck_for=20),
        Filter(older_than=20),
        Filter(participant="p1"),
    ]
)


def timelines_of(given: list[Row]) -> Timelines:
    """Return the timelines of three sources."""
    entries: dict[int, list[tuple[int, Entry]]] = {0: [], 1: [], 2: []}
    ended: dict[tuple[int, int], str] = {}
    time = NOW - 100
    for number, row in enumerate(given):
        time += row.pause
        state = ended.get((row.source, row.saga)) or row.state
        if state in ("completed", "failed"):
            ended[row.source, row.saga] = state
        saga = (f"s-{row.saga}", "ab"[row.saga % 2], 1, state, time)
        tried = Entry(*saga, "deferred", "p0.pay", "executing", "executing", topic="topic", event_time=time)
        event = (f"e{number}", "shop.Placed", "succeeded", "start", "p0", "", "topic", 0, number, time)
        moved = Entry(*saga, "event", "start", "pending", "completed", *event)
        entry = moved if row.moves else tried
        entries[row.source].append((number, entry))
    sources = [MemorySource(f"p{number}", f"p{number}.db", found) for number, found in entries.items()]
    return Timelines(sources, {}, NOW)


def ids(found: object) -> list[tuple[str, str]]:
    return [(each.saga_id, each.saga_type) for each in found]  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@given(rows, filters, st.integers(1, 4), st.integers(1, 4))
@example(  # the first one moved before the second, and is tried again after it
    [Row(0, 0, "pending", 1, True), Row(0, 2, "pending", 1, True), Row(0, 0, "pending", 1, False)],
    Filter(is_unended=True),
    1,
    1,
)
@example(  # of the first one, the source that is behind tells what is not asked for
    [Row(1, 1, "compensating", 0, False), Row(0, 0, "pending", 1, False), Row(0, 1, "pending", 0, False)],
    Filter(states=("pending",)),
    1,
    1,
)
@example(  # the source that read last is behind: what it says of the second one is not asked for
    [
        Row(0, 0, "failed", 0, False),
        Row(0, 1, "failed", 0, False),
        Row(0, 0, "failed", 0, False),
        Row(1, 1, "pending", 1, False),
    ],
    Filter(states=("failed",)),
    1,
    1,
)
def test_all_pages_together_are_what_is_chosen(
    given: list[Row], wanted: Filter, limit: int, most: int
) -> None:
    """Whatever the size of a page, and however few are looked at for it."""
    timelines = timelines_of(given)
    found, after = [], ""
    while True:
        page = timelines.page(wanted, limit, most, after)
        assert len(page.timelines) <= limit
        assert page.looked_at <= most
        found += ids(page.timelines)
        if not page.after:
            break
        assert page.after != after
        after = page.after
    whole = ids(timelines.chosen(wanted))
    assert sorted(found) == sorted(whole)
    assert len(set(found)) == len(found)


def test_what_ended_long_ago_hides_nothing_that_is_stuck() -> None:
    """A worker that was down for an hour has sagas in flight that others have seen to end."""
    behind = [Row(0, saga, "pending", 0, True) for saga in range(20)]
    ended = [Row(1, saga, "completed", 0, True) for saga in range(20)]
    stuck = [Row(source, 20, "pending", 1, True) for source in range(3)]
    timelines = timelines_of([*behind, *ended, *stuck])
    for wanted in (Filter(stuck_for=20), Filter(is_unended=True), Filter(states=("pending",))):
        page = timelines.page(wanted, 5, 2)
        assert (ids(page.timelines), page.looked_at, page.after) == ([("s-20", "a")], 1, "")


def test_what_ended_long_ago_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to list what is stuck, nor to count it."""
    behind = [Row(0, saga, "pending", 0, True) for saga in range(20)]
    ended = [Row(1, saga, "completed", 0, True) for saga in range(20)]
    stuck = [Row(source, 20, "pending", 1, True) for source in range(3)]
    timelines = timelines_of([*behind, *ended, *stuck])
    read: list[str] = []
    views = MemorySource.views

    def viewed(self: MemorySource, saga_id: str) -> dict[str, ParticipantView]:
        read.append(saga_id)
        return views(self, saga_id)

    monkeypatch.setattr(MemorySource, "views", viewed)
    for wanted in (Filter(stuck_for=20), Filter(is_unended=True), Filter(states=("pending",))):
        assert ids(timelines.chosen(wanted)) == [("s-20", "a")]
        assert timelines.count(wanted) == 1
    assert set(read) == {"s-20"}


@settings(max_examples=40, deadline=None)
@given(rows, rows, filters, st.integers(1, 3))
def test_what_is_written_meanwhile_repeats_no_saga(
    before: list[Row], more: list[Row], wanted: Filter, limit: int
) -> None:
    """The second page has none of the first."""
    first = timelines_of(before).page(wanted, limit, 100)
    if first.after:
        second = timelines_of([*before, *more]).page(wanted, 100, 100, first.after)
        if not wanted.is_open:
            assert not set(ids(first.timelines)) & set(ids(second.timelines))

"""One order: the topic's and everybody's own; clocks only arrange what those leave open."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreo.errors import StoreError
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import Timeline, timeline_of
from tests.scenarios.trips import PARTICIPANTS
from tests.timeline.travelled import LATER, PLANS, timeline_named, views_in

SKEWS = st.fixed_dictionaries({each.name: st.integers(-(10**7), 10**7) for each in PARTICIPANTS})


def skewed(views: Sequence[ParticipantView], by: dict[str, int]) -> list[ParticipantView]:
    """Set every participant's clock wrong."""
    return [
        view._replace(
            entries=[row._replace(recorded_at=row.recorded_at + by[view.participant]) for row in view.entries]
        )
        for view in views
    ]


def assert_ordered(timeline: Timeline, views: Sequence[ParticipantView]) -> None:
    """Hold a timeline against the log and against everybody's own rows."""
    place = {moment.event.id: number for number, moment in enumerate(timeline.moments) if moment.event}
    in_log = [each.id for each in timeline.events]
    assert [each for each in sorted(place, key=place.__getitem__) if each in in_log] == in_log
    for number, moment in enumerate(timeline.moments):
        assert place.get(moment.cause, -1) < number, moment
    for view in views:
        own = [row for row in view.entries if row.input != "event" and row.old_state != row.new_state]
        told = [each for each in timeline.moments if each.participant == view.participant]
        moved = [each for each in told if each.old_state != each.new_state]
        assert [(each.step, each.new_state) for each in moved] == [(row.step, row.new_state) for row in own]


@given(skews=SKEWS)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_wrong_clocks_change_nothing_that_the_log_decides(
    views: Sequence[ParticipantView], skews: dict[str, int]
) -> None:
    """An event stays behind what led to it, and before what it led to; so does everybody's own order."""
    wrong = skewed(views, skews)
    assert_ordered(timeline_of(wrong, LATER), wrong)


def test_right_clocks_arrange_what_happened_side_by_side(views: Sequence[ParticipantView]) -> None:
    """Whose rows come first is no matter of names; what was published late stands where its event lies."""
    moments = timeline_of(views, LATER).moments
    prompt = [each for each in moments if not each.event or each.event.time - each.time < 100]
    times = [moment.time for moment in prompt]
    assert times == sorted(times)


def test_the_order_of_the_stores_does_not_matter(views: Sequence[ParticipantView]) -> None:
    """What everybody agrees on, at least."""
    there, back = timeline_of(views, LATER), timeline_of(list(reversed(views)), LATER)
    assert (there.state, there.events, there.aborted_by) == (back.state, back.events, back.aborted_by)
    assert_ordered(back, views)


def test_a_clock_that_is_behind_is_remarked(travelled: Path) -> None:
    """It read an event before its time."""
    views = views_in(travelled, PLANS["booked"].trip_id)
    timeline = timeline_of(skewed(views, {"agency": 0, "hotel": -5_000, "flight": 0, "car": 0}), LATER)
    assert any("the clock of hotel is 5000 ms behind" in remark for remark in timeline.remarks)


def test_one_store_tells_what_the_log_told_it(travelled: Path) -> None:
    """What others did is in the log: when it came there, not when it was done."""
    (agency, *_) = views_in(travelled, PLANS["late"].trip_id)
    whole, alone = timeline_named(travelled, "late"), timeline_of([agency], LATER)
    assert alone.events != whole.events  # nobody else has read them
    assert [each.id for each in alone.events] == [each.id for each in whole.events]
    assert {each.participant: each.in_store for each in alone.moments} == {
        "agency": True,
        "car": False,
        "flight": False,
        "hotel": False,
    }
    assert any("no store of car, flight, hotel was looked at" in remark for remark in alone.remarks)
    assert_ordered(alone, [agency])


def test_events_on_two_partitions_are_remarked(travelled: Path) -> None:
    """Then nobody knows their order."""
    views = views_in(travelled, PLANS["booked"].trip_id)
    moved = [
        view._replace(entries=[row._replace(partition=row.offset % 2) for row in view.entries])
        for view in views
    ]
    assert any("more than one partition" in remark for remark in timeline_of(moved, LATER).remarks)


def test_the_moments_of_a_trip_that_is_booked(travelled: Path) -> None:
    """Each step is told once, by its owner, with the event that it published and where that lies."""
    timeline = timeline_named(travelled, "booked")
    told = [(each.step, each.what, each.event.name if each.event else "") for each in timeline.moments]
    assert told[0] == ("start", "started", "TripRequested")
    assert set(told[1:5]) == {
        ("hotel.book_room", "completed", "RoomBooked"),
        ("car.rent_car", "completed", "CarRented"),
        ("flight.book_seat", "executing", ""),
        ("flight.book_seat", "completed", "SeatBooked"),
    }
    assert told[5:7] == [
        ("agency.charge", "completed", "TripPaid"),
        ("agency.send_vouchers", "completed", "TripBooked"),
    ]
    assert {each.participant for each in timeline.moments} == {"agency", "hotel", "car", "flight"}
    assert (timeline.state, timeline.waits, timeline.remaining) == ("completed", (), ())
    offsets = [each.place.offset for each in timeline.events if each.place]
    assert all(first < second for first, second in pairwise(offsets))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input": "nonsense"}, "input is 'nonsense'"),
        ({"new_state": "asleep"}, "new_state is 'asleep'"),
        ({"saga_state": ""}, "saga_state is ''"),
        ({"outcome": "won"}, "outcome is 'won'"),
        ({"offset": -1}, "no offset"),
    ],
)
def test_a_corrupt_row_is_named(travelled: Path, change: dict[str, object], words: str) -> None:
    """By its store and its number."""
    (agency, *_) = views_in(travelled, PLANS["booked"].trip_id)
    rows = list(agency.entries)
    rows[1] = rows[1]._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"agency\.db: row 2 of saga .* is corrupt: ") as caught:
        timeline_of([agency._replace(entries=rows)], LATER)
    assert words in str(caught.value)

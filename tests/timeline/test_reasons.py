"""Why: what a timeline says of refusals, void outcomes, retries, deadlines and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from choreo import Permanent, Retry
from choreo.records import Entry, Scheduled
from choreo.render.text import lines
from choreo.store.sqlite.store import SQLiteStore
from choreo.timeline.moments import Moment, moments_of
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import Timeline, timeline_of
from choreo.worker.dead_letters import settle
from tests.timeline.travelled import LATER, PLANS, graph_of_trips, shortened, timeline_named, views_in
from tests.worker.rig import Rig
from tests.worker.services import Script, hotel
from tests.worker.trip import FlightFull, TripRequested

NO = Permanent("the hotel says no")


def moments(timeline: Timeline, step: str) -> list[Moment]:
    return [moment for moment in timeline.moments if moment.step == step]


def test_a_late_reply_is_void_because_of_the_timeout(travelled: Path) -> None:
    """It says which outcome came first, and where that lies."""
    timeline = timeline_named(travelled, "late")
    timed_out = next(each for each in moments(timeline, "car.rent_car") if each.what == "timed out")
    late = next(each for each in moments(timeline, "car.rent_car") if each.what == "completed")
    (void,) = [event for event in timeline.events if event.void]
    assert timed_out.event is not None
    assert (void.name, void.void) == ("CarRented", f"the step timed out before, {timed_out.event.at}")
    assert (timed_out.participant, timed_out.why) == ("agency", "the deadline agency.car_is_late passed")
    assert late.event == void


def test_a_refusal_says_what_aborted_the_saga(travelled: Path) -> None:
    """A failure, a timeout or a cancellation."""
    for name, words in (
        ("full", "aborted by hotel.book_room failed @"),
        ("late", "aborted by car.rent_car timed out @"),
        ("cancelled", "aborted by the cancellation @"),
    ):
        timeline = timeline_named(travelled, name)
        (charge,) = moments(timeline, "agency.charge")
        assert charge.what == "refused"
        assert charge.why.startswith(words)
        assert f"aborted by {timeline.aborted_by}" == charge.why


def test_attempts_are_counted_and_say_why_they_failed(travelled: Path) -> None:
    """And what was done in vain is undone before the step fails."""
    timeline = timeline_named(travelled, "mute")
    seat = moments(timeline, "flight.book_seat")
    assert [(each.what, each.attempt) for each in seat] == [
        ("executing", 0),
        ("retrying", 1),
        ("retrying", 2),
        ("compensating", 0),
        ("failed", 0),
    ]
    assert seat[1].why.startswith("ConnectionError: ")
    assert "(examples/travel/flight.py:" in seat[1].why
    assert seat[3].why.startswith("gave up after 3 attempts: ConnectionError: ConnectionError: ")
    assert seat[4].event is not None
    assert seat[4].event.name == "SeatUnavailable"


def test_latency_counts_from_the_record_that_caused_it(travelled: Path) -> None:
    """The deadline passed when it was due."""
    timeline = timeline_named(travelled, "late")
    (passed,) = [each for each in timeline.moments if each.what == "timed out"]
    start = timeline.events[0]
    assert passed.took == passed.time - start.time
    assert passed.took >= 2_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Open a hotel that can't cancel, and let a trip fail."""
    rig = Rig(hotel(cancel=Script([NO])), tmp_path)
    rig.open()
    rig.feed(TripRequested("t"))
    rig.clock.advance(60)
    rig.feed(FlightFull("t", "full"))
    yield rig
    rig.close()


def timeline_in(rig: Rig) -> Timeline:
    return timeline_of(views_in(rig.path.parent, "s1"), rig.clock.now())


def test_a_dead_letter_is_told_and_owed(rig: Rig) -> None:
    """With its number, its reason, and for how long it has been waiting."""
    rig.clock.advance(30)
    timeline = timeline_in(rig)
    assert timeline.moments[-1].what == "dead letter"
    assert timeline.moments[-1].why.startswith("#1 gave-up: the hotel says no (tests/")
    wait = timeline.waits[0]
    assert (wait.who, wait.what, wait.why) == ("hotel", "hotel.book", "dead letter")
    assert wait.detail.startswith("#1 gave-up: the hotel says no (tests/")
    assert wait.since == rig.clock.now() - 30_000


@pytest.mark.parametrize(("how", "what"), [("requeued", "requeued"), ("discarded", "discarded")])
def test_what_somebody_did_about_a_dead_letter_is_told(rig: Rig, how: str, what: str) -> None:
    """In their words."""
    (letter,) = rig.letters()
    with closing(SQLiteStore(rig.path)) as store:
        settle(store, letter, how, "called them", rig.clock.now())  # type: ignore[arg-type]
    waiting = timeline_in(rig)
    assert [(each.why, each.what) for each in waiting.waits] == [("queued", "dead letter #1")]
    rig.settle()
    timeline = timeline_in(rig)
    (told,) = [moment for moment in timeline.moments if moment.what == what]
    assert told.why == "#1: called them"
    assert timeline.moments[-1].new_state == "compensated"


def test_a_step_that_backs_off_says_until_when(tmp_path: Path) -> None:
    """And how often it has failed."""
    rig = Rig(hotel(book=Script([ConnectionError()]), retry=Retry(attempts=3)), tmp_path)
    rig.open()
    rig.feed(TripRequested("t"))
    timeline = timeline_in(rig)
    (wait,) = timeline.waits
    assert (wait.who, wait.what, wait.why, wait.detail) == (
        "hotel",
        "hotel.book",
        "retry",
        "its action failed 1 times",
    )
    assert wait.until is not None
    assert wait.until > rig.clock.now()
    rig.close()
    overdue = timeline_of(views_in(tmp_path, "s1"), rig.clock.now() + 10**6)
    assert [each.why for each in overdue.waits] == ["queued"]


def test_an_event_that_is_published_and_not_acknowledged_is_owed_by_its_outbox(tmp_path: Path) -> None:
    """Where the broker is away, say."""
    rig = Rig(hotel(), tmp_path)
    rig.open()
    rig.append(TripRequested("t"))
    publish = rig.worker._log.publish
    rig.worker._log.publish = lambda publications: None  # type: ignore[method-assign]
    rig.worker.turn()
    (wait,) = timeline_in(rig).waits
    assert (wait.who, wait.what, wait.why) == ("hotel", "HotelBooked", "outbox")
    rig.worker._log.publish = publish  # type: ignore[method-assign]
    rig.close()


def test_without_a_graph_it_is_who_keeps_the_last_event_s_body(tmp_path: Path) -> None:
    """Only who handles an event keeps it; where nobody does, nobody here knows who is to answer."""
    rig = Rig(hotel(), tmp_path)
    rig.open()
    rig.append(TripRequested("t"))
    rig.settle()
    (wait,) = timeline_in(rig).waits
    assert (wait.who, wait.why, wait.detail) == ("", "answer", "an answer to HotelBooked @1")
    views = views_in(tmp_path, "s1")
    rows = [row for row in views[0].entries if row.input == "event"]
    flight = views[0]._replace(participant="flight", entries=[rows[0], rows[1]._replace(payload=b"kept")])
    (wait,) = timeline_of([*views, flight], rig.clock.now()).waits
    assert (wait.who, wait.why) == ("flight", "answer")
    rig.close()


def test_of_a_saga_that_was_pruned_only_its_end_is_told(rig: Rig) -> None:
    """Others may remember more."""
    (view,) = views_in(rig.path.parent, "s1")
    first = view.entries[0]
    stone = first._replace(
        saga_state="failed", input="pruned", step="", old_state="pending", new_state="pending", event_id=""
    )
    stone = stone._replace(offset=-1, event_time=first.recorded_at + 5_000, note="7 rows")
    timeline = timeline_of([view._replace(entries=[stone], dead_letters=(), scheduled=())], rig.clock.now())
    assert (timeline.state, [each.what for each in timeline.moments]) == ("failed", ["pruned"])
    assert timeline.last == first.recorded_at + 5_000
    assert "pruned in the log of hotel" in timeline.remarks[0]
    both = timeline_of([view._replace(participant="spa", entries=[stone]), view], rig.clock.now())
    assert both.events
    assert both.state == "failed"


def test_what_is_void_says_which_outcome_came_before() -> None:
    """A step's success, or what undid it: the first of each counts."""

    def event(offset: int, outcome: str, note: str = "", step: str = "a.do") -> Entry:
        name = f"x.{outcome}{offset}"
        place = ("t", 0, offset, offset, None, note)
        return Entry(
            *("s", "x", 1, "compensating", offset, "event", step, "pending", "completed"),
            *(f"e{offset}", name, outcome, "compensatable", "a", "", *place),
        )

    rows = [
        event(0, "succeeded"),
        event(1, "failed", "", "b.do"),
        event(2, "compensated"),
        event(3, "compensated", "void"),
        event(4, "failed", "void"),
        event(5, "succeeded", "void", "c.do"),
    ]
    told = timeline_of([ParticipantView("a", rows)], 10)
    assert [event.void for event in told.events[3:]] == [
        "the step was compensated before, @2",
        "the step succeeded before, @0",
        "it can't complete the saga: b.do failed before, @1",
    ]


def test_what_a_store_says_of_a_step_goes_before_what_its_graph_says(travelled: Path) -> None:
    """One wait for a step: that it is being called is more than that it owes an answer."""
    views = views_in(travelled, PLANS["booked"].trip_id)
    cut = shortened(
        views, lambda row: row.step in ("start", "flight.book_seat") and row.outcome != "compensated"
    )
    calling = [
        view._replace(scheduled=[Scheduled("s", "trip", "action", "flight.book_seat", "e", 0, lane="out")])
        if view.participant == "flight"
        else view
        for view in cut
    ]
    timeline = timeline_of(calling, LATER, graph_of_trips())
    assert [wait.why for wait in timeline.waits if wait.what == "flight.book_seat"] == ["executing"]
    assert {wait.why for wait in timeline.waits if wait.who == "hotel"} == {"answer"}


def test_what_an_exception_says_stays_in_its_line(rig: Rig) -> None:
    """A terminal obeys some characters, and a table has its lines; nobody's text has a say in either."""
    (view,) = views_in(rig.path.parent, "s1")
    rows = [row._replace(note="\x1b[31mred\nnext" + "x" * 1000) if row.note else row for row in view.entries]
    told = list(lines(timeline_of([view._replace(entries=rows, dead_letters=())], rig.clock.now())))
    assert any(r"\x1b[31mred\nnext" in line.text for line in told)
    assert all(line.text.isprintable() and len(line.text) < 500 for line in told)


class Step(str):
    """The name of a step that counts with how many others it is compared."""

    compared = 0
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        """Count."""
        Step.compared += 1
        return str.__eq__(self, other)


def test_a_step_that_was_tried_for_days_is_read_once() -> None:
    """Each attempt has its number without a look at all before it."""
    row = Entry("s", "trip", 1, "pending", 1, "deferred", "", "executing", "executing")
    rows = [row._replace(step=Step("hotel.book"), recorded_at=number) for number in range(500)]
    found = moments_of(ParticipantView("hotel", rows), [])
    assert [each.moment.attempt for each in found] == list(range(1, 501))
    assert Step.compared <= 2_000

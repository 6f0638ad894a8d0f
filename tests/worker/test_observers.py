"""Observers: all of one participant see the events of a saga in their order, whichever is tried again."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Context, Participant, Retry
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import SECOND, prepare
from tests.worker.trip import FlightBooked, HotelBooked, TripBooked, TripRequested, trip

EVENTS = [TripRequested("t"), HotelBooked("t"), FlightBooked("t"), TripBooked("t")]
AGAIN = Retry(attempts=4, delay=10 * SECOND)


class Flaky:
    """How often each observer fails at each event, before it works; ``seen`` is what worked, in order."""

    def __init__(self, fails: dict[tuple[str, str], int]) -> None:
        self.fails = Counter(fails)

    def __call__(self, observer: str, event: Any, ctx: Context) -> None:
        name = type(event).__name__
        if self.fails[observer, name] > 0:
            self.fails[observer, name] -= 1
            raise ConnectionError
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, f"{observer} {name}"])


def _onlooker(flaky: Flaky) -> Participant:
    """Make a participant with an observer of every event, one of some, and one for each of the others."""
    participant = Participant("onlooker", sagas=[trip], prepare=prepare, retry=AGAIN)

    @participant.observer
    def every(event: TripRequested | HotelBooked | FlightBooked | TripBooked, ctx: Context) -> None:
        flaky("every", event, ctx)

    @participant.observer
    def some(event: TripRequested | FlightBooked, ctx: Context) -> None:
        flaky("some", event, ctx)

    @participant.observer
    def hotels(event: HotelBooked, ctx: Context) -> None:
        flaky("hotels", event, ctx)

    @participant.observer
    def ends(event: TripBooked, ctx: Context) -> None:
        flaky("ends", event, ctx)

    return participant


def _order(rigged: Rig, saga_id: str) -> list[int]:
    """Return the places in the topic of the events that were observed, in the order of observing."""
    names = [type(event).__name__ for event in EVENTS]
    return [names.index(what.split()[1]) for what in rigged.effects(saga_id)]


def _rest(rigged: Rig) -> None:
    """Let all that is due happen."""
    while (pause := rigged.due_in()) is not None:
        rigged.clock.advance(max(pause, 0))
        rigged.settle()


def _end_in_one(rigged: Rig, choice: random.Random) -> None:
    """Let the process end while one of the observers that are due is under way, if any is, and start anew."""
    due = rigged.store.due(rigged.clock.now(), 99)
    if due:
        with rigged.store.turn():
            rigged.store.schedule([choice.choice(due)._replace(lane="out")])
    rigged.restart()


@pytest.mark.parametrize("seed", range(25))
def test_all_observers_see_a_saga_in_its_order(rig: Rigs, seed: int) -> None:
    """Whichever fails, how often, and when the process ends; another saga waits for none of it."""
    choice = random.Random(seed)
    keys = [(who, type(event).__name__) for who in ("every", "some", "hotels", "ends") for event in EVENTS]
    fails = {key: choice.choice([0, 0, 1, 2, 3]) for key in keys}
    rigged = rig(_onlooker(Flaky(fails)), partitions=4)
    for event in EVENTS:
        rigged.feed(event, saga_id="s1")
        if choice.random() < 0.5:
            rigged.clock.advance(choice.choice([1, 10, 25]))
            rigged.settle()
        if choice.random() < 0.4:
            _end_in_one(rigged, choice)
    _rest(rigged)
    assert rigged.letters() == []
    order = _order(rigged, "s1")
    assert order == sorted(order)
    assert Counter(rigged.effects("s1")) == Counter(
        [
            *(f"every {type(each).__name__}" for each in EVENTS),
            *("some TripRequested", "some FlightBooked", "hotels HotelBooked", "ends TripBooked"),
        ]
    )
    assert rigged.saga().observers == {}


def test_another_saga_does_not_wait(rig: Rigs) -> None:
    """Nor does another observer of the same event."""
    rigged = rig(_onlooker(Flaky({("some", "TripRequested"): 1})), partitions=4)
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    assert rigged.effects() == ["every TripRequested"]
    rigged.feed(TripRequested("u"), HotelBooked("u"), saga_id="s2")
    assert rigged.effects("s2") == [
        *("every TripRequested", "some TripRequested", "every HotelBooked", "hotels HotelBooked")
    ]
    rigged.clock.advance(10)
    rigged.settle()
    assert rigged.effects()[1:] == ["some TripRequested", "every HotelBooked", "hotels HotelBooked"]


def test_an_observer_that_gives_up_lets_the_others_go_on(rig: Rigs) -> None:
    """Its event is a dead letter; requeued, it comes late, and holds up nobody for good."""
    flaky = Flaky({("some", "TripRequested"): 9})
    rigged = rig(_onlooker(flaky))
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    _rest(rigged)
    assert [letter.attempt for letter in rigged.letters()] == [4]
    assert rigged.effects() == ["every TripRequested", "every HotelBooked", "hotels HotelBooked"]


def test_an_observer_that_a_release_drops_while_it_backs_off_holds_up_nobody(
    rig: Rigs, tmp_path: Path
) -> None:
    """Nor one that a release adds."""
    rigged = rig(_onlooker(Flaky({("some", "TripRequested"): 9})))
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    rigged.close()
    participant = Participant("onlooker", sagas=[trip], prepare=prepare, retry=AGAIN)
    flaky = Flaky({})

    @participant.observer
    def hotels(event: HotelBooked, ctx: Context) -> None:
        flaky("hotels", event, ctx)

    @participant.observer
    def new(event: TripRequested | FlightBooked, ctx: Context) -> None:
        flaky("new", event, ctx)

    rigged.participant = participant
    rigged.options = replace(rigged.options, retire=("some", "every"))
    rigged.open()
    _rest(rigged)
    assert "hotels HotelBooked" in rigged.effects()
    rigged.feed(TripBooked("t"))
    assert {letter.reason for letter in rigged.letters()} == {"retired"}


def test_what_waits_for_one_under_way_at_the_end_of_the_process_holds_up_no_other_saga(
    rig: Rigs, caplog: pytest.LogCaptureFixture
) -> None:
    """The one under way runs once all else is done; who comes after it isn't due all the time until then."""
    rigged = rig(_onlooker(Flaky({("some", "TripRequested"): 1, ("ends", "TripBooked"): 1})))
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    rigged.feed(TripBooked("u"), saga_id="s2")
    rigged.clock.advance(10)
    (first,) = (row for row in rigged.store.scheduled("s1", "trip") if row.name == "onlooker.some")
    with rigged.store.turn():
        rigged.store.schedule([first._replace(lane="out")])
    rigged.restart()
    assert rigged.effects("s2") == ["every TripBooked", "ends TripBooked"]
    _rest(rigged)
    assert rigged.effects()[1] == "some TripRequested"
    assert sorted(rigged.effects()[2:]) == ["every HotelBooked", "hotels HotelBooked"]
    assert "clock was ahead" not in caplog.text


def test_pauses_are_as_declared(rig: Rigs) -> None:
    """What waits for another observer counts no attempt."""
    rigged = rig(_onlooker(Flaky({("every", "TripRequested"): 2, ("hotels", "HotelBooked"): 1})))
    rigged.feed(TripRequested("t"), HotelBooked("t"))
    pauses = []
    while (pause := rigged.due_in()) is not None:
        pauses.append(timedelta(seconds=pause))
        rigged.clock.advance(pause)
        rigged.settle()
    assert pauses == [10 * SECOND, 20 * SECOND, 10 * SECOND]
    deferred = [entry.step for entry in rigged.history() if entry.input == "deferred"]
    assert deferred == ["onlooker.every", "onlooker.every", "onlooker.hotels"]

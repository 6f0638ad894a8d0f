"""The travel example: whatever its branches do, a trip is booked whole, or nothing of it is left."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

from choreo.events import event_name
from choreo.participant import Participant
from examples.scenarios.travel import balance
from examples.travel.agency import PATIENCE
from examples.travel.car import car
from examples.travel.contract import TripBooked, TripFailed, trip
from examples.travel.flight import flight
from examples.travel.hotel import hotel
from tests.broker.any_broker import AnyBroker
from tests.scenarios.shop import transitions
from tests.scenarios.trips import CANCELLED, Plan, Trips, every_plan, in_memory, travelling
from tests.worker.rig import ManualClock

SEED = int(os.environ.get("CHOREO_SEED", "20261"))
SAGAS = int(os.environ.get("CHOREO_TRIPS", "200"))
EVERY = 1 if os.environ.get("CHOREO_FUZZ") == "1" else 3


@pytest.fixture(autouse=True)
def _own_topic(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trip, "topic", topic)


def test_every_subset_of_branches_that_fail_are_slow_late_or_cancelled(tmp_path: Path, topic: str) -> None:
    """Every third of 875 combinations, or all with ``CHOREO_FUZZ=1``, in memory, by a clock of the test."""
    clock = ManualClock()
    with travelling(in_memory(clock), tmp_path, topic, every_plan()[::EVERY], clock) as trips:
        play(trips)
        assert_ended(trips)


@pytest.mark.kafka
@pytest.mark.parametrize("any_broker", ["kafka"], indirect=True)
def test_any_branches_that_fail_are_slow_late_or_cancelled_on_a_real_kafka(
    any_broker: AnyBroker, tmp_path: Path, topic: str
) -> None:
    """A sample, at random; ``CHOREO_SEED`` chooses another."""
    plans = random.Random(SEED).sample(every_plan(), SAGAS)
    with travelling(any_broker, tmp_path, topic, plans, ManualClock(now())) as trips:
        play(trips)
        assert_ended(trips)


AWAY = [each for count in (1, 2, 3) for each in combinations((hotel, flight, car), count)]


@pytest.mark.parametrize("away", AWAY, ids=lambda away: "+".join(each.name for each in away))
def test_branches_that_are_away_until_their_deadline_has_passed_do_nothing(
    tmp_path: Path, topic: str, away: Sequence[Participant]
) -> None:
    """They come back to a trip that has failed: they answer and book nothing."""
    clock = ManualClock()
    plans = [Plan(cancelled=cancelled) for cancelled in CANCELLED]
    with travelling(in_memory(clock), tmp_path, topic, plans, clock) as trips:
        trips.stop(*away)
        trips.request()
        trips.settle()
        trips.cancel("midway")
        trips.settle()
        clock.advance(PATIENCE.total_seconds() + 1)
        trips.settle()
        trips.cancel("after all")
        trips.open(*away)
        trips.settle()
        for plan in plans:
            assert trips.ends(plan.trip_id) == {"failed"}
        for each in away:
            assert trips.value(each.name, "select count(*) from saga_log where new_state = 'executing'") == 0
        assert_kept(trips)


def now() -> int:
    """Return the machine's time, in milliseconds."""
    return round(time.time() * 1000)


def play(trips: Trips) -> None:
    """Let all trips come to their ends, one phase after the other."""
    trips.request()
    trips.settle()
    trips.cancel("midway")
    for pause in (0, 0.1, 0.2):  # in which lost answers are asked for again
        trips.clock.advance(pause)
        trips.settle()
    trips.open_gates("slow")
    trips.settle()
    trips.cancel("after all")
    trips.settle()
    pass_by(trips, PATIENCE.total_seconds())
    trips.open_gates("late")
    trips.settle()
    pass_by(trips, 30)  # the flight desk's own timeout: it waits for no airline any longer
    trips.open_gates("hangs")  # too late for anybody
    trips.until(lambda: not trips.airline.waiting)


def pass_by(trips: Trips, seconds: float) -> None:
    """Let so much time pass, counted from the last record too, which a real broker stamps."""
    trips.clock.time = max(trips.clock.time, now() if trips.any_broker.name == "kafka" else 0)
    trips.clock.advance(seconds + 0.1)
    trips.settle()


def assert_ended(trips: Trips) -> None:
    """Check every trip's end, that everyone agrees on it, and that nothing was done twice or after it."""
    ends = {event_name(TripBooked), event_name(TripFailed)}
    for plan in trips.plans:
        assert trips.ends(plan.trip_id) == {plan.end}, plan
        for name in trips.stores:
            history = trips.history(name, plan.trip_id)
            events = [each for each in history if each.input == "event" and each.note != "void"]
            assert [each.event_type in ends for each in events].index(True) == len(events) - 1, plan
            for step in {each.step for each in history if each.step.startswith(f"{name}.")}:
                moves = transitions(history, step)
                assert len(moves) == len(set(moves)), (plan, moves)
    assert_kept(trips)


def assert_kept(trips: Trips) -> None:
    """Check the books of all, and that nothing is left to do."""
    databases = {name: store.db for name, store in trips.stores.items()}
    assert [check for check in balance(databases) if not check.holds] == []
    assert not any(trips.all_letters().values())
    assert trips.is_quiet()

"""Alive while turns go on, ready once it acts; the store's or the cluster's health never ends a process."""

from __future__ import annotations

import threading

import pytest

from choreo.errors import StoreUnavailable
from choreo.monitor.health import SILENT_SECONDS, Health
from choreo.worker.patience import Patience
from choreo.worker.progress import Progress
from tests.worker.rig import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands."""
    return ManualClock()


def test_a_worker_that_starts_is_alive_and_not_ready(clock: ManualClock) -> None:
    """However long that takes."""
    health = Health(Progress(), lambda: False, clock)
    clock.advance(10 * SILENT_SECONDS)
    assert health.alive() == (True, "starts")
    assert health.ready() == (False, "starts")


def test_a_worker_whose_turns_do_not_end_is_not_alive(clock: ManualClock) -> None:
    progress = Progress()
    health = Health(progress, lambda: True, clock)
    progress.turn(1, 0.1, clock.monotonic())
    clock.advance(SILENT_SECONDS)
    assert health.alive().holds
    clock.advance(1)
    assert health.alive() == (False, "no turn has ended for 301 s")
    progress.turn(0, 0.0, clock.monotonic())
    assert health.alive() == (True, "the last turn ended 0.0 s ago")


def test_a_worker_is_ready_when_store_and_partitions_are(clock: ManualClock) -> None:
    """And alive all the time: a restart would help nobody."""
    progress, is_live = Progress(), False
    health = Health(progress, lambda: is_live, clock)
    progress.turn(0, 0.0, clock.monotonic())
    assert health.ready() == (False, "has no partition yet")
    progress.is_spare = True
    assert health.ready() == (True, "is a spare: its group has no partition for it")
    progress.is_spare = False
    progress.catching_up = 3
    assert health.ready() == (False, "catches up with its topics: 3 partitions to go")
    progress.catching_up, is_live = 0, True
    assert health.ready() == (True, "is live")
    progress.wait(clock.monotonic())
    clock.advance(7)
    assert health.ready() == (False, "waits for its store, for 7 s")
    assert health.alive().holds


def test_a_worker_that_waits_for_its_store_within_a_turn_is_alive(clock: ManualClock) -> None:
    """As while it takes partitions over: a restart would not bring the store back."""
    progress, stopping = Progress(), threading.Event()
    stopping.set()  # the pauses are none
    health = Health(progress, lambda: True, clock)
    patience = Patience("hotel", clock, stopping, progress)
    patience.wait(StoreUnavailable("locked"))
    assert health.alive() == (True, "starts")
    assert health.ready() == (False, "waits for its store, for 0 s")
    progress.turn(0, 0.0, clock.monotonic())
    for _ in range(10):
        clock.advance(SILENT_SECONDS / 2)
        patience.wait(StoreUnavailable("locked"))
        assert health.alive().holds
        assert not health.ready().holds
    clock.advance(SILENT_SECONDS + 1)
    assert not health.alive().holds

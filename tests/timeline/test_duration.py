"""How long a saga took, also where its rows were pruned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo.records import SagaKey
from choreo.render.json import timeline_data
from choreo.render.wording import headline
from choreo.store.sqlite.store import SQLiteStore
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.timeline import Timeline, timeline_of
from tests.worker.rig import Rig
from tests.worker.services import hotel
from tests.worker.trip import FlightBooked, TripBooked, TripRequested


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Return a hotel whose saga took an hour, and was pruned long after that."""
    rig = Rig(hotel(), tmp_path)
    rig.open()
    rig.feed(TripRequested("t"))
    rig.clock.advance(3725)
    rig.feed(FlightBooked("t"), TripBooked("t"))
    rig.clock.advance(1_000_000)
    other = SQLiteStore(rig.path)
    with other.turn():
        assert other.saga_log.prune(SagaKey("s1", "trip"), rig.clock.now()) > 1
    other.close()
    yield rig
    rig.close()


def _told(rig: Rig, note: str | None = None) -> Timeline:
    entries = [entry if note is None else entry._replace(note=note) for entry in rig.history()]
    return timeline_of([ParticipantView("hotel", entries)], rig.clock.now())


def test_a_pruned_saga_tells_how_long_it_took(rig: Rig) -> None:
    """From its first row to its last."""
    told = _told(rig)
    assert headline(told) == "completed after 1 h 2 min"
    assert timeline_data(told)["duration_ms"] == 3_725_000


@pytest.mark.parametrize("note", ["5 rows", "5 rows, since long ago", ""])
def test_what_was_not_noted_is_not_told(rig: Rig, note: str) -> None:
    """An older choreo pruned the beginning too."""
    told = _told(rig, note)
    assert headline(told) == "completed"
    assert timeline_data(told)["duration_ms"] is None

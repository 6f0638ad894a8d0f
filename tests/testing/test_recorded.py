"""Recorded sagas as test cases: the same code does the same, a changed one is told where it differs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import choreo.testing
from choreo import Context, Participant
from choreo.audit.export import Origin, records_of
from choreo.audit.formats import whole_file, write_avro, write_json_lines
from choreo.audit.verification import saga_ids
from choreo.errors import ArchiveError, ConfigurationError
from choreo.records import SagaKey
from choreo.testing.recorded import Recorded
from tests.worker.rig import Rig
from tests.worker.trip import (
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripFailed,
    TripRequested,
    trip,
)


def plain(room: int = 1, full: bool = False, name: str = "hotel") -> Participant:
    """Make a hotel whose handlers need no database, so that they run on the record alone."""
    participant = Participant(name, sagas=[trip])

    def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        return HotelFull(event.trip, "full") if full else HotelBooked(event.trip, room)

    participant.action(fails=HotelFull, timeout=timedelta(minutes=2))(book)

    @participant.compensation(of=book)
    def cancel(event: FlightFull, booked: HotelBooked, ctx: Context) -> HotelCancelled:
        return HotelCancelled(booked.trip)

    return participant


def record(rig: Rig, path: Path) -> None:
    log = rig.store.saga_log
    origin = Origin(rig.participant.name, rig.store.store_id, log.unchained, log.keyed_by_id)
    with whole_file(path) as file:
        write = write_avro if path.suffix == ".avro" else write_json_lines
        write(records_of(origin, log, saga_ids(log)), file)


@pytest.fixture
def recordings(tmp_path: Path) -> Iterator[Path]:
    """Record a trip that was undone, one that goes on, and one of which only the end is left."""
    rig = Rig(plain(), tmp_path)
    rig.open()
    rig.feed(TripRequested("t"), FlightFull("t", "full"), TripFailed("t", "full"))
    rig.feed(TripRequested("t"), saga_id="s2")
    rig.feed(TripRequested("t"), TripFailed("t", "no"), saga_id="s3")
    with rig.store.turn():
        rig.store.saga_log.prune(SagaKey("s3", "trip"), 1)
    record(rig, tmp_path / "hotel.jsonl")
    record(rig, tmp_path / "packed.avro")
    yield tmp_path
    rig.close()


def load(pattern: Path) -> list[Recorded]:
    from choreo.testing.recorded import _load

    return list(_load(str(pattern)))


recorded = choreo.testing.replay(str(Path(__file__).parents[1] / "fixtures" / "recorded" / "*.jsonl"))


def test_code_of_today_does_what_was_recorded_once(recorded: Recorded) -> None:
    """By an export that an earlier choreo wrote."""
    recorded.check(plain())


def test_each_saga_of_each_file_is_a_case(recordings: Path) -> None:
    """In both formats, by name; what was pruned can't be replayed."""
    names = [str(each) for pattern in ("*.jsonl", "*.avro") for each in load(recordings / pattern)]
    assert names == ["hotel-s1", "hotel-s2", "packed-s1", "packed-s2"]


def test_unchanged_code_does_what_was_recorded(recordings: Path) -> None:
    """Row by row, and event by event; also where the saga had not ended."""
    for each in [*load(recordings / "*.jsonl"), *load(recordings / "*.avro")]:
        each.check(plain())


def test_changed_code_is_told_at_its_step(recordings: Path) -> None:
    """A field, and an outcome."""
    done, _ = load(recordings / "hotel.jsonl")
    with pytest.raises(AssertionError, match=r"hotel\.book.*room.*2"):
        done.check(plain(room=2))
    with pytest.raises(AssertionError, match=r"HotelFull"):
        done.check(plain(full=True))


def test_the_log_of_another_is_refused(recordings: Path) -> None:
    """It would tell nothing."""
    with pytest.raises(ConfigurationError, match="is the log of hotel, not of inn"):
        load(recordings / "hotel.jsonl")[0].check(plain(name="inn"))


def test_files_that_can_not_be_used_are_refused(recordings: Path) -> None:
    """With their names."""
    with pytest.raises(ConfigurationError, match="there is no file"):
        choreo.testing.replay(str(recordings / "nowhere*"))
    content = (recordings / "hotel.jsonl").read_bytes()
    (recordings / "half.jsonl").write_bytes(content[:-300])
    with pytest.raises(ArchiveError, match=r"half\.jsonl: "):
        choreo.testing.replay(str(recordings / "*.jsonl"))


MODULE = """
import choreo.testing
from tests.testing.test_recorded import plain

recorded = choreo.testing.replay("*.jsonl")

def test_todays_code_does_what_was_done(recorded):
    recorded.check(plain())
"""


def test_it_is_a_fixture(recordings: Path) -> None:
    """A test for each saga, to be chosen by name."""
    (recordings / "test_it.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", "s1", "test_it.py"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, capture_output=True, text=True, cwd=recordings, env=env, check=False)
    assert "test_todays_code_does_what_was_done[hotel-s1] PASSED" in run.stdout, run.stdout
    assert "1 passed, 1 deselected" in run.stdout

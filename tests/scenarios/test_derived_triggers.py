"""The travel example names no event in any compensation: what calls them is derived from its forward path."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from choreo import Participant, all_of
from choreo.errors import ManifestError
from choreo.graph import choreography_of, derive, derive_from, lock_of
from choreo.manifest import manifest_of
from choreo.participant.triggers import trigger_of
from choreo.protocol import Trigger
from examples.scenarios.travel import balance
from examples.travel import contract as told
from examples.travel.agency import agency, request_trip
from examples.travel.airline import serving
from examples.travel.contract import TripRequested, trip
from examples.travel.hotel import hotel
from tests.broker.kafka import Broker
from tests.scenarios.processes import CHOREO, ROOT, Processes
from tests.scenarios.shop import compensated
from tests.scenarios.trips import PARTICIPANTS, GatedAirline

WRITTEN = {
    "start": all_of(
        told.RoomUnavailable | told.RoomCancelled,
        told.SeatUnavailable | told.SeatCancelled,
        told.CarUnavailable | told.CarReturned,
    ),
    "hotel.book_room": told.TripNotPaid,
    "flight.book_seat": told.TripNotPaid,
    "car.rent_car": told.TripNotPaid,
}
"""What somebody would write who named the events."""


def test_what_is_derived_is_what_somebody_would_write() -> None:
    """The protocol decides by nothing else, so every run is the same as with the triggers written out."""
    derive(PARTICIPANTS)
    found = {
        action.step: undo.trigger
        for participant in PARTICIPANTS
        for action in participant.roles()[trip.name].actions
        for undo in action.compensations
    }
    assert found == {step: trigger_of(written) for step, written in WRITTEN.items()}
    assert Trigger() not in found.values()


FAILURES = {
    "none": (("ada", "Grand", "prompt", "compact"), []),
    "book_room": (("ada", "Seaview", "prompt", "compact"), ["flight.book_seat", "car.rent_car"]),
    "book_seat": (("ada", "Grand", "full", "compact"), ["hotel.book_room", "car.rent_car"]),
    "rent_car": (("ada", "Grand", "prompt", "cabriolet"), ["hotel.book_room", "flight.book_seat"]),
    "charge": (
        ("bob", "Grand", "prompt", "compact"),
        ["hotel.book_room", "flight.book_seat", "car.rent_car"],
    ),
}
"""The traveller, hotel, flight and car of a trip that fails there, and what may have to be undone."""


@pytest.fixture
def services(kafka_broker: Broker, tmp_path: Path) -> Iterator[Processes]:
    """Start the four services, each a process that knows the others from the lock alone."""
    with serving(GatedAirline()):
        started = Processes(kafka_broker.bootstrap, tmp_path, "examples.travel", PARTICIPANTS)
        started.until(lambda: all(store.positions() for store in started.stores.values()), 60)
        yield started
        started.close()


def in_time(services: Processes, name: str, wishes: Sequence[str]) -> str:
    """Let a trip come to its end; one that a busy machine kept beyond its deadlines is asked for again."""
    for attempt in range(10):
        trip_id = request_trip(TripRequested(f"{name}-{attempt}", *wishes))
        services.until_quiet([trip_id], 60)
        outcomes = {each.outcome for each in services.history("agency", trip_id)}
        if "timed_out" not in outcomes:
            return trip_id
    raise AssertionError(f"{name} was never in time")


@pytest.mark.kafka
def test_separate_processes_undo_a_trip_by_the_lock_wherever_it_fails(services: Processes) -> None:
    """A step that fails undoes those that were done, and the start last; the books balance."""
    for name, (wishes, undoable) in FAILURES.items():
        trip_id = in_time(services, name, wishes)
        history = services.history("agency", trip_id)
        assert services.ends(trip_id) == {"failed" if undoable else "completed"}
        done = {each.step for each in history if each.input == "event" and each.outcome == "succeeded"}
        undone = compensated(history)
        assert sorted(undone[:-1]) == sorted(done & set(undoable)) if undoable else undone == []
        assert undone[-1:] == (["start"] if undoable else [])
    databases = {name: store.db for name, store in services.stores.items()}
    assert [check for check in balance(databases) if not check.holds] == []


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Try to run the hotel's worker in a folder, on a broker of its own."""
    command = [
        CHOREO,
        "run",
        "examples.travel.hotel:hotel",
        "--embedded",
        "--store",
        str(folder / "hotel.db"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_worker_without_the_lock_refuses_to_start_and_says_what_to_run(tmp_path: Path) -> None:
    """It would not know when to undo anything."""
    done = run(tmp_path)
    assert done.returncode == 2
    assert "hotel.cancel_room names no event" in done.stderr
    assert "choreo verify --lock" in done.stderr
    assert not (tmp_path / "hotel.db").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text[:100], "not JSON, or cut off"),
        (lambda text: text.replace("TripNotPaid", "TripPaid"), "hash"),
    ],
)
def test_a_lock_that_was_cut_or_edited_is_refused(tmp_path: Path, change, complaint: str) -> None:  # type: ignore[no-untyped-def]
    """What calls a compensation is never guessed."""
    lock = tmp_path / "choreography.json"
    shutil.copy(ROOT / "examples/choreography.json", lock)
    lock.write_text(change(lock.read_text()))
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("locked", "complaint"),
    [((), "agency is not in the lock"), (("other",), "agency has changed since the choreography was locked")],
)
def test_a_lock_of_another_choreography_is_refused(locked: tuple[str, ...], complaint: str) -> None:
    """The participant that is to run by it declares something else."""
    others = [Participant("agency", sagas=[trip]) for _ in locked]
    lock = lock_of(choreography_of(manifest_of(each, {}) for each in (*others, hotel)))
    derive_from(lock, hotel)
    with pytest.raises(ManifestError, match=complaint):
        derive_from(lock, agency)


def test_the_examples_lock_is_up_to_date() -> None:
    """`choreo verify --lock` would write the same again."""
    done = subprocess.run([CHOREO, "verify"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "CHO701" in done.stdout) == (0, False), done.stdout + done.stderr

"""``choreo replay rebuild --releases``: what the lost store's workers ran with, from files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo.cli.replay.releases import releases_in
from choreo.errors import ChoreoError
from choreo.manifest import manifest_of, write_manifest
from choreo.participant import Participant
from choreo.records import Release
from tests.cli.command import invoke
from tests.worker.rig import Rig
from tests.worker.services import agency, hotel
from tests.worker.trip import TripRequested


@pytest.fixture
def stored(folder: Path) -> Iterator[list[Release]]:
    """Return the releases of a hotel's store, ``hotel.db``, whose timeout was changed once."""
    rig = Rig(hotel(), folder)
    rig.open()
    rig.feed(TripRequested("t"))
    rig.close()
    rig.participant = hotel(ignore=(KeyError,))
    rig.participant.observer(_look)
    rig.open()
    yield list(rig.store.releases())
    rig.close()


def _look(event: TripRequested) -> None:
    """Look on."""


def without_ids(releases: list[Release]) -> list[Release]:
    """Return the releases as they are in no store."""
    return [each._replace(id=0) for each in releases]


@pytest.mark.parametrize("name", ["releases.json", "log.jsonl", "log.avro"])
def test_a_list_and_an_export_hold_the_releases(stored: list[Release], folder: Path, name: str) -> None:
    """As the store had them."""
    if name == "releases.json":
        done = invoke("releases", "list", "--store", "hotel.db", "--format", "json")
        (folder / name).write_text(done.stdout)
    else:
        done = invoke("log", "export", "--store", "hotel.db", "--output", name)
    assert done.exit_code == 0, done.output
    assert len(stored) == 2
    assert releases_in("hotel", [name]) == without_ids(stored)


def test_an_import_has_the_releases(stored: list[Release], folder: Path) -> None:
    """Of the store that was exported, with the rows after which they began."""
    assert invoke("log", "export", "--store", "hotel.db", "--output", "log.avro").exit_code == 0
    assert invoke("log", "import", "log.avro", "--store", "old.db").exit_code == 0
    listed = [
        invoke("releases", "list", "--store", each, "--format", "json") for each in ("hotel.db", "old.db")
    ]
    told = [[{**each, "store": ""} for each in json.loads(done.stdout)] for done in listed]
    assert told[0] == told[1]


def manifest(folder: Path, participant: Participant, name: str) -> str:
    """Write a participant's manifest, and return the file."""
    (folder / name).write_text(write_manifest(manifest_of(participant, {})))
    return name


def test_manifests_have_the_times_of_their_deploys(folder: Path) -> None:
    """All but the first, which was in force from the beginning."""
    first, second = manifest(folder, hotel(), "a.json"), manifest(folder, hotel(), "b.json")
    releases = releases_in("hotel", [first, f"{second}@2026-01-31T10:00"])
    assert [(each.since > 0, each.after) for each in releases] == [(False, 0), (True, -1)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["none.json"], "none.json can't be read"),
        (["text"], "neither an export, nor JSON"),
        (["a.json", "a.json"], "since when was a.json in force"),
        (["a.json", "a.json@noon"], "is no time"),
        (["other.json"], "is the manifest of agency"),
        (["list.json"], "has no release of hotel"),
        (["broken.json"], "has a release that can't be read"),
        (["derived.json"], "does not say what calls"),
    ],
)
def test_what_holds_no_release_is_refused(folder: Path, given: list[str], words: str) -> None:
    """In one line, before anything is read or made."""
    (folder / "text").write_text("no")
    (folder / "list.json").write_text("[]")
    (folder / "broken.json").write_text('[{"participant": "hotel"}]')
    manifest(folder, hotel(), "a.json")
    manifest(folder, agency(), "other.json")
    derived = Participant("hotel", sagas=hotel().sagas)
    _derived(derived)
    manifest(folder, derived, "derived.json")
    with pytest.raises(ChoreoError, match=words):
        releases_in("hotel", given)


def _derived(participant: Participant) -> None:
    from tests.worker.trip import HotelBooked, HotelCancelled, HotelFull

    @participant.action(fails=HotelFull)
    def book(event: TripRequested) -> HotelBooked:
        return HotelBooked(event.trip)

    @participant.compensation(of=book)
    def cancel(booked: HotelBooked) -> HotelCancelled:
        return HotelCancelled(booked.trip)

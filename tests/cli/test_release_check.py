"""``choreo run --check``: what a release changes, and whether it would start, without touching anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from choreo.kafka import EmbeddedBroker, KafkaLog
from tests.cli import hotel_releases
from tests.cli.command import assert_refused, execute, invoke
from tests.worker.rig import Rig
from tests.worker.trip import HotelBooked, TripRequested


@pytest.fixture
def shop(tmp_path: Path) -> Rig:
    """A store with a saga in flight, which nobody uses."""
    rigged = Rig(hotel_releases.before, tmp_path)
    rigged.open()
    rigged.feed(TripRequested("t"))
    assert rigged.published() == [HotelBooked("t")]
    rigged.close()
    return rigged


def check(release: str, store: Path, *options: str) -> Result:
    return invoke("run", f"tests.cli.hotel_releases:{release}", "--store", str(store), "--check", *options)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, to the byte."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_release_that_would_be_refused_exits_with_2(shop: Rig) -> None:
    """It names the step, what is needed, how many sagas, the oldest, and what to do; nothing is written."""
    before = contents(shop.path.parent)
    result = check("renamed", shop.path)
    assert result.exit_code == 2
    assert result.stdout.splitlines()[0] == "hotel: release: reserve is new, book is gone"
    assert "hotel.book (its compensation: 1 saga, the oldest s1, begun" in result.stderr
    assert "formerly='book'" in result.stderr
    assert "--retire hotel.book" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert contents(shop.path.parent) == before


def test_one_that_would_start_exits_with_0(shop: Rig) -> None:
    """And says what it changes."""
    before = contents(shop.path.parent)
    result = check("renamed_well", shop.path)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "hotel: release: book renamed to reserve",
        "hotel: it would start",
    ]
    assert check("before", shop.path).stdout.splitlines() == [
        "hotel: nothing has changed",
        "hotel: it would start",
    ]
    assert contents(shop.path.parent) == before


def test_it_says_what_becomes_of_sagas_that_are_past_what_calls_a_new_handler(shop: Rig) -> None:
    """They go on without it."""
    assert check("looking", shop.path).stdout.splitlines() == [
        "hotel: release: look is new",
        "hotel: release: hotel.look is new: 1 saga in flight is past what calls it, and goes on without it "
        "(hint: choreo releases apply hotel.look)",
        "hotel: it would start",
    ]


def test_what_is_retired_would_start(shop: Rig) -> None:
    """With the number of letters; a name that never was is a mistake."""
    before = contents(shop.path.parent)
    result = check("empty", shop.path, "--retire", "book")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-2:] == [
        "hotel: would retire hotel.book: 1 dead letter",
        "hotel: it would start",
    ]
    wrong = check("empty", shop.path, "--retire", "bock")
    assert (wrong.exit_code, "did you mean 'hotel.book'?" in wrong.stderr) == (2, True)
    assert contents(shop.path.parent) == before


def test_it_may_be_asked_beside_a_running_worker(shop: Rig) -> None:
    """Neither waits for the other, not even inside of a turn."""
    shop.open()
    with shop.store.turn():
        assert check("renamed", shop.path).exit_code == 2
        assert check("renamed_well", shop.path).exit_code == 0
    shop.feed(TripRequested("u"), saga_id="s2")
    assert "2 sagas" in check("renamed", shop.path).stderr
    shop.close()


def test_without_a_store_nothing_is_in_flight(tmp_path: Path) -> None:
    """And none is made."""
    result = check("renamed", tmp_path / "hotel.db")
    assert result.exit_code == 0
    assert "there is no store" in result.stdout
    assert not contents(tmp_path)


def test_a_store_of_an_earlier_choreo_is_compared_by_its_rows(shop: Rig) -> None:
    """It has no releases yet, and gets none."""
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        connection.execute("DROP TABLE releases")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = '0012_releases'")
    before = contents(shop.path.parent)
    assert check("renamed", shop.path).exit_code == 2
    assert check("before", shop.path).exit_code == 0
    assert contents(shop.path.parent) == before


def test_a_services_own_database_without_a_store_is_none_yet(tmp_path: Path) -> None:
    """As when the participant is to keep its tables beside the service's own."""
    with closing(sqlite3.connect(tmp_path / "hotel.db")) as connection:
        connection.execute("CREATE TABLE rooms (id)")
    before = contents(tmp_path)
    assert check("renamed", tmp_path / "hotel.db").exit_code == 0
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look at" * 9])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    """An empty one is what a database begins as."""
    (tmp_path / "hotel.db").write_bytes(content)
    result = check("renamed", tmp_path / "hotel.db")
    assert result.exit_code == (2 if content else 0)
    assert len(result.stderr.splitlines()) == (1 if content else 0)


def test_the_store_of_another_participant_is_refused(shop: Rig) -> None:
    """As its worker would."""
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        connection.execute("UPDATE choreo_store SET participant = 'flight'")
    result = check("before", shop.path)
    assert result.exit_code == 2
    assert "belongs to the participant 'flight'" in result.stderr


def test_a_release_that_is_refused_ends_the_process_with_2(shop: Rig) -> None:
    """In one line, and its store takes the release of before as if nothing had been tried."""
    with EmbeddedBroker() as broker:
        cluster = KafkaLog(broker.bootstrap, "hotel", embedded=True).cluster_id()
        with closing(sqlite3.connect(shop.path)) as database, database:
            database.execute("UPDATE choreo_store SET cluster_id = ?", [cluster])
        joined = "--embedded", "--bootstrap", broker.bootstrap, "--store", str(shop.path)
        done = execute("run", "tests.cli.hotel_releases:renamed", *joined, folder=Path.cwd())
    assert_refused(done.returncode, done.stderr, "hotel.book (its compensation: 1 saga", "formerly='book'")
    with closing(sqlite3.connect(shop.path)) as database:
        assert database.execute("SELECT count(*) FROM releases").fetchone() == (1,)
    assert check("before", shop.path).stdout.splitlines()[-1] == "hotel: it would start"

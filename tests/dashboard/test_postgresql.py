"""The page on stores of either kind, beside the worker that uses them."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from choreo import Permanent
from choreo.avro import write_schemas
from choreo.dashboard import app
from tests.dashboard.asking import ask, post
from tests.stores import in_postgresql, place
from tests.worker.rig import Rig
from tests.worker.services import Script, hotel
from tests.worker.trip import EVENTS, FlightFull, HotelBooked, HotelCancelled, TripRequested


def test_a_store_that_somebody_has_locked_is_not_waited_for_for_ever(
    empty_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by VACUUM FULL; each browser that looks would take a thread until none is left."""
    monkeypatch.setattr("choreo.store.postgresql.reader._WAIT_BRIEFLY", "SET LOCAL lock_timeout = '20ms'")
    page = app(empty_store)
    with psycopg.connect(empty_store) as other:
        for table in ("saga_log", "dead_letters"):
            other.execute(f"LOCK TABLE choreo.{table} IN ACCESS EXCLUSIVE MODE")
            for address in ("/", "/participants", "/letters"):
                assert "is locked" in ask(page, address).text
            other.rollback()
            assert "is locked" not in ask(page, "/").text


@pytest.mark.usefixtures("each_store")
def test_a_worker_carries_out_what_the_page_asks_for(tmp_path: Path) -> None:
    write_schemas(EVENTS, tmp_path / "schemas")
    rig = Rig(hotel(cancel=Script([Permanent("the hotel says no")])), tmp_path)
    rig.open()
    rig.feed(TripRequested("t"), FlightFull("t", "full"), saga_id="s1")
    page = app(place(tmp_path / "hotel.db"), schemas=tmp_path / "schemas")
    for address in ("/", "/sagas", "/sagas?state=unended", "/sagas?id=s", "/participants", "/letters"):
        assert ask(page, address).status == 200, address
    assert ask(page, "/sagas").sagas == ["s1"]
    is_shared = "Taken over" in ask(page, "/participants").text
    assert is_shared == in_postgresql()
    assert ask(page, "/saga?id=s1").status == 200
    for address in ("/saga?id=%00", "/sagas?id=s%00", "/what-if?id=%00"):
        assert "can’t be read" not in ask(page, address).text
    offered = ask(page, "/act?verb=requeue&participant=hotel&number=1")
    done = post(page, "/act", {**offered.form, "who": "eve", "why": "they take it back"})
    assert "1 dead letter of hotel" in done.text
    rig.settle()
    assert rig.published("s1") == [HotelBooked("t"), HotelCancelled("t")]
    rig.close()

"""A worker whose store is in PostgreSQL, where connections are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from choreo import Context
from tests.stores import address_of
from tests.worker.rig import Rig
from tests.worker.services import Script, hotel
from tests.worker.trip import FlightBooked, HotelBooked, TripBooked, TripRequested


def _cut(rig: Rig) -> None:
    with psycopg.connect(address_of(rig.path), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (rig.store.db.info.backend_pid,))


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_saga_runs_to_its_end(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    """With the same rows as on SQLite, also where the connection is cut before each event."""
    monkeypatch.setenv("CHOREO_TEST_POSTGRESQL", postgresql)
    found = []
    for store in ("sqlite", "postgresql"):
        monkeypatch.setenv("STORE", store)
        rig = Rig(hotel(), tmp_path)
        rig.open()
        for event in (TripRequested("t"), FlightBooked("t"), TripBooked("t")):
            if store == "postgresql" and is_cut:
                _cut(rig)
            rig.feed(event)
        rig.close()
        rig.open()
        found.append([entry._replace(payload=None) for entry in rig.history()])
        assert not rig.store.unpublished(0, 9)
        rig.close()
    assert found[0] == found[1]
    assert found[1][-1].saga_state == "completed"


def _let_go(rig: Rig) -> None:
    rig.store.db.pgconn.exec_(b"DEALLOCATE ALL")


def _add_column(rig: Rig) -> None:
    with psycopg.connect(address_of(rig.path), autocommit=True) as other:
        other.execute("ALTER TABLE effects ADD COLUMN more text")


def _prepare_another(rig: Rig) -> None:
    for number in range(100):
        rig.store.db.pgconn.exec_(f"PREPARE _pg3_{number} AS SELECT {number}".encode())


@pytest.mark.parametrize("change", [_let_go, _add_column, _prepare_another])
def test_a_prepared_statement_that_fails_is_no_failure_of_a_handlers(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """The turn is done again, and no statement is prepared any more."""
    monkeypatch.setenv("CHOREO_TEST_POSTGRESQL", postgresql)
    monkeypatch.setenv("STORE", "postgresql")
    monkeypatch.delenv("CHOREO_TEST_POOLER", raising=False)  # nothing is prepared through one

    class Reading(Script):
        def __call__(self, ctx: Context) -> None:
            super().__call__(ctx)
            assert ctx.db.execute("select * from effects where saga_id = %s", [ctx.saga_id]).fetchall()
            assert ctx.attempt == 1

    rig = Rig(hotel(Reading()), tmp_path)
    rig.open()
    assert rig.store.db.prepare_threshold is not None
    for number in range(12):
        if number == (0 if change is _prepare_another else 9):
            change(rig)
        rig.feed(TripRequested("t"), saga_id=f"s{number}")
        assert type(rig.published(f"s{number}")[-1]) is HotelBooked
    assert rig.store.db.prepare_threshold is None
    rig.close()

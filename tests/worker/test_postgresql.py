"""A worker whose store is in PostgreSQL, where connections are lost."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.stores import address_of
from tests.worker.rig import Rig
from tests.worker.services import hotel
from tests.worker.trip import FlightBooked, TripBooked, TripRequested


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

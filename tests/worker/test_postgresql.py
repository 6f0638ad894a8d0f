"""A worker whose store is in PostgreSQL, where connections are lost."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from choreo import Context
from choreo.store.postgresql.store import PostgreSQLStore
from tests.worker import rig as rigs
from tests.worker.rig import Rig
from tests.worker.services import Script, hotel
from tests.worker.trip import FlightBooked, TripBooked, TripRequested


class Book(Script):
    """Leaves its trace by a statement that both databases take."""

    def __call__(self, ctx: Context) -> None:
        self.calls.append(ctx)
        ctx.db.execute("insert into effects values ('t', 'book')")


def _cut(address: str, rig: Rig) -> None:
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (rig.store.db.info.backend_pid,))


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_saga_runs_to_its_end(
    empty_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    """With the same rows as on SQLite, also where the connection is cut before each event."""
    found = []
    for store in (None, empty_store):
        if store:
            monkeypatch.setattr(rigs, "open_store", lambda _path: PostgreSQLStore(empty_store))
        rig = Rig(hotel(Book()), tmp_path)
        rig.open()
        for event in (TripRequested("t"), FlightBooked("t"), TripBooked("t")):
            if store and is_cut:
                _cut(empty_store, rig)
            rig.feed(event)
        rig.close()
        rig.open()
        found.append([entry._replace(payload=None) for entry in rig.history()])
        assert not rig.store.unpublished(0, 9)
        rig.close()
    assert found[0] == found[1]
    assert found[1][-1].saga_state == "completed"

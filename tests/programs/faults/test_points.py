"""The points of a turn are seen in PostgreSQL, whichever way the store writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from choreo.errors import StoreError
from choreo.store.postgresql.store import PostgreSQLStore
from tests.programs.faults.cells import Cell
from tests.programs.faults.fault_point import Aim, FaultPoint
from tests.programs.faults.postgresql import StruckPostgreSQLStore
from tests.worker import rig as rigs
from tests.worker.replicas import Traced
from tests.worker.rig import Rig
from tests.worker.services import hotel
from tests.worker.trip import TripRequested


class Watched(FaultPoint):
    """Notes the points that are reached."""

    def __init__(self, aim: Aim) -> None:
        super().__init__(aim)
        self.at_hand = True
        self.seen: list[str] = []

    def reach(self, point: str, error: type[Exception] = StoreError) -> None:
        """Note a point."""
        self.seen.append(point)


def test_a_turn_comes_by_every_point(
    empty_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its begin to the moment after its commit, in order."""
    watched = Watched(Aim(Cell("begun", "kill", "action"), 0, "s1", tmp_path, 0, 0))
    store: Any = StruckPostgreSQLStore(PostgreSQLStore(empty_store), watched)
    monkeypatch.setattr(rigs, "open_store", lambda _: store)
    shop = Rig(hotel(Traced()), tmp_path)
    try:
        store.db.execute(b"create table if not exists effects (saga_id text, what text)")
        shop.open()
        shop.append(TripRequested("t"), "s1")
        watched.seen.clear()
        shop.settle()
    finally:
        shop.close()
    assert [*dict.fromkeys(each for each in watched.seen if each != "protocol folded")] == [
        "begun",
        "positions moved",
        "saga_log written",
        "outbox written",
        "commit sent",
        "committed before produce",
    ]

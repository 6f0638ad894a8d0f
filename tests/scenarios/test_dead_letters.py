"""A compensation that can't be done stops its saga only; mended and requeued, it ends in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from choreo import Permanent
from tests.broker.any_broker import AnyBroker
from tests.cli.command import invoke
from tests.scenarios.shop import compensated
from tests.scenarios.stage import Stage
from tests.stores import place
from tests.worker.services import Script, agency, flight, hotel, ticket
from tests.worker.trip import TripRequested, trip

FULL, DOWN = Permanent("the flight is full"), Permanent("the hotel's desk is closed")


def test_a_dead_letter_of_a_compensation_stops_its_saga_only(
    any_broker: AnyBroker, tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command line, while the worker runs; what waits behind it waits for it."""
    monkeypatch.setattr(trip, "topic", topic)
    starter = agency()
    participants = [starter, hotel(cancel=Script([DOWN])), flight(Script([FULL, None, FULL])), ticket()]
    stage = Stage(any_broker, tmp_path, topic, participants)

    def begin(saga_id: str) -> None:
        with starter.transaction() as tx:
            tx.start(TripRequested(saga_id), saga_id)

    begin("stuck")
    stage.until(lambda: len(stage.letters("hotel")) == 1)
    for saga_id in ("good", "bad"):
        begin(saga_id)
        stage.until_quiet([saga_id])
    assert stage.ends("good") == {"completed"}
    assert stage.ends("bad") == {"failed"}
    assert stage.ends("stuck") == set()
    assert all(compensated(stage.history(name, "stuck")) == [] for name in stage.stores)

    told = invoke("dlq", "requeue", "--all", "--saga", "stuck", "--store", place(tmp_path / "hotel.db"))
    assert told.exit_code == 0, told.output
    stage.until_quiet(["stuck"])
    assert stage.ends("stuck") == {"failed"}
    for name in stage.stores:
        assert compensated(stage.history(name, "stuck")) == ["hotel.book", "start"]
    assert stage.value("hotel", "select count(*) from effects where what = 'compensation'") == 2
    stage.close()

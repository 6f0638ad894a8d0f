"""A worker that starts no sagas: it takes part in those in flight, and what would start another one waits."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from choreo import External
from choreo.ports import Taken
from choreo.worker import Options
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.test_imports import office, opened, told
from tests.worker.trip import HotelBooked, TripBooked, TripCancelled, TripFailed, TripRequested

STARTING, DRAINING = Options(idle_seconds=0.0), Options(idle_seconds=0.0, starts=False)


def work(rigged: Rig, options: Options) -> None:
    """Let the worker end, as a crash would end it, and another one run with these options."""
    rigged.options = options
    rigged.restart()


def types(rigged: Rig, saga_id: str) -> list[type]:
    return [type(event) for event in rigged.published(saga_id)]


def start(rigged: Rig, *saga_ids: str) -> None:
    for saga_id in saga_ids:
        with rigged.participant.transaction() as tx:
            tx.start(TripRequested(saga_id), saga_id)
    rigged.settle()


def waiting(rigged: Rig) -> list[str]:
    return [row.saga_id for row in rigged.store.unpublished(0, 1000)]


def test_it_takes_part_and_starts_nothing(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """What waits and what is in flight go their ways beside each other; later all is published, in order."""
    rigged = opened(rig, office())
    start(rigged, "s1", "s2")
    work(rigged, DRAINING)
    start(rigged, "s3", "s1", "s4")
    rigged.feed(HotelBooked("t"), saga_id="s1")
    with rigged.participant.transaction() as tx:
        tx.cancel("s2", TripCancelled("t"))
    rigged.settle()
    rigged.clock.advance(1)
    rigged.settle()
    assert types(rigged, "s1") == [TripRequested, TripBooked]
    assert types(rigged, "s2") == [TripRequested, TripCancelled, TripFailed]
    assert types(rigged, "s3") == types(rigged, "s4") == []
    assert waiting(rigged) == ["s3", "s4"]
    warnings = [each.getMessage() for each in caplog.records if "wait in the outbox" in each.getMessage()]
    assert len(warnings) == 1
    assert ": 2, as" in warnings[0]
    work(rigged, STARTING)
    assert types(rigged, "s3") == types(rigged, "s4") == [TripRequested]
    assert waiting(rigged) == []


def test_an_import_that_would_start_a_saga_waits_likewise(rig: Rigs) -> None:
    """Its position moves on, and imports for sagas in flight take place."""
    externals = [
        External(event, topic="chain", saga_id=lambda event: event.trip)
        for event in (TripRequested, HotelBooked)
    ]
    rigged = opened(rig, office(*externals))
    told(rigged, TripRequested("s1"))
    work(rigged, DRAINING)
    told(rigged, TripRequested("s2"))
    told(rigged, HotelBooked("s1"))
    assert types(rigged, "s1") == [TripRequested, HotelBooked, TripBooked]
    assert (types(rigged, "s2"), waiting(rigged)) == ([], ["s2"])
    work(rigged, STARTING)
    assert types(rigged, "s2") == [TripRequested]


def test_a_cancellation_stays_behind_the_start_that_waits(rig: Rigs) -> None:
    """Both are published in the order in which they were written."""
    rigged = opened(rig, office())
    work(rigged, DRAINING)
    start(rigged, "s1")
    with rigged.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
    rigged.settle()
    assert waiting(rigged) == ["s1", "s1"]
    assert types(rigged, "s1") == []
    work(rigged, STARTING)
    assert types(rigged, "s1") == [TripRequested, TripCancelled, TripFailed]


@pytest.mark.parametrize(("has_read", "count"), [*product((False, True), (1, 3))])
def test_a_start_that_is_on_the_topic_already_holds_nothing_up(rig: Rigs, has_read: bool, count: int) -> None:
    """A process published it, and ended before that was acknowledged; the saga is in flight and goes on.

    The next one knows so from the store, or from a record that comes to it only now.
    """
    rigged = opened(rig, office())
    rigged.wrap = lambda log: _Unheard(log, has_read)
    rigged.restart()
    sagas = [f"s{number}" for number in range(count)]
    start(rigged, *sagas)
    assert waiting(rigged) == sagas
    rigged.wrap = lambda log: log
    work(rigged, DRAINING)
    for saga_id in sagas:
        rigged.feed(HotelBooked("t"), saga_id=saga_id)
        assert types(rigged, saga_id)[-1] is TripBooked
    assert waiting(rigged) == []


class _Unheard:
    """A log whose acknowledgements, and whose records where they are not read, never reach the worker."""

    def __init__(self, log: Any, is_read: bool) -> None:
        self._log = log
        self._is_read = is_read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def take(self, limit: int, wait: float) -> Taken:
        taken: Taken = self._log.take(limit, wait)._replace(acknowledged=())
        if not self._is_read:
            return taken._replace(records=(), ended={})
        return taken

"""One participant at work in this process, on a topic of its own, driven by the bench's own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch
from uuid import uuid4

from choreo import Participant
from choreo.avro import AvroCodec
from choreo.kafka import KafkaLog
from choreo.project.lock import derive_by
from choreo.store.opening import open_store
from choreo.store.tables import TableStore
from choreo.worker import Worker
from choreo.worker.clock import SystemClock
from choreo.worker.loop import collect_less_often
from examples.orders.contract import order_fulfilment
from tests.programs.bench.feed import Feed
from tests.programs.bench.processes import ROOT
from tests.programs.bench.site import Site

LONGEST = 300.0
"""How many seconds a measure may take before it is given up."""


class Work(NamedTuple):
    """A worker that is live, its store, its topic, and who feeds it."""

    worker: Worker
    store: TableStore
    topic: str
    feed: Feed

    def until_done(self, items: int) -> float:
        """Let the worker go round until so many items are done and all is published; give the seconds."""
        done = 0

        def go() -> bool:
            nonlocal done
            done += self.worker.turn()
            return done >= items and not self.store.unpublished(0, 1)

        return seconds_until(go)


@contextmanager
def at_work(where: Site, participant: Participant, place: str = "") -> Iterator[Work]:
    """Start a participant of order fulfilment with an empty store, that at ``place`` if there is one."""
    derive_by(ROOT / "examples/choreography.json", participant)
    topic = where.topic()
    with patch.object(order_fulfilment, "topic", topic):
        store = open_store(place or where.folder / f"{uuid4().hex[:8]}.db")
        log = KafkaLog(where.bootstrap, f"{participant.name}-{topic}", embedded=where.embedded)
        worker = Worker(participant, store, log, AvroCodec(participant.events), SystemClock())
        collect_less_often()  # as `Worker.run` does; the floors of this process profit, too
        worker.start()
        try:
            while not worker.is_live:
                worker.turn()
            yield Work(worker, store, topic, Feed(where.bootstrap))
        finally:
            log.close()
            store.close()


def seconds_until(go: Callable[[], bool]) -> float:
    """Call until it says that all is done; give the seconds."""
    begun = time.perf_counter()
    while not go():
        if time.perf_counter() - begun > LONGEST:
            raise TimeoutError(f"no end within {LONGEST:.0f} s")
    return time.perf_counter() - begun

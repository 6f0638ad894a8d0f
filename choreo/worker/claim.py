"""``Claim``: the hold of one worker on its participant's store, from its start to its stop."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from choreo.errors import ChoreoError, Fenced, StoreError
from choreo.participant import Participant
from choreo.ports import Clock, Store
from choreo.records import Partition
from choreo.worker.processor import Processor
from choreo.worker.releases import Releases

log = logging.getLogger("choreo.worker")


class Claim:
    """The claim of a store, which fences the worker before this one.

    ``deaths`` is how often the process has ended without a stop; that is forgotten after ``trust_seconds``.
    ``former`` is what `Store.spread` has returned.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        processor: Processor,
        releases: Releases,
        clock: Clock,
        trust_seconds: float,
    ) -> None:
        self.deaths = 0
        self.former: Mapping[str, int] = {}
        self._participant = participant
        self._store = store
        self._processor = processor
        self._releases = releases
        self._clock = clock
        self._trust_seconds = trust_seconds
        self._began = 0.0

    def take(self, cluster: str, topics: Mapping[str, tuple[str, int]]) -> None:
        """Claim the store, and what the last worker left in it; ``topics`` are for `Store.spread`."""
        with self._store.turn():
            self._store.bind(cluster, self._participant.name)
            self.former = self._store.spread(topics)
            self._releases.begin()
            self.deaths = self._store.claim()  # before the calls of the last worker are recalled
            if self._participant.prepare:
                self._participant.prepare(self._store.db)
            self._store.recall()
            self._processor.take_up()
        self._releases.say()

    def begin(self) -> None:
        """Let the time begin after which the worker is trusted again."""
        self._began = self._clock.monotonic()

    def note(self, deaths: int) -> None:
        """Note how often a process has ended that had partitions which this one has now."""
        if deaths:
            self.deaths = max(self.deaths, deaths)
            self.begin()

    def look(self) -> None:
        """Trust the worker again, once it has run for long enough."""
        if self.deaths and self._clock.monotonic() - self._began > self._trust_seconds:
            with self._store.turn():
                self._store.trust()
            self.deaths = 0

    def check(self) -> None:
        """Raise `Fenced` where another worker has taken the store over."""
        try:
            with self._store.turn():
                pass
        except Fenced:
            raise
        except StoreError as error:  # it is locked, say: the next turn waits for it
            log.debug("%s", error)

    def give_up(self, partitions: Collection[Partition], acknowledged: Iterable[int]) -> None:
        """End the ownership of partitions, with what the log has acknowledged."""
        with self._store.turn():
            self._store.acknowledge(acknowledged)
            self._store.give_up(partitions)

    def release(self, acknowledged: Iterable[int]) -> None:
        """Release the store at a graceful stop, with what the log has acknowledged."""
        with self._store.turn():
            self._store.acknowledge(acknowledged)
            self._store.release()

    def let_go(self) -> None:
        """Release the store, as well as that is possible, after an error of the surroundings."""
        with suppress(ChoreoError), self._store.turn():
            self._store.release()

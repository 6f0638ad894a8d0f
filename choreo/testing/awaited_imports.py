"""``AwaitedImports``: the events from outside that the sagas of a simulation still wait for."""

from __future__ import annotations

from collections.abc import Iterator

from choreo.cloudevents import read
from choreo.outcome import EXTERNAL, START
from choreo.participant.external import External
from choreo.records import Record, SagaKey
from choreo.testing.fakes import fake_event
from choreo.testing.process import Process, World
from choreo.worker.outbox import Publisher


class AwaitedImports:
    """The imports that have not come yet, of each saga that has started; each may come at any moment.

    An event comes as the copy that its participant publishes, so neither ``saga_id=`` nor ``decode=`` is
    called. Its fields have the values of the saga's start where that has fields of the same names.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen = 0
        self._starts: dict[SagaKey, Record] = {}
        self._came: set[tuple[SagaKey, str]] = set()

    def names(self) -> list[tuple[str, str]]:
        """Return each event that may come, with the participant that imports it."""
        return [(name, process.name) for name, process, _, _ in self._awaited()]

    def bring(self, name: str, participant: str) -> None:
        """Let an event come."""
        for awaited, process, external, saga in self._awaited():
            if (awaited, process.name) == (name, participant):
                self._came.add((saga, external.step(participant)))
                self._publish(process, external, saga)
                return

    def _awaited(self) -> Iterator[tuple[str, Process, External, SagaKey]]:
        self._read_on()
        for saga in self._starts:
            for process in self._world.processes.values():
                for external in process.participant.external:
                    if self._is_awaited(process, external, saga):
                        yield f"{external.event.__name__} of {saga.saga_id}", process, external, saga

    def _is_awaited(self, process: Process, external: External, saga: SagaKey) -> bool:
        assert external.saga is not None
        if not external.is_import or external.saga.name != saga.saga_type:
            return False
        begins_or_cancels = external.event in (external.saga.starts, external.saga.aborts)
        return not begins_or_cancels and (saga, external.step(process.name)) not in self._came

    def _read_on(self) -> None:
        records = self._world.broker.records()
        for record in records[self._seen :]:
            envelope = read(record)
            saga = SagaKey(envelope.saga_id, envelope.saga_type)
            self._came.add((saga, envelope.step))
            if envelope.step == START:
                self._starts.setdefault(saga, record)
        self._seen = len(records)

    def _publish(self, process: Process, external: External, saga: SagaKey) -> None:
        assert external.saga is not None
        start = self._starts[saga]
        known = [process.codec.decode(read(start).type, start.value)] if start.value else []
        publisher = Publisher(process.participant, process.store, process.codec, self._world.clock)
        event = fake_event(external.event, known)
        with process.store.turn():
            publisher.publish(external.saga, saga.saga_id, external.step(process.name), EXTERNAL, event)
        process.faulty_store.was_touched = True

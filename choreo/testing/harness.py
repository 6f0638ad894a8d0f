"""``Harness``: participants in memory, which a test starts, runs and inspects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from choreo.cloudevents import read
from choreo.envelope import Envelope
from choreo.errors import ConfigurationError
from choreo.events import event_name
from choreo.participant import Participant
from choreo.records import DeadLetter, Record
from choreo.saga import Saga
from choreo.testing.simulation import Simulation
from choreo.worker.by_hand import chosen, ways_in
from choreo.worker.dead_letters import Result, settle


class Harness(Simulation):
    """Participants in memory, with the real protocol, worker, store and Avro, on virtual time.

    The fixture ``saga_harness`` opens one. Nothing happens before `run`; while it is open, the participants'
    own ``transaction()``, ``status()`` and ``wait()`` use its databases.

    >>> from choreo.testing import Harness
    >>> from examples.orders.contract import OrderCreated
    >>> from examples.orders.orders import orders, place_order
    >>> from examples.orders.inventory import inventory
    >>> with Harness([orders, inventory]) as harness:
    ...     saga_id = place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))
    ...     harness.run()
    ...     harness.state(saga_id), [event.type for event in harness.events(saga_id)]
    ('failed', ['shop.OrderCreated', 'shop.InventoryUnavailable', 'shop.OrderFailed'])
    """

    def __enter__(self) -> Harness:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def start(self, event: object, saga_id: str | None = None, saga: Saga | str | None = None) -> str:
        """Start the saga that an event starts, in a transaction of its participant; return its id.

        ``saga``, or its name, is required only where the event starts several sagas of the participant.
        """
        with self._starter(event, "starts", saga).transaction() as tx:
            return tx.start(event, saga_id, saga)

    def cancel(self, saga_id: str, event: object, saga: Saga | str | None = None) -> None:
        """Cancel a saga, in a transaction of the participant that starts it; ``saga`` as for `start`."""
        with self._starter(event, "aborts", saga).transaction() as tx:
            tx.cancel(saga_id, event, saga)

    def advance(self, time: timedelta) -> None:
        """Run for an amount of virtual time."""
        self._run_before(lambda: False, self.clock.now() + round(time.total_seconds() * 1000))

    def crash(self, participant: Participant | str) -> None:
        """End a participant's process without a clean stop, and start another on the same database."""
        self.processes[_name(participant)].crash()

    def database(self, participant: Participant | str) -> Any:
        """Return a participant's database, the ``ctx.db`` of its handlers."""
        return self.processes[_name(participant)].store.db

    @property
    def databases(self) -> Mapping[str, Any]:
        """Every participant's database, by the participant's name."""
        return {name: process.store.db for name, process in self.processes.items()}

    def sagas(self) -> list[tuple[str, str]]:
        """Return the type and the id of every saga in any participant's saga log."""
        query = "select distinct saga_type, saga_id from saga_log"
        found = (row for db in self.databases.values() for row in db.execute(query).fetchall())
        return sorted(dict.fromkeys(found))

    def states(self, saga_id: str, saga: Saga | None = None) -> dict[str, str]:
        """Return the state of a saga in each saga log that has it, by participant.

        Raises `ConfigurationError` where sagas of several types have the id and ``saga`` names none.
        """
        name = saga.name if saga is not None else self._type_of(saga_id)
        histories = {each: process.store.history(saga_id, name) for each, process in self.processes.items()}
        return {each: entries[-1].saga_state for each, entries in histories.items() if entries}

    def state(self, saga_id: str, saga: Saga | None = None) -> str:
        """Return the state of a saga: one word where all participants agree, else each one's."""
        states = self.states(saga_id, saga)
        agreed = sorted(set(states.values()))
        return agreed[0] if len(agreed) == 1 else ", ".join(f"{name}: {states[name]}" for name in states)

    def ends(self) -> list[str]:
        """Return the state of every saga, as `state` does."""
        sagas = {saga.name: saga for each in self.processes.values() for saga in each.participant.sagas}
        return [self.state(saga_id, sagas[saga_type]) for saga_type, saga_id in self.sagas()]

    def events(self, saga_id: str = "", saga: Saga | None = None) -> list[Envelope]:
        """Return the events on the topics, in their order, those of an id or of a saga type, or all."""
        envelopes = [read(record) for record in self.records()]
        name = saga.name if saga is not None else ""
        return [e for e in envelopes if saga_id in ("", e.saga_id) and name in ("", e.saga_type)]

    def records(self) -> list[Record]:
        """Return the records of the sagas' topics, in the order in which they were appended."""
        topics = {saga.topic for process in self.processes.values() for saga in process.participant.sagas}
        return [record for record in self.broker.records() if record.topic in topics]

    def letters(self) -> list[DeadLetter]:
        """Return the open dead letters of all participants."""
        return [letter for _, letter in self.world.open_letters()]

    def requeue(self) -> None:
        """Requeue every open dead letter."""
        self.requeue_letters()

    def resolve(self, event: object | None = None) -> None:
        """Resolve the only open dead letter: its work was done by hand, with an event as its result.

        That of an observer has none. Raises `ConfigurationError` where the work can't end so.
        """
        found = self.world.open_letters()
        if len(found) != 1:
            raise ConfigurationError(f"{len(found)} dead letters are open", hint="resolve takes the only one")
        ((process, letter),) = found
        name = "" if event is None else event_name(type(event))
        chosen(ways_in(process.store, letter), letter._replace(result_type=name))
        result = Result(name, process.codec.encode(event)) if name else None
        settle(process.store, letter, "resolved", "by the test", self.clock.now(), result=result)
        process.faulty_store.was_touched = True
        self.moves.append(f"{process.name}: dead letter {letter.id} ({letter.reason}) is resolved")

    def _type_of(self, saga_id: str) -> str:
        types = [saga_type for saga_type, each in self.sagas() if each == saga_id]
        if len(types) > 1:
            raise ConfigurationError(
                f"sagas of several types have the id {saga_id}: {', '.join(types)}", hint="give saga="
            )
        return types[0] if types else ""

    def _starter(self, event: object, part: str, chosen: Saga | str | None) -> Participant:
        for process in self.processes.values():
            for saga in process.participant.sagas:
                owns = process.participant.roles()[saga.name].owns_start
                wanted = chosen is None or chosen in (saga, saga.name)
                if getattr(saga, part) is type(event) and owns and wanted:
                    return process.participant
        raise ConfigurationError(
            f"{event_name(type(event))} {part} no saga of {', '.join(self.processes)}",
            hint="give the harness the participant that starts the saga, too",
        )


Opened = Callable[..., Harness]


def _name(participant: Participant | str) -> str:
    return participant if isinstance(participant, str) else participant.name


def opening(harnesses: list[Harness]) -> Opened:
    """Return the function that opens harnesses and adds them to a list, so that they can be closed."""

    def opened(*participants: Participant, **options: Any) -> Harness:
        harness = Harness(_checked(participants), **options)
        harnesses.append(harness)
        return harness

    return opened


def _checked(participants: Sequence[Participant]) -> Sequence[Participant]:
    for participant in participants:
        if not isinstance(participant, Participant):
            raise ConfigurationError(
                f"{participant!r} is not a Participant", hint="saga_harness(orders, payments)"
            )
    return participants

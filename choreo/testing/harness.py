"""``Harness``: what a test holds in its hands: participants in memory, ready to run."""

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
from choreo.testing.letters import open_letters, settle_all
from choreo.testing.simulation import Simulation


class Harness(Simulation):
    """Participants in memory: the real protocol, worker, store and Avro, on virtual time.

    Made by the fixture ``saga_harness``. Nothing happens before `run`; while it is open, the participants'
    own ``transaction()``, ``status()`` and ``wait()`` work on its databases.

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

    def start(self, event: object, saga_id: str | None = None) -> str:
        """Start the saga that an event starts, in a transaction of its participant; give its id."""
        with self._starter(event, "starts").transaction() as tx:
            return tx.start(event, saga_id)

    def cancel(self, saga_id: str, event: object) -> None:
        """Cancel a saga."""
        with self._starter(event, "aborts").transaction() as tx:
            tx.cancel(saga_id, event)

    def advance(self, time: timedelta) -> None:
        """Let so much virtual time pass, and all that happens meanwhile."""
        self._run_before(lambda: False, self.clock.now() + round(time.total_seconds() * 1000))

    def crash(self, participant: Participant | str) -> None:
        """End a participant's process without a word, and start another on the same database."""
        self.seats[_name(participant)].crash()

    def database(self, participant: Participant | str) -> Any:
        """Give a participant's database, as its handlers see it."""
        return self.seats[_name(participant)].store.db

    @property
    def databases(self) -> Mapping[str, Any]:
        """Every participant's database, by the participant's name."""
        return {name: seat.store.db for name, seat in self.seats.items()}

    def sagas(self) -> list[tuple[str, str]]:
        """Give every saga that any participant has heard of, as its type and its id."""
        query = "select distinct saga_type, saga_id from saga_log"
        found = (row for db in self.databases.values() for row in db.execute(query).fetchall())
        return sorted(dict.fromkeys(found))

    def states(self, saga_id: str) -> dict[str, str]:
        """Give how a saga stands, as each participant that has heard of it knows."""
        histories = {name: seat.store.history(saga_id) for name, seat in self.seats.items()}
        return {name: entries[-1].saga_state for name, entries in histories.items() if entries}

    def state(self, saga_id: str) -> str:
        """Give how a saga stands: one word where all agree, else each one's."""
        states = self.states(saga_id)
        agreed = sorted(set(states.values()))
        return agreed[0] if len(agreed) == 1 else ", ".join(f"{name}: {states[name]}" for name in states)

    def events(self, saga_id: str = "") -> list[Envelope]:
        """Give the events in the log, in its order: of one saga, or of all."""
        envelopes = [read(record) for record in self.records()]
        return [each for each in envelopes if saga_id in ("", each.saga_id)]

    def records(self) -> list[Record]:
        """Give the records of the sagas' topics, in the order in which they were appended."""
        topics = {saga.topic for seat in self.seats.values() for saga in seat.participant.sagas}
        return [record for record in self.broker.records() if record.topic in topics]

    def letters(self) -> list[DeadLetter]:
        """Give the dead letters that are open, of all participants."""
        return [letter for _, letter in open_letters(self)]

    def requeue(self) -> None:
        """Requeue every open dead letter."""
        settle_all(self)

    def _starter(self, event: object, part: str) -> Participant:
        for seat in self.seats.values():
            for saga in seat.participant.sagas:
                owns = seat.participant.roles()[saga.name].owns_start
                if getattr(saga, part) is type(event) and owns:
                    return seat.participant
        raise ConfigurationError(
            f"{event_name(type(event))} {part} no saga of {', '.join(self.seats)}",
            hint="give the harness the participant that starts the saga, too",
        )


Opened = Callable[..., Harness]


def _name(participant: Participant | str) -> str:
    return participant if isinstance(participant, str) else participant.name


def opening(harnesses: list[Harness]) -> Opened:
    """Give the function that opens harnesses and notes them, for whoever has to close them."""

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

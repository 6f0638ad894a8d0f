"""Runs observers again on all events of a saga log, to rebuild their read models."""

from __future__ import annotations

from collections.abc import Callable

from choreo.errors import ReplayError
from choreo.participant import Context, Handler, Participant, Roles, Sessions
from choreo.ports import Codec, Store
from choreo.protocol.recorded_inputs import rebuild
from choreo.records import Entry, SagaKey
from choreo.worker.attempt import attempt
from choreo.worker.binding import Binding
from choreo.worker.item import TriggerEvent

_PAGE = 1_000
"""The rows of the saga log that are read at once."""


def observe(
    participant: Participant, store: Store, codec: Codec, progress: Callable[[int], None] = lambda rows: None
) -> int:
    """Run every observer on every event that it has handled, in the order of the log; return how many runs.

    All runs are in one transaction. The observers' tables must be empty, and no worker may run meanwhile.
    ``progress`` is called with the number of rows that were read. Raises `ReplayError` for an observer that
    fails, and then changes nothing.
    """
    roles = participant.roles_by_version()
    observers = {
        name: each for each in participant.handlers if each.task == "observer" for name in each.names
    }
    done = after = 0
    sessions = None if participant.session is None else store.sessions(participant.session)
    with store.turn():
        if participant.prepare:
            participant.prepare(store.db)
        while rows := store.rows(after, _PAGE):
            for _, entry in rows:
                handler = observers.get(entry.step)
                if entry.input == "observed" and handler is not None and entry.saga_type in roles.newest:
                    done += _observe(roles, store, codec, handler, entry, sessions)
            after = rows[-1][0]
            progress(len(rows))
    return done


def _observe(
    roles: Roles, store: Store, codec: Codec, handler: Handler, entry: Entry, sessions: Sessions | None
) -> bool:
    """Run an observer on an event, and return whether it takes it: one of before may have, and this not."""
    key = SagaKey(entry.saga_id, entry.saga_type)
    history = store.history(*key)
    before = history[: history.index(entry)]
    event = next(each for each in before if each.input == "event" and each.event_id == entry.causation_id)
    if not handler.takes(event.event_type):
        return False
    saga = rebuild(roles.of_rows(entry.saga_type, history), before)
    binding = Binding(store, codec, key, saga, TriggerEvent.of_entry(event))
    named = (entry.saga_id, handler.step, handler.task)
    keyed_by_id = saga.keyed_by_id or store.is_keyed_by_id(*key)
    context = Context(
        *(*named, store.db, 1, entry.recorded_at, None, entry.saga_type, keyed_by_id), sessions=sessions
    )
    result = attempt(store, codec, handler, binding, context)
    if result.verdict != "returned":
        raise ReplayError(
            f"{handler.name} can't observe {event.event_type} of saga {entry.saga_id}: {result.reason}",
            hint="are its tables empty? nothing was changed",
        )
    return True

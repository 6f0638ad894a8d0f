"""``StoredSaga``: one saga as all tables of a store hold it, with its log folded again."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from choreo.chain import Row
from choreo.errors import ReplayError
from choreo.participant import Participant, Roles
from choreo.ports import Store
from choreo.protocol import Role
from choreo.protocol.recorded_inputs import names_in_rows, shows_keyed_by_id
from choreo.protocol.renaming import names_in_use
from choreo.records import DeadLetter, Entry, Scheduled, Unpublished, version_of
from choreo.release.in_force import InForce
from choreo.replay.fold import Difference, Replay
from choreo.replay.pending_work import StoredRows, table_differences, unconfirmed
from choreo.worker.pending import unsettled

_PAGE = 1_000
"""The rows of the outbox that are read at once."""


class StoredSaga(NamedTuple):
    """A saga whose log was folded again, with its rows in the other tables of the store.

    ``letters`` are its dead letters, open or closed.
    """

    role: Role
    saga_id: str
    entries: Sequence[Entry]
    replay: Replay
    stored: StoredRows
    letters: Sequence[DeadLetter]

    def differences(self) -> list[Difference]:
        """Return all differences between the store and its log, folded again."""
        return [*self.replay.close(), *table_differences(self.replay, self.stored)]

    def unpublished(self, topic: Container[str] = ()) -> list[Entry]:
        """Return the events that neither the outbox nor the topic holds; ``topic`` has the topic's ids."""
        return [entry for entry in unconfirmed(self.replay, self.stored) if entry.event_id not in topic]


def stored_sagas(
    participant: Participant, store: Store, saga_id: str, in_force: InForce | None = None
) -> list[StoredSaga]:
    """Return the sagas with an id: one for each saga type that uses it.

    Each row is folded by the declarations that were in force when it was written; ``in_force`` are those of
    the store. Call it inside a turn of the store, so that a running worker changes nothing meanwhile. Raises
    `ReplayError` for a saga that the store doesn't know, or whose rows can't be folded.
    """
    roles = participant.roles_by_version()
    in_force = in_force or InForce(store.releases())
    of_type: dict[str, list[Row]] = {}
    for row in store.saga_log.rows(saga_id):
        of_type.setdefault(row.entry.saga_type, []).append(row)
    known = [name for name in of_type if name in roles.newest]
    if not known:
        types = (
            f"; it is of type {', '.join(of_type)}, which {participant.name} has no part in"
            if of_type
            else ""
        )
        raise ReplayError(f"{participant.name} knows no saga {saga_id}{types}", hint="see `choreo sagas`")
    return [_replayed(roles, name, store, of_type[name], in_force) for name in known]


def _replayed(roles: Roles, name: str, store: Store, rows: Sequence[Row], in_force: InForce) -> StoredSaga:
    entries = [row.entry for row in rows]
    role, saga_id = roles.of_rows(name, entries), entries[0].saga_id
    keyed_by_id = shows_keyed_by_id(role, entries) or store.is_keyed_by_id(saga_id, name)
    scheduled = store.scheduled(saga_id, name) if role.names else ()
    names = names_in_rows(role, entries) | names_in_use(role, (row.name for row in scheduled))
    replay = Replay(role, keyed_by_id=keyed_by_id, names=names)
    role_at = in_force.roles(role, version_of(entries))
    for row in rows:
        replay.fold(row.entry, role_at(row.id))
    replay.close()
    letters = letters_of(store, saga_id, name)
    return StoredSaga(role, saga_id, entries, replay, stored_rows(store, saga_id, name, letters), letters)


def letters_of(store: Store, saga_id: str, saga_type: str) -> list[DeadLetter]:
    """Return a saga's dead letters without their bodies, open or closed."""
    return list(store.letters_of(saga_id, saga_type))


def stored_rows(store: Store, saga_id: str, saga_type: str, letters: Sequence[DeadLetter]) -> StoredRows:
    """Return a saga's rows in the other tables than the log; ``letters`` are its dead letters."""
    rows = store.scheduled(saga_id, saga_type)
    return StoredRows(
        frozenset(_due(rows, letters)),
        frozenset(row.event_id for row in outbox_of(store, saga_id, saga_type)),
        {(place.topic, place.number): acts_from for place, (_, acts_from) in store.joined().items()},
    )


def outbox_of(store: Store, saga_id: str, saga_type: str) -> Iterator[Unpublished]:
    """Yield a saga's rows of the outbox."""
    after = 0
    while rows := store.unpublished(after, _PAGE):
        yield from (row for row in rows if (row.saga_id, row.saga_type) == (saga_id, saga_type))
        after = rows[-1].seq


def _due(rows: Sequence[Scheduled], letters: Sequence[DeadLetter]) -> Iterator[tuple[str, str]]:
    yield from ((row.task, row.name) for row in rows)
    yield from ((letter.task, letter.name) for letter in unsettled(rows, letters))

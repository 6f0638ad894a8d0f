"""``Instances``: a bounded cache of sagas; one that is not cached is folded again from the saga log."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from choreo.participant import Roles
from choreo.ports import Store
from choreo.protocol import Instance, Role
from choreo.protocol.recorded_inputs import rebuild
from choreo.records import DeadLetter, Entry, SagaKey, Scheduled
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.pending import Newest, pending_of


def remembered_item(store: Store, role: Role, topic: str, what: Scheduled | DeadLetter) -> Item:
    """Return the item of an event in the saga log, for the handler of ``what``."""
    entries = store.history(what.saga_id, what.saga_type)
    found = (each for each in entries if each.event_id == what.event_id and each.input == "event")
    entry = next(found, None)
    if entry is None:
        raise LookupError(f"the saga log has no event {what.event_id} of the saga")
    edited = store.edited(what.saga_id, what.saga_type, what.task, what.name, what.event_id)
    trigger = TriggerEvent.of_entry(entry if edited is None else entry._replace(payload=edited))
    return Item(role, topic, what.saga_id, trigger)


def item_about(store: Store, item: Item, event_type: str) -> Item:
    """Return the item with another event of its saga as the trigger, unchanged where there is none."""
    if event_type in ("", item.trigger.envelope.type):
        return item
    entries = store.history(item.saga_id, item.saga_type)
    found = (each for each in entries if each.input == "event" and each.event_type == event_type)
    entry = next((each for each in found if each.note != "void"), None)
    return item if entry is None else item._replace(trigger=TriggerEvent.of_entry(entry))


def stored_instance(
    store: Store,
    roles: Roles,
    saga_type: str,
    saga_id: str,
    newest: Newest | None = None,
    read: Sequence[Entry] | None = None,
) -> Instance:
    """Return a saga as its rows fold to, empty for an unknown one; ``read`` are its rows, if known.

    Where not the ``newest`` release wrote all of them, what is queued is what the schedule holds: unschedule
    a row only after its saga was looked up.
    """
    entries = store.history(saga_id, saga_type) if read is None else read
    if not entries:
        return Instance()
    role = roles.of_rows(saga_type, entries)
    # Under which of its names a saga knows a renamed handler, the schedule may be alone to say.
    is_known = newest is not None and not role.names and newest.wrote(entries)
    saga = rebuild(role, entries, None if is_known else pending_of(store, role, entries))
    if not saga.keyed_by_id:
        saga.keyed_by_id = store.is_keyed_by_id(saga_id, saga_type)
    return saga


class Instances:
    """The sagas that were used last, ``limit`` at most, by saga type and id; and the role in each of them."""

    def __init__(self, store: Store, roles: Roles, limit: int) -> None:
        self._store = store
        self._roles = roles
        self._newest: Newest | None = None
        self._limit = limit
        self._known: OrderedDict[tuple[str, str], Instance] = OrderedDict()
        self._read: dict[tuple[str, str], Sequence[Entry]] = {}

    def read(self, sagas: Iterable[SagaKey]) -> None:
        """Read the rows of sagas that are not cached, all together where the store is faster so."""
        known = self._known
        keys = {key for key in sagas if (key.saga_type, key.saga_id) not in known}
        found = self._store.histories(keys) if keys else {}
        self._read = {(key.saga_type, key.saga_id): rows for key, rows in found.items()}

    def role(self, saga_type: str, saga_id: str, version: int) -> Role:
        """Return the role in a saga: of the version that it was started with, of ``version`` before that."""
        if not self._roles.differs(saga_type):
            return self._roles.newest[saga_type]
        saga = self.get(self._roles.newest[saga_type], saga_id)
        return self._roles.of(saga_type, saga.version if saga.started else version)

    def get(self, role: Role, saga_id: str) -> Instance:
        """Return the current state of a saga, empty for an unknown one."""
        key = (role.contract.saga, saga_id)
        saga = self._known.get(key)
        if saga is None:
            saga = self._known[key] = self._stored(*key)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return saga

    def _stored(self, saga_type: str, saga_id: str) -> Instance:
        if self._newest is None:
            release = self._store.newest_release()
            self._newest = Newest(release, is_shared=not self._store.serves_one)
        read = self._read.pop((saga_type, saga_id), None)
        return stored_instance(self._store, self._roles, saga_type, saga_id, self._newest, read)

    def put(self, role: Role, saga_id: str, saga: Instance) -> None:
        """Cache a saga, and drop the least recently used one where there are too many."""
        self._known[role.contract.saga, saga_id] = saga
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def forget(self, role: Role, saga_id: str) -> None:
        """Drop one saga, so that it is folded again from the saga log."""
        self.drop(role.contract.saga, saga_id)

    def drop(self, saga_type: str, saga_id: str) -> None:
        """Drop one saga, in which another worker may have written."""
        self._known.pop((saga_type, saga_id), None)
        self._read.pop((saga_type, saga_id), None)

    def clear(self) -> None:
        """Drop all sagas, and what is known of the store's releases."""
        self._known.clear()
        self._read.clear()
        self._newest = None

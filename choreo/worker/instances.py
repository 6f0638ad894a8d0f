"""A bounded memory of sagas: what isn't in it is folded again from the saga log."""

from __future__ import annotations

from collections import OrderedDict

from choreo.ports import Store
from choreo.protocol import Instance, Role
from choreo.protocol.history import rebuild
from choreo.records import Entry


def history_of(store: Store, saga_type: str, saga_id: str) -> list[Entry]:
    """Give the entries of one saga; one of another type may have the same id."""
    return [entry for entry in store.history(saga_id) if entry.saga_type == saga_type]


class Instances:
    """The sagas that were touched last, ``limit`` at most; two of different types may have the same id."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._known: OrderedDict[tuple[str, str], Instance] = OrderedDict()

    def get(self, role: Role, saga_id: str) -> Instance:
        """Give a saga as it stands; one that was never seen is empty."""
        key = (role.contract.saga, saga_id)
        saga = self._known.get(key)
        if saga is None:
            saga = rebuild(role, history_of(self._store, *key))
            self.put(role, saga_id, saga)
        else:
            self._known.move_to_end(key)
        return saga

    def put(self, role: Role, saga_id: str, saga: Instance) -> None:
        """Remember a saga, and forget the one that was touched longest ago where there are too many."""
        self._known[role.contract.saga, saga_id] = saga
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def forget(self, role: Role, saga_id: str) -> None:
        """Forget one saga, so that it is folded again from the saga log."""
        self._known.pop((role.contract.saga, saga_id), None)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()

"""A bounded memory of sagas: what isn't in it is folded again from the saga log."""

from __future__ import annotations

from collections import OrderedDict

from choreo.ports import Store
from choreo.protocol import Instance, Role
from choreo.worker.entries import rebuild


class Sagas:
    """The sagas that were touched last, ``limit`` at most, by id."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._known: OrderedDict[str, Instance] = OrderedDict()

    def get(self, role: Role, saga_id: str) -> Instance:
        """Give a saga as it stands; one that was never seen is empty."""
        saga = self._known.get(saga_id)
        if saga is None:
            saga = rebuild(role, self._store.history(saga_id))
            self.put(saga_id, saga)
        else:
            self._known.move_to_end(saga_id)
        return saga

    def put(self, saga_id: str, saga: Instance) -> None:
        """Remember a saga, and forget the one that was touched longest ago where there are too many."""
        self._known[saga_id] = saga
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def forget(self, saga_id: str) -> None:
        """Forget one saga, so that it is folded again from the saga log."""
        self._known.pop(saga_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()

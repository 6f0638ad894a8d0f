"""``connect``: connects a participant to its store, in any process of the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from choreo.avro import AvroCodec
from choreo.client.status import status_of
from choreo.client.transaction import LocalTransaction
from choreo.errors import ConfigurationError, StoreError
from choreo.participant import Participant, Status
from choreo.ports import Clock, Codec, Store
from choreo.project.lock import derive_by
from choreo.records import Entry
from choreo.saga import Saga
from choreo.store.sqlite.store import SQLiteStore
from choreo.worker.clock import SystemClock


def connect(
    participant: Participant,
    store: str | Path,
    *,
    schemas: Sequence[str | Path] = (),
    lock: str | Path | None = None,
) -> None:
    """Connect a participant to its store, for ``participant.transaction()``, ``status()`` and ``wait()``.

    ``store`` is the path of the SQLite database of the participant's worker, which is created where it does
    not exist. Each thread opens the database at its first use. ``schemas`` are folders with the schemas of
    other versions of the events. ``lock`` is the path of ``choreography.json``, which is required where
    compensations name no event.

    Raises `DeclarationError` for a compensation that nothing calls, `SchemaError` for an event without an
    Avro schema, `ManifestError` for a lock that can't be read. At a thread's first use, `StoreError` where
    the database can't be opened.

    >>> import tempfile
    >>> from examples.orders.orders import orders
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     connect(orders, f"{folder}/orders.db")
    """
    if lock is not None:
        derive_by(Path(lock), participant)
    codec = AvroCodec(participant.events, [Path(folder) for folder in schemas])
    participant.connect(StoreConnection(participant, lambda: SQLiteStore(store), codec, SystemClock()))


_LOOK_SECONDS = 0.02
"""The interval at which `StoreConnection.wait` polls the store."""


class StoreConnection:
    """Implements `choreo.participant.connection.Connection`, with one open database for each thread."""

    def __init__(
        self,
        participant: Participant,
        open_store: Callable[[], Store],
        codec: Codec,
        clock: Clock,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._participant = participant
        self._roles = participant.roles()
        self._open_store = open_store
        self._codec = codec
        self._clock = clock
        self._new_id = new_id
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[LocalTransaction]:
        """Open a transaction on the calling thread's store."""
        store = self._store()
        with store.turn(), store.savepoint(), self._marked():
            yield LocalTransaction(
                self._participant, self._roles, store, self._codec, self._clock, self._new_id
            )

    def status(self, saga_id: str, saga: Saga | None = None) -> Status | None:
        """Return the status of a saga, None where the participant knows no saga with that id."""
        store = self._store()
        entries = self._entries(store, saga_id, saga)
        if not entries:
            return None
        role = self._roles[entries[0].saga_type]
        return status_of(role, entries, store.scheduled(saga_id))

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | None = None) -> Status | None:
        """Wait until a saga has ended, for ``timeout`` at most, and return its status then."""
        if getattr(self._local, "in_transaction", False):
            raise StoreError("wait() inside of a transaction would never see the end", hint="commit first")
        store, until = self._store(), time.monotonic() + timeout.total_seconds()
        while True:
            store.changed()
            status = self.status(saga_id, saga)
            if status is not None and status.is_ended:
                return status
            while not store.changed():
                left = until - time.monotonic()
                if left <= 0:
                    return status
                time.sleep(min(left, _LOOK_SECONDS))

    @contextmanager
    def _marked(self) -> Iterator[None]:
        self._local.in_transaction = True
        try:
            yield
        finally:
            self._local.in_transaction = False

    def _entries(self, store: Store, saga_id: str, saga: Saga | None) -> list[Entry]:
        entries = [entry for entry in store.history(saga_id) if entry.saga_type in self._roles]
        if saga is not None:
            return [entry for entry in entries if entry.saga_type == saga.name]
        types = sorted({entry.saga_type for entry in entries})
        if len(types) > 1:
            raise ConfigurationError(
                f"sagas of several types have the id {saga_id}: {', '.join(types)}", hint="give saga="
            )
        return entries

    def _store(self) -> Store:
        store: Store | None = getattr(self._local, "store", None)
        if store is None:
            store = self._open_store()
            try:
                if self._participant.prepare:
                    with store.turn():
                        self._participant.prepare(store.db)
            except BaseException:  # the next use opens the store again
                store.close()
                raise
            self._local.store = store
        return store

"""``connect``: connects a participant to its store, in any process of the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Self, cast

from choreo.avro import AvroCodec
from choreo.client.joined import joined
from choreo.client.status import status_of
from choreo.client.transaction import LocalTransaction
from choreo.client.watch import LOOK_SECONDS, Watch
from choreo.errors import ConfigurationError, StoreError, wrong_argument
from choreo.participant import Participant, Roles, Status
from choreo.ports import Clock, Codec, JoinedStore, OpenTransaction, Store, Stores
from choreo.project.lock import derived
from choreo.records import Entry
from choreo.saga import Saga
from choreo.store import opening
from choreo.worker.clock import SystemClock
from choreo.worker.pending import pending_of


def connect(
    participant: Participant,
    store: str | Path,
    *,
    schemas: Sequence[str | Path] = (),
    lock: str | Path | None = None,
) -> StoreConnection:
    """Connect a participant to its store, for ``participant.transaction()``, ``status()`` and ``wait()``.

    ``store`` is that of the participant's worker: the path of an SQLite database, which is created where it
    does not exist, or the address of a PostgreSQL database (``postgresql://…``), whose tables must be there
    (``choreo store migrate``). ``schemas`` are folders with the schemas of other versions of the events.
    ``lock`` is the path of ``choreography.json``, for compensations that name no event; without it, they are
    derived as by ``choreo run``.

    Nothing is opened or read before the first use, so that a module may connect while it declares. The
    connection may be used by every thread and, after a ``fork()``, by both processes. ``participant.close()``
    closes it, as do the end of a ``with`` block and that of the process.

    Raises `ConfigurationError` for an argument of another type. At the first use: `DeclarationError` for a
    compensation that nothing calls, `SchemaError` for an event without an Avro schema, `ManifestError` for a
    lock that can't be read, `StoreError` where the database can't be opened.

    >>> import tempfile
    >>> from examples.orders.orders import orders
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with connect(orders, f"{folder}/orders.db"):
    ...         orders.status("o-1") is None
    True
    """
    if not isinstance(participant, Participant):
        raise wrong_argument(
            "participant", participant, "a Participant", hint='connect(orders, store="orders.db")'
        )
    place = store if opening.is_address(store) else _path("store", store)
    if not isinstance(schemas, list | tuple):
        raise wrong_argument("schemas", schemas, "a list of folders", hint='schemas=["schemas"]')
    folders = [_path("schemas", folder) for folder in schemas]
    locked = None if lock is None else _path("lock", lock)

    def read() -> Codec:
        if locked is not None or not participant.knows_rollback:
            derived(participant, locked)
        return AvroCodec(participant.events, folders)

    stores = opening.stores_of(place, participant.name, participant.prepare)
    connection = StoreConnection(participant, stores, read, SystemClock())
    if participant.connection is not None:
        participant.connection.close()
    participant.connect(connection)
    return connection


def _path(name: str, value: object) -> Path:
    if not isinstance(value, str | PathLike) or not str(value):
        raise wrong_argument(name, value, "a path", hint=f'{name}="a/path", or a pathlib.Path')
    return Path(value).absolute()  # of the moment of the call: a server may change its working directory


_here: ContextVar[tuple[LocalTransaction, ...]] = ContextVar("choreo_local_transactions", default=())
"""The transactions that are open in this task or call, the innermost last."""


class StoreConnection:
    """Implements `choreo.participant.connection.Connection`.

    ``stores`` may be a function that returns a store which others open and close. ``codec`` may be a
    function that returns it at the first use, when the participant is declared.
    """

    def __init__(
        self,
        participant: Participant,
        stores: Stores | Callable[[], Store],
        codec: Codec | Callable[[], Codec],
        clock: Clock,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._participant = participant
        self._stores = _OneStore(stores) if callable(stores) else stores
        self._codec = codec
        self._clock = clock
        self._new_id = new_id
        self._watch = Watch(self._reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Open the store now, not at the first use, and make the tables of one in SQLite where it has none.

        A service that only joins sessions of its own calls it when it starts: `transaction` makes no tables
        in a session. Raises what the first use would raise.
        """
        _ = self._declared
        with self._stores.lend():
            return self

    def close(self) -> None:
        """Close the connection, and disconnect the participant; closing twice does no harm.

        A transaction that is open in another thread is closed at its end.
        """
        self._stores.close()
        if self._participant.connection is self:
            self._participant.connect(None)

    @contextmanager
    def transaction(self, within: object = None) -> Iterator[LocalTransaction]:
        """Open a transaction on the store, or join one that the service has open."""
        roles, codec = self._declared
        with self._own_turn() if within is None else self._joined(within) as store:
            opened = LocalTransaction(
                self._participant, roles.newest, store, codec, self._clock, self._new_id
            )
            opened.is_joined = within is not None
            _here.set((*self._open_here(), opened))
            try:
                yield opened
            finally:
                opened.end()
                _here.set(tuple(self._open_here()))

    def status(self, saga_id: str, saga: Saga | str | None = None) -> Status | None:
        """Return the status of a saga, None where the participant knows no saga with that id."""
        refuse_bad_question(saga_id)
        with self._reading() as store:
            own = self._own()
            # A joined transaction has written nothing but the saga log and the outbox.
            entries = self._entries(own.store if own else store, saga_id, saga)
            if not entries:
                return None
            role = self._declared[0].of_rows(entries[0].saga_type, entries)
            scheduled = store.scheduled(saga_id, role.contract.saga)
            return status_of(role, entries, scheduled, pending_of(store, role, entries))

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | str | None = None) -> Status | None:
        """Wait until a saga has ended, for ``timeout`` at most, and return its status then."""
        waiting = _Waiting(self, saga_id, timeout, saga)
        waiting.begin()
        while True:
            with self._reading() as store:
                if waiting.is_over(store):
                    return waiting.status
            time.sleep(min(waiting.left, LOOK_SECONDS))

    async def wait_async(
        self, saga_id: str, timeout: timedelta, saga: Saga | str | None = None
    ) -> Status | None:
        """Wait as `wait` does, in a coroutine: its event loop goes on meanwhile."""
        return await self._watch.over(_Waiting(self, saga_id, timeout, saga))

    def refuse_to_wait(self) -> None:
        """Raise `StoreError` inside of a transaction, which would never see the end of a saga."""
        with self._reading() as store:
            if self._own() is not None or store.blocks_here:
                raise StoreError(
                    "wait() inside of a transaction would never see the end", hint="commit first"
                )

    @cached_property
    def _declared(self) -> tuple[Roles, Codec]:
        codec = self._codec() if callable(self._codec) else self._codec
        return self._participant.roles_by_version(), codec

    @contextmanager
    def _own_turn(self) -> Iterator[Store]:
        with self._stores.lend() as store, store.turn(), store.savepoint():
            yield store

    def _joined(self, within: object) -> AbstractContextManager[JoinedStore]:
        return self._stores.within(joined(within), self._participant.name)

    @contextmanager
    def _reading(self) -> Iterator[Store]:
        """Yield the store of the transaction that is open here, which sees what it wrote, or another one.

        One that is joined writes by a connection that is not the store's.
        """
        _ = self._declared  # before anything is opened
        own = self._own()
        if own is not None and not own.is_joined:
            yield cast(Store, own.store)
            return
        with self._stores.lend() as store:
            yield store

    def _open_here(self) -> Iterator[LocalTransaction]:
        return (each for each in _here.get() if each.is_open)

    def _own(self) -> LocalTransaction | None:
        own = [each for each in self._open_here() if each.participant is self._participant]
        return own[-1] if own else None

    def _entries(self, store: JoinedStore, saga_id: str, saga: Saga | str | None) -> list[Entry]:
        roles = self._declared[0].newest
        if saga is not None:
            return list(store.history(saga_id, self._participant.saga(saga).name))
        entries = [entry for entry in store.history(saga_id) if entry.saga_type in roles]
        types = sorted({entry.saga_type for entry in entries})
        if len(types) > 1:
            raise ConfigurationError(
                f"sagas of several types have the id {saga_id}: {', '.join(types)}", hint="give saga="
            )
        return entries


class _OneStore:
    """Implements `choreo.ports.Stores`: a store that others open and close."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def lend(self) -> AbstractContextManager[Store]:
        """Open a block with the store."""
        return nullcontext(self._store())

    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Open a block inside of a transaction of the service's own."""
        return self._store().within(transaction, participant)

    def close(self) -> None:
        """Do nothing."""


class _Waiting:
    """Implements `choreo.client.watch.Wait`: reads the status of a saga only when it has new entries."""

    def __init__(
        self, connection: StoreConnection, saga_id: str, timeout: timedelta, saga: Saga | str | None
    ) -> None:
        refuse_bad_question(saga_id, timeout)
        self.status: Status | None = None
        self._connection = connection
        self._saga_id = saga_id
        self._saga = saga
        self._until = time.monotonic() + timeout.total_seconds()
        self._seen = -1

    @property
    def left(self) -> float:
        """The seconds that are left, at least 0."""
        return max(0.0, self._until - time.monotonic())

    def begin(self) -> None:
        """Raise `StoreError` inside of a transaction, which would never see the end."""
        self._connection.refuse_to_wait()

    def is_over(self, store: Store) -> bool:
        """Whether the saga has ended, or the time is up."""
        last, is_late = store.last_entry(self._saga_id), not self.left
        if last != self._seen or is_late:
            self._seen, self.status = last, self._connection.status(self._saga_id, self._saga)
        return is_late or (self.status is not None and self.status.is_ended)


def refuse_bad_question(saga_id: object, timeout: object = timedelta(0)) -> None:
    """Refuse what no saga, and no wait, can be asked for by. Raises `ConfigurationError`."""
    if not isinstance(saga_id, str):
        raise wrong_argument("saga_id", saga_id, "a text", hint="give a str, as of str(order.id)")
    if not isinstance(timeout, timedelta):
        raise wrong_argument("timeout", timeout, "a timedelta", hint="timeout=timedelta(seconds=2)")

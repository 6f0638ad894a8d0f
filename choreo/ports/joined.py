"""A transaction that the service has open on a connection of its own, and what a store writes through it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from choreo.records import Entry, Unpublished


class OpenTransaction(Protocol):
    """A transaction that is open on a connection of the service's own; the store never ends it."""

    @property
    def given(self) -> Any:
        """What the service gave for it: a session, say."""
        ...

    @property
    def connection(self) -> Any:
        """The connection as the DB-API 2.0 has it, also where its driver is asynchronous."""
        ...

    @property
    def driver(self) -> Any:
        """The driver's own connection: the same, unless the driver is asynchronous."""
        ...

    def check(self) -> None:
        """Raise `StoreError` where the transaction has ended, as far as its framework knows."""
        ...


class JoinedStore(Protocol):
    """The part of a `choreo.ports.Store` that starts and cancels sagas, here inside of an `OpenTransaction`.

    What is written is there at once, for the transaction's other statements too, and shares its end: the
    commit, the rollback, the rollback to a savepoint. So nothing that was read or written may be kept from
    one call to the next. Raises `StoreError` where the transaction has ended, or is used by another process.
    """

    @property
    def db(self) -> Any:
        """What the service gave for the transaction."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Open a savepoint, to which an exception that leaves it rolls back."""
        ...

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first; without a type, those of all sagas with the id."""
        ...

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id."""
        ...

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Write an event: its entry of the saga log, and its rows of the outbox, one for each topic."""
        ...

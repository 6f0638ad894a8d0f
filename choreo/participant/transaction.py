"""``Transaction``: what ``participant.transaction()`` gives, and the connection that gives it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Protocol

from choreo.participant.status import Status
from choreo.saga import Saga


class Transaction(Protocol):
    """The caller's own local transaction, in which sagas start and are cancelled."""

    @property
    def db(self) -> Any:
        """The open database; it refuses commit and rollback."""
        ...

    def start(self, event: object, saga_id: str | None = None) -> str:
        """Start a saga with its first event; give its id.

        Nothing happens when a saga of that id has been started here before.
        """
        ...

    def cancel(self, saga_id: str, event: object) -> None:
        """Ask that a saga be cancelled; too late, it changes nothing."""
        ...


class Connection(Protocol):
    """A participant's way to its store, from any process of the service; ``choreo.connect`` makes it."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a transaction."""
        ...

    def status(self, saga_id: str, saga: Saga | None) -> Status | None:
        """Say where a saga stands."""
        ...

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | None) -> Status | None:
        """Wait for a saga's end."""
        ...

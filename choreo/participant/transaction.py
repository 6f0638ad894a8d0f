"""``Transaction``: what ``participant.transaction()`` gives."""

from __future__ import annotations

from typing import Any, Protocol


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

"""``Connection``: a participant's way to its store, and what is asked for through it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from choreo.outcome import SagaState, StepState
from choreo.saga import Saga

Cancellation = Literal["none", "requested", "accepted", "too-late"]
"""What became of a cancellation: there is none; it was asked for, and the log doesn't hold it yet; it stops
what would come next; or it came after what could still be stopped."""


class Wait(NamedTuple):
    """What a saga waits for, as one participant knows it.

    ``why``: a step of its own is ``queued``, ``executing``, to be tried again (``retry``) or a
    ``dead-letter``; a ``deadline`` watches the step; or an ``event`` of that type has yet to come.
    ``until`` is when the retry is due or the deadline passes.
    """

    what: str
    why: Literal["queued", "executing", "retry", "dead-letter", "deadline", "event"]
    until: datetime | None = None


@dataclass(frozen=True)
class Status:
    """Where a saga stands, as one participant knows it by now.

    ``step`` is the one that moved last, ``steps`` the state of every step that has moved, ``failed_step`` the
    one whose failure or timeout rolls the saga back, empty where there is none. ``failed`` as a state
    means failed with every compensation confirmed.
    """

    saga_id: str
    saga_type: str
    state: SagaState
    step: str
    steps: Mapping[str, StepState]
    failed_step: str
    waits_for: tuple[Wait, ...]
    cancellation: Cancellation

    @property
    def is_ended(self) -> bool:
        """Say whether the saga has ended, one way or the other."""
        return self.state in ("completed", "failed")


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

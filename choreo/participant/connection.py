"""``Connection``: how a participant reaches its store, from any process of the service.

`Participant` declares; what it is connected to opens transactions and looks sagas up.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from choreo.outcome import SagaState, StepState
from choreo.saga import Saga

Cancellation = Literal["none", "requested", "accepted", "too-late"]
"""What became of a cancellation: there is none; it was asked for, and is not in the topic yet; it stops
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
        """Whether the saga has ended, one way or the other."""
        return self.state in ("completed", "failed")


class Transaction(Protocol):
    """The caller's own local transaction, in which sagas are started and cancelled."""

    @property
    def db(self) -> Any:
        """The open database; it refuses commit and rollback."""
        ...

    def start(self, event: object, saga_id: str | None = None) -> str:
        """Start a saga with its first event; return its id.

        Nothing happens when a saga of that id has been started here before.
        """
        ...

    def cancel(self, saga_id: str, event: object) -> None:
        """Ask that a saga be cancelled; too late, it changes nothing."""
        ...


class Connection(Protocol):
    """A participant's way to its store; ``choreo.connect`` makes one.

    The participant's own methods of these names use it, and raise `ConfigurationError` where there is none.
    """

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a local transaction in which sagas can be started.

        Committed at the end of the ``with`` block, rolled back when an exception leaves it.
        """
        ...

    def status(self, saga_id: str, saga: Saga | None) -> Status | None:
        """Return where a saga stands, as this participant knows it by now; None for one it never heard of.

        ``saga`` need only be given where sagas of several types have the same id; `ConfigurationError`
        says so.
        """
        ...

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | None) -> Status | None:
        """Wait until a saga has ended, for ``timeout`` at most; return its status, whatever it then is.

        For a web request that would rather answer with the end than with "accepted". It looks at the
        store, in the calling thread: in a coroutine, use ``asyncio.to_thread``. Raises as `status`, and
        `StoreError` inside of a transaction of the same thread, which would never see the end.
        """
        ...

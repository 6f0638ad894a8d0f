"""``Connection``: a participant's access to its store, from any process of the service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from choreo.outcome import SagaState, StepState
from choreo.saga import Saga

Cancellation = Literal["none", "requested", "accepted", "too-late"]
"""The state of a saga's cancellation: there is none; it is not in the topic yet; it stops every step that has
not begun; or it came after the pivot or the end, and changes nothing."""


class Wait(NamedTuple):
    """One thing that a saga waits for, as one participant knows it.

    ``what`` is a step, or the type of an event that has yet to come (``why`` is ``event``). ``why``: the step
    is ``queued``, ``executing``, backing off (``retry``), a ``dead-letter``, or watched by a ``deadline``.
    ``until`` is when the retry is due or the deadline passes, in UTC.
    """

    what: str
    why: Literal["queued", "executing", "retry", "dead-letter", "deadline", "event"]
    until: datetime | None = None


@dataclass(frozen=True)
class Status:
    """The state of a saga and of its steps, as far as one participant has read the topic.

    ``state`` is ``started``, ``pending``, ``compensating``, ``completed`` or ``failed``, which means that
    every compensation is confirmed. ``step`` is the step that changed last, ``steps`` has the state of every
    step that has changed, ``failed_step`` is the one whose failure or timeout was the first, or empty.

    >>> from choreo.testing import Harness
    >>> from examples.orders.contract import OrderCreated
    >>> from examples.orders.inventory import inventory
    >>> from examples.orders.orders import orders, place_order
    >>> with Harness([orders, inventory]) as harness:
    ...     saga_id = place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))
    ...     harness.run()
    ...     status = orders.status(saga_id)
    >>> status.state, status.failed_step, status.is_ended
    ('failed', 'inventory.reserve_inventory', True)
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
        """Whether the saga is completed or failed."""
        return self.state in ("completed", "failed")


class Transaction(Protocol):
    """The caller's own local transaction, in which sagas are started and cancelled.

    The events are published after the commit, by the participant's worker. Source: Richardson, *Microservices
    Patterns* (2018), chapter 3, "Transactional outbox".

    >>> from choreo.testing import Harness
    >>> from examples.orders.contract import OrderCreated
    >>> from examples.orders.inventory import inventory
    >>> from examples.orders.orders import orders
    >>> order = OrderCreated("o-1", "ada", "pear", 2, 100, "12 Elm Street")
    >>> with Harness([orders, inventory]), orders.transaction() as tx:
    ...     inserted = tx.db.execute("insert into orders values ('o-1', 'placed')")
    ...     tx.start(order, saga_id="o-1")
    'o-1'
    """

    @property
    def db(self) -> Any:
        """The open database, which refuses commit and rollback; the session where one was joined."""
        ...

    def start(self, event: object, saga_id: str | None = None, saga: Saga | str | None = None) -> str:
        """Start a saga with its first event; return its id, a new one (UUID 7) where none is passed.

        ``saga``, or its name, is required only where the event starts several sagas of the participant.

        Nothing happens when the participant has started a saga with that id before. Raises
        `DeclarationError` for an event that starts no saga of the participant, or where it has no
        compensation of the start; `ConfigurationError` for an id that is empty, longer than 255 characters or
        not printable, and for an event that starts several sagas where ``saga`` names none.
        """
        ...

    def cancel(self, saga_id: str, event: object, saga: Saga | str | None = None) -> None:
        """Cancel a saga: no further step begins, and those done are compensated.

        ``saga``, or its name, is required only where the event cancels several sagas of the participant. It
        changes nothing after the pivot or the end. One that comes before the start is kept: the saga, once
        it starts, is rolled back; until then, it waits for its start. Raises `DeclarationError` for an
        event that aborts no saga of the participant, `ConfigurationError` as `start` does.
        """
        ...


class Connection(Protocol):
    """A participant's access to its store, which ``choreo.connect`` opens.

    The participant's methods of the same names call these, and raise `ConfigurationError` where it is not
    connected.
    """

    def transaction(self, within: object = None) -> AbstractContextManager[Transaction]:
        """Open a local transaction in which sagas can be started and cancelled.

        It is committed at the end of the ``with`` block, and rolled back when an exception leaves it.

        With ``within`` it joins the transaction that is open in a session or a connection of the service's
        own: a SQLAlchemy ``Session`` or ``Connection`` (of ``AsyncSession`` by ``run_sync``), the alias of a
        Django database inside of ``atomic()``, a ``sqlite3.Connection``. Then what is started and cancelled
        shares the fate of the rows that the service writes there, before, inside and after the block, whose
        end, by an exception too, neither commits nor undoes anything. Raises
        `ConfigurationError` for anything else; `StoreMismatch` for a session on another database, or on
        another participant's; `StoreError` where no transaction is open in it, where its commits are not
        synced, or where the database has no tables of choreo's yet.
        """
        ...

    def status(self, saga_id: str, saga: Saga | str | None) -> Status | None:
        """Return the status of a saga, None where the participant knows no saga with that id.

        Raises `ConfigurationError` where sagas of several types have the id, unless ``saga`` chooses one.
        """
        ...

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | str | None) -> Status | None:
        """Wait until a saga has ended, for ``timeout`` at most, and return its status then, as `status` does.

        For a web request that answers with the end of the saga. It polls the store and blocks the calling
        thread: in a coroutine, await `wait_async`. Raises as `status` does, and `StoreError` inside a
        transaction of the same thread, where the end can never be seen.
        """
        ...

    async def wait_async(self, saga_id: str, timeout: timedelta, saga: Saga | str | None) -> Status | None:
        """Wait as `wait` does, in a coroutine, without blocking its event loop.

        One thread polls the store for all coroutines that wait, and ends with the last of them. A wait that
        is cancelled leaves nothing behind. With a ``timeout`` of 0 it only reads the status.
        """
        ...

    def close(self) -> None:
        """Close what is open, and disconnect the participant; closing twice does no harm."""
        ...

"""``Context``: the saga, the step and the local transaction of one attempt of a handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from choreo import envelope
from choreo.errors import TransactionControl

if TYPE_CHECKING:
    from sqlite_utils import Database

_logger = logging.getLogger("choreo.handler")


class _NothingShared:
    """The ``ctx.shared`` of a handler that has none: a use raises `TransactionControl`."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # Python asks for these by itself
            raise AttributeError(name)
        raise TransactionControl(
            f"ctx.shared.{name} is used where nothing is shared",
            hint="it is what @participant.lifespan yields, in handlers with async def or blocking=True",
        )


NOTHING_SHARED: Any = _NothingShared()


class Sessions(Protocol):
    """The sessions of an ORM on the connection of the turn, of which a handler has one."""

    def scope(self) -> AbstractContextManager[None]:
        """Open a block for one attempt of a handler: at its end the session is flushed, and closed."""
        ...

    def open(self) -> Any:
        """Return the session of this attempt, which is opened when a handler first asks for it."""
        ...


@dataclass(frozen=True)
class Context:
    """The saga, the step and the local transaction of one attempt of a handler.

    A handler takes it as a parameter annotated with ``Context``. ``db`` is the database with the local
    transaction open: what is written through it is committed together with the event that the handler
    returns, or not at all. It refuses commit and rollback; in a handler that runs outside of any transaction,
    any use of it raises `TransactionControl`, and so does `session`. ``shared``, in such a handler alone, is
    what the participant's lifespan yields. ``attempt`` counts from 1. The runtime sets ``time_ms``, its clock
    in milliseconds since the epoch, ``extends``, which `extend` calls, ``keyed_by_id`` for sagas whose
    idempotency keys are those of an earlier choreo, which derived them without the saga type, and
    ``sessions``, of which `session` is one.

    A unit test of a handler can construct it:

    >>> ctx = Context("order-1", "inventory.reserve", "action", db=None, attempt=1, time_ms=0)
    >>> ctx.now.isoformat()
    '1970-01-01T00:00:00+00:00'
    """

    saga_id: str
    step: str
    task: str
    db: Database
    attempt: int
    time_ms: int
    extends: Callable[[timedelta], None] | None = None
    saga_type: str = ""
    keyed_by_id: bool = False
    shared: Any = NOTHING_SHARED
    sessions: Sessions | None = None

    @cached_property
    def session(self) -> Any:
        """The session of the service's ORM, as ``Participant(…, session=…)`` declares it.

        It is on the connection of ``db``: what it writes is committed together with the event that the
        handler returns, or not at all. It is flushed before the event is taken, and closed then. It refuses
        commit and rollback. Raises `TransactionControl` where none is declared, and in a handler that runs
        outside of any transaction.
        """
        if self.sessions is None:
            raise TransactionControl(
                f"{self.step} uses ctx.session, but its participant declares none",
                hint="Participant(…, session=SessionLocal), a sessionmaker of SQLAlchemy's or a Django alias",
            )
        return self.sessions.open()

    def extend(self, by: timedelta) -> None:
        """Extend the step's ``timeout`` to ``by`` from now.

        It is a heartbeat for long steps: called repeatedly while the work goes on, it lets the ``timeout`` be
        short enough to detect a step that hangs. The extension survives a crash of the service, and moves no
        deadline of a participant. Raises `TimeoutError` when the step has ended meanwhile, in which case all
        effects of this attempt are compensated; `TransactionControl` in a handler that runs inside the
        transaction.

        >>> from datetime import timedelta
        >>> def render(pages: list[str], ctx: Context) -> None:
        ...     for page in pages:
        ...         ctx.extend(timedelta(seconds=30))  # half a minute for each page
        """
        if self.extends is None:
            raise TransactionControl(
                f"{self.step} runs inside the transaction, which must not last",
                hint="declare its handler with async def, or blocking=True",
            )
        self.extends(by)

    @property
    def now(self) -> datetime:
        """The time in UTC, which is the same in a replay, unlike that of the system's clock."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)

    @property
    def idempotency_key(self) -> str:
        """A key for external APIs that is the same for every retry, replay and restart of this step.

        Source: the IETF draft "The Idempotency-Key HTTP Header Field".
        """
        saga_type = "" if self.keyed_by_id else self.saga_type
        return envelope.idempotency_key(self.saga_id, saga_type, self.step, self.task)

    @cached_property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger ``choreo.handler``, which adds ``saga_id`` and ``step`` to every line."""
        return _BoundLogger(_logger, {"saga_id": self.saga_id, "step": self.step})


class NoDatabase:
    """The ``ctx.db`` of a handler that runs outside of any transaction: a use raises `TransactionControl`."""

    def __init__(self, handler: str) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> NoReturn:
        raise TransactionControl(
            f"{self._handler} uses ctx.db.{name}, but runs outside of any transaction",
            hint="take what it needs from its event; write in an action that follows",
        )

    def __getitem__(self, name: object) -> NoReturn:
        self.__getattr__(f"[{name!r}]")


class NoSessions:
    """The sessions of a handler that runs outside of any transaction: a use raises `TransactionControl`."""

    def __init__(self, handler: str) -> None:
        self._handler = handler

    def scope(self) -> AbstractContextManager[None]:
        """Open a block for one attempt."""
        return nullcontext()

    def open(self) -> NoReturn:
        """Raise `TransactionControl`."""
        raise TransactionControl(
            f"{self._handler} uses ctx.session, but runs outside of any transaction",
            hint="open a session of the service's own, or write in an action that follows",
        )


class _BoundLogger(logging.LoggerAdapter[logging.Logger]):
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if not self.isEnabledFor(level):
            return
        bound = dict(self.extra or {})
        prefix = f"saga_id={bound['saga_id']} step={bound['step']} "
        if args:  # then it is a part of a format
            prefix = prefix.replace("%", "%%")
        kwargs["extra"] = {**bound, **(kwargs.get("extra") or {})}
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        self.logger.log(level, f"{prefix}{msg}", *args, **kwargs)

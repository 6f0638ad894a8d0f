"""``Participant``: the decorators with which a service declares its part in a saga."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Literal, TypeVar, get_overloads, overload

from choreo.errors import ConfigurationError
from choreo.participant.connection import Connection, Status, Transaction
from choreo.participant.declarations import Declarations
from choreo.participant.external import External, externals_of, refuse_unfit
from choreo.participant.handler import Handler, Task
from choreo.participant.lifespan import Lifespan, lifespan_of
from choreo.participant.refusals import refuse_bad_sagas, refuse_bad_values
from choreo.participant.roles import Edges, Roles, roles_of
from choreo.protocol import Role
from choreo.retry import Retry
from choreo.saga import ALL_VERSIONS, Saga, StartStep, Versions

F = TypeVar("F", bound=Callable[..., Any])


class Participant:
    """A service's part in one or more sagas: a name, and the handlers decorated with it.

    ``name`` can't be changed later: it is part of step names and event sources, and is the consumer group.
    ``retry`` is the default for its handlers. ``prepare`` is called with the open database, in a transaction,
    whenever a process begins to use the store, to create the service's own tables. ``session`` opens what
    handlers have as ``ctx.session``: a ``sessionmaker`` of SQLAlchemy's, or the alias of a Django database.
    ``external`` are the events that it imports from other topics, or exports to them. Raises
    `DeclarationError` for a bad name, for no saga, or for sagas that share a name or a topic.

    >>> from choreo import Context, Saga, event
    >>> @event
    ... class Asked:
    ...     question: str
    >>> @event
    ... class Answered:
    ...     answer: int
    >>> @event
    ... class Unanswerable:
    ...     reason: str
    >>> quiz = Saga("quiz", starts=Asked, completes=Answered, fails=Unanswerable)
    >>> sage = Participant("sage", sagas=[quiz])
    >>> @sage.action(kind="retriable")
    ... def ponder(event: Asked, ctx: Context) -> Answered:
    ...     return Answered(42)
    >>> [handler.name for handler in sage.handlers]
    ['sage.ponder']
    """

    def __init__(
        self,
        name: str,
        *,
        sagas: Iterable[Saga],
        retry: Retry | None = None,
        prepare: Callable[[Any], None] | None = None,
        session: Callable[..., Any] | str | None = None,
        external: Iterable[External] = (),
    ) -> None:
        refuse_bad_values(name, sagas, retry, prepare, session)
        self.name = name
        self.sagas = tuple(sagas)
        refuse_bad_sagas(name, self.sagas)
        self.retry = retry or Retry()
        self.prepare = prepare
        self.session = session
        self.external = externals_of(name, external, self.sagas)
        self._exports = _exports(self.external)
        self._declarations = Declarations(name, self.sagas, self.retry)
        self._edges: dict[str, list[tuple[Versions, Edges]]] = {}
        self._opens: Lifespan | None = None
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"Participant({self.name!r})"

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Every declared handler, in the order of declaration."""
        return self._declarations.handlers

    @property
    def events(self) -> tuple[type, ...]:
        """Every event class that this participant reads or writes, and those of its sagas' contracts."""
        imported = (external.event for external in self.external)
        return tuple(dict.fromkeys((*self._declarations.events, *imported)))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it reads: those of its sagas, and those from which it imports."""
        imports = (external.topic for external in self.external if external.is_import)
        return tuple(dict.fromkeys((*(saga.topic for saga in self.sagas), *imports)))

    def saga(self, saga: Saga | str) -> Saga:
        """Return one of its sagas, which may be given by name. Raises `ConfigurationError` for another."""
        for own in self.sagas:
            if saga is own or saga == own.name:
                return own
        raise ConfigurationError(
            f"saga={saga!r} is no saga of {self.name}", hint=f"its sagas: {', '.join(map(repr, self.sagas))}"
        )

    def exports(self, name: str) -> tuple[str, ...]:
        """Return the topics to which an event is exported, in addition to that of its saga."""
        return self._exports.get(name, ())

    def roles(self) -> dict[str, Role]:
        """Return the protocol's view of each saga in its newest version, by the saga's name.

        Raises `DeclarationError` as `roles_by_version` does.
        """
        return self.roles_by_version().newest

    def roles_by_version(self) -> Roles:
        """Return the protocol's view of each saga in each version.

        Raises `DeclarationError` when an action that needs a compensation has none, when a compensation names
        no event and `derive` was not called, when no handler emits an event that is exported, and when an
        imported event starts a saga that no handler can end.
        """
        refuse_unfit(self.name, self.external, self.handlers)
        return Roles(
            {
                saga.name: roles_of(self.name, saga, self.handlers, self._edges.get(saga.name, ()))
                for saga in self.sagas
            }
        )

    @property
    def is_derived(self) -> bool:
        """Whether any compensation names no event, so that its trigger follows from the choreography."""
        return any(handler.derived for handler in self.handlers)

    @property
    def knows_rollback(self) -> bool:
        """Whether it is known what calls each compensation that names no event."""
        return not self.is_derived or all(saga.name in self._edges for saga in self.sagas)

    def derive(self, saga: str, edges: Edges, versions: Versions = ALL_VERSIONS) -> None:
        """Set the triggers of the compensations that name no event, for one saga in some of its versions.

        ``edges`` are the reverse edges of the saga's graph (R7). ``choreo run``, `choreo.connect` and the
        test kit derive them from the whole choreography.
        """
        others = [each for each in self._edges.get(saga, ()) if not each[0].both(versions)]
        self._edges = {**self._edges, saga: [*others, (versions, edges)]}

    @overload
    def action(self, function: F, /) -> F: ...

    @overload
    def action(
        self,
        *,
        fails: type | tuple[type, ...] = (),
        kind: Literal["compensatable", "pivot", "retriable"] = "compensatable",
        timeout: timedelta | None = timedelta(minutes=5),
        retry: Retry | None = None,
        on: Any = None,
        emits: Any = None,
        saga: Saga | None = None,
        answer: Callable[..., Any] | None = None,
        blocking: bool = False,
        partial: bool | None = None,
        since: int | None = None,
        until: int | None = None,
        formerly: str | tuple[str, ...] = (),
    ) -> Callable[[F], F]: ...

    def action(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare an action, which takes an event, does its local work, and returns the next event.

        ``fails``: the events that mean failure, the first being the answer to a refusal.
        ``kind``: ``compensatable`` (needs a compensation), ``pivot`` (the point of no return) or
        ``retriable`` (can't fail, is retried until it succeeds). ``timeout`` counts from the timestamp of the
        trigger's record (a retriable action has none). ``on`` and ``emits`` override the annotations;
        ``answer``, called with the trigger's events and ``reason=``, builds the failure event where its
        fields can't be copied from the trigger's.

        A plain function runs inside the local transaction. An ``async def``, or a function with
        ``blocking=True`` (in a thread of its own), runs outside of any transaction, and may call slow
        external services. ``partial`` (the default for what runs outside): an attempt that raised or was cut
        off may have had effects, so it is compensated before the failure is published. ``since`` and
        ``until`` bound the versions of the saga in which the step exists (`Saga`), for its compensation too.
        ``formerly``: the name that the function had, or several, newest first. The oldest one is the step's
        identity for good, so that sagas in flight and other participants see no rename.

        Raises `DeclarationError` for a declaration that could not work. Source of the kinds: Richardson,
        *Microservices Patterns* (2018), chapter 4.

        >>> from examples.orders.contract import InventoryReserved, InventoryUnavailable, OrderCreated
        >>> from examples.orders.contract import order_fulfilment
        >>> stock = Participant("stock", sagas=[order_fulfilment])
        >>> @stock.action(fails=InventoryUnavailable, timeout=timedelta(minutes=2))
        ... def reserve(event: OrderCreated) -> InventoryReserved:
        ...     return InventoryReserved(event.order_id, event.customer, event.total, event.address)
        """
        return self._decorator("action", function, options)

    # Overloads (at least two are required) let a missing ``of=`` be refused at run time, with place and hint.
    @overload
    def compensation(
        self,
        *,
        of: StartStep,
        on: Any = None,
        retry: Retry | None = None,
        ignore: type[Exception] | tuple[type[Exception], ...] = (),
        answer: Callable[..., Any] | None = None,
        blocking: bool = False,
    ) -> Callable[[F], F]: ...

    @overload
    def compensation(
        self,
        *,
        of: Callable[..., Any] | str,
        on: Any = None,
        retry: Retry | None = None,
        ignore: type[Exception] | tuple[type[Exception], ...] = (),
        answer: Callable[..., Any] | None = None,
        blocking: bool = False,
    ) -> Callable[[F], F]: ...

    def compensation(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare the compensation of an action of this participant, which undoes what the action did.

        ``of``: the decorated action, its name, or ``saga.start``. Its trigger is derived from the whole
        choreography: every step that the action led to has failed or is compensated. Only where it reads the
        event that calls it, an event parameter names that event, and `Aborted` for a call without one (by
        the saga's first failure or a timeout). A parameter annotated with the action's success event takes
        that event. ``ignore``: exceptions that mean that there is nothing left to undo. ``answer`` builds the
        compensated event where no attempt did. An ``async def``, or ``blocking=True``, runs outside of any
        transaction, as for `action`.

        Raises `DeclarationError` for a declaration that could not work. Source: Garcia-Molina and Salem,
        *Sagas* (SIGMOD 1987).

        >>> from examples.orders.contract import InventoryReserved, InventoryUnavailable, OrderCreated
        >>> from examples.orders.contract import ReservationReleased, order_fulfilment
        >>> stock = Participant("stock", sagas=[order_fulfilment])
        >>> @stock.action(fails=InventoryUnavailable)
        ... def reserve(event: OrderCreated) -> InventoryReserved:
        ...     return InventoryReserved(event.order_id, event.customer, event.total, event.address)
        >>> @stock.compensation(of=reserve)
        ... def release(reserved: InventoryReserved) -> ReservationReleased:
        ...     return ReservationReleased(reserved.order_id)
        """
        return self._decorator("compensation", function, options)

    @overload
    def observer(self, function: F, /) -> F: ...

    @overload
    def observer(
        self,
        *,
        on: Any = None,
        retry: Retry | None = None,
        saga: Saga | None = None,
        since: int | None = None,
        until: int | None = None,
        formerly: str | tuple[str, ...] = (),
    ) -> Callable[[F], F]: ...

    def observer(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare an observer, which takes events and returns none, such as a read model or a notification.

        ``since`` and ``until`` bound the versions of the saga that it is of. ``formerly`` are the names that
        the function had, as for `action`.

        Raises `DeclarationError` for a declaration that could not work.

        >>> from examples.orders.contract import OrderFailed, OrderFulfilled, order_fulfilment
        >>> reporting = Participant("reporting", sagas=[order_fulfilment])
        >>> @reporting.observer
        ... def count(event: OrderFulfilled | OrderFailed) -> None: ...
        """
        return self._decorator("observer", function, options)

    @overload
    def deadline(
        self,
        *,
        of: str,
        within: timedelta,
        after: Any = None,
        retry: Retry | None = None,
        saga: Saga | None = None,
        since: int | None = None,
        until: int | None = None,
        formerly: str | tuple[str, ...] = (),
    ) -> Callable[[F], F]: ...

    @overload
    def deadline(
        self,
        *,
        of: Callable[..., Any],
        within: timedelta,
        after: Any = None,
        retry: Retry | None = None,
        saga: Saga | None = None,
        since: int | None = None,
        until: int | None = None,
        formerly: str | tuple[str, ...] = (),
    ) -> Callable[[F], F]: ...

    def deadline(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare a deadline, which times out a step without an outcome in time: the saga rolls back.

        ``of``: the step as ``"participant.function"``, of any participant of the saga, or an own action.
        ``within`` counts from the timestamp of the record that arms it, an event of the event parameter (or
        of ``after``). The handler returns the step's ``timed_out`` event. The order of the topic decides
        whether that or the step's own outcome is first. A pivot or a retriable step takes no deadline.
        ``since`` and ``until`` bound the versions of the saga that it is of. ``formerly`` are the names that
        the function had, as for `action`.

        Raises `DeclarationError` for a declaration that could not work.

        >>> from examples.travel.contract import RoomTimedOut, TripRequested, trip
        >>> agency = Participant("agency", sagas=[trip])
        >>> @agency.deadline(of="hotel.book_room", within=timedelta(seconds=2))
        ... def room_is_late(event: TripRequested) -> RoomTimedOut:
        ...     return RoomTimedOut(event.trip_id)
        """
        return self._decorator("deadline", function, options)

    def lifespan(self, function: F, /) -> F:
        """Declare what calls share, such as an HTTP client: an async function that opens it and yields it.

        It is entered on the event loop of the worker's calls before the worker begins, and left after the
        calls have ended. What it yields is ``ctx.shared`` in handlers that run outside of the transaction.
        Raises `DeclarationError` for a second one, and for any other function.

        >>> from choreo.testing import Harness
        >>> from examples.orders.contract import order_fulfilment
        >>> stock = Participant("stock", sagas=[order_fulfilment])
        >>> @stock.lifespan
        ... async def client():
        ...     print("opened")
        ...     yield "the client"
        ...     print("closed")
        >>> Harness([stock]).close()
        opened
        closed
        """
        self._opens = lifespan_of(self.name, function, self._opens)
        return function

    @property
    def opens(self) -> Lifespan | None:
        """Its lifespan as the factory of a context manager, or None."""
        return self._opens

    def with_handlers(self, handlers: Iterable[Handler]) -> Participant:
        """Return a copy with other handlers, which are not checked; the copy is not connected.

        The test kit wraps the functions of a service with it, and makes participants from manifests.
        """
        other = copy.copy(self)
        other._declarations = self._declarations.with_handlers(handlers)
        other._connection = None
        return other

    @property
    def connection(self) -> Connection | None:
        """The connection to the participant's store, or None."""
        return self._connection

    def connect(self, connection: Connection | None) -> None:
        """Set the connection to the store, or remove it; called by ``choreo.connect``."""
        self._connection = connection

    def close(self) -> None:
        """Close the connection to the store, where there is one; the end of the process does so, too."""
        if self._connection is not None:
            self._connection.close()

    def transaction(self, within: object = None) -> AbstractContextManager[Transaction]:
        """Open a local transaction in which sagas are started and cancelled; see `Connection.transaction`.

        ``within`` is a session, or a connection, of the service's own, whose transaction it joins.
        """
        return self._connected().transaction(within)

    def status(self, saga_id: str, saga: Saga | str | None = None) -> Status | None:
        """Return the status of a saga, None for an unknown one; see `Connection.status`."""
        return self._connected().status(saga_id, saga)

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | str | None = None) -> Status | None:
        """Wait until a saga has ended, for ``timeout`` at most; see `Connection.wait`."""
        return self._connected().wait(saga_id, timeout, saga)

    async def wait_async(
        self, saga_id: str, timeout: timedelta, saga: Saga | str | None = None
    ) -> Status | None:
        """Wait until a saga has ended, in a coroutine; see `Connection.wait_async`."""
        return await self._connected().wait_async(saga_id, timeout, saga)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise ConfigurationError(
                f"{self.name} is not connected to its store",
                hint=f'call choreo.connect({self.name}, store="{self.name}.db") when the process starts',
            )
        return self._connection

    def _decorator(self, task: Task, function: Any, options: dict[str, Any]) -> Any:
        def decorate(decorated: F) -> F:
            self._declarations.add(task, decorated, options)
            return decorated

        return decorate if function is None else decorate(function)


def _exports(externals: Iterable[External]) -> dict[str, tuple[str, ...]]:
    topics: dict[str, tuple[str, ...]] = {}
    for external in externals:
        if not external.is_import:
            topics[external.name] = (*topics.get(external.name, ()), external.topic)
    return topics


# What `help` and editors show of an overloaded method: its options, not ``**options``.
_decorators: tuple[Any, ...] = (
    Participant.action,
    Participant.compensation,
    Participant.observer,
    Participant.deadline,
)
for _decorator in _decorators:
    _decorator.__signature__ = inspect.signature(get_overloads(_decorator)[-1])

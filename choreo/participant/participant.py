"""``Participant``: the decorators with which a service declares its part in a saga."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Literal, TypeVar, overload

from choreo.errors import ConfigurationError
from choreo.participant.connection import Connection, Status, Transaction
from choreo.participant.declarations import Declarations
from choreo.participant.external import External, externals_of, refuse_unfit
from choreo.participant.handler import Handler, Task
from choreo.participant.refusals import refuse_bad_sagas, refuse_bad_values
from choreo.participant.roles import Edges, role_of
from choreo.protocol import Role
from choreo.retry import Retry
from choreo.saga import Saga, StartStep

F = TypeVar("F", bound=Callable[..., Any])


class Participant:
    """A service's part in one or more sagas: a name, and the handlers decorated with it.

    ``name`` is the service's for good: it stands in step names, in event sources and as the consumer
    group. ``retry`` is the default for its handlers. ``prepare`` is called with the open database, in a
    transaction, whenever a process begins to use the store: the place to make the service's own tables.
    ``external`` are the events that it imports from other topics, or exports to them.

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
        external: Iterable[External] = (),
    ) -> None:
        refuse_bad_values(name, sagas, retry, prepare)
        self.name = name
        self.sagas = tuple(sagas)
        refuse_bad_sagas(name, self.sagas)
        self.retry = retry or Retry()
        self.prepare = prepare
        self.external = externals_of(name, external, self.sagas)
        self._exports = _exports(self.external)
        self._declarations = Declarations(name, self.sagas, self.retry)
        self._edges: dict[str, Edges] = {}
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"Participant({self.name!r})"

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Every declared handler, in the order of declaration."""
        return self._declarations.handlers

    @property
    def events(self) -> tuple[type, ...]:
        """Every event class that this participant reads or writes, and the contracts' own."""
        imported = (external.event for external in self.external)
        return tuple(dict.fromkeys((*self._declarations.events, *imported)))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it reads: its sagas', and those from which it imports."""
        imports = (external.topic for external in self.external if external.is_import)
        return tuple(dict.fromkeys((*(saga.topic for saga in self.sagas), *imports)))

    def exports(self, name: str) -> tuple[str, ...]:
        """Return the topics that an event is exported to, beside its saga's."""
        return self._exports.get(name, ())

    def roles(self) -> dict[str, Role]:
        """Return the protocol's view of each saga, by the saga's name.

        Raises `DeclarationError` when an action that needs a compensation has none, when a compensation names
        no event and `derive` was not called, when no handler emits an event that is exported, and when an
        imported event starts a saga that no handler can end.
        """
        refuse_unfit(self.name, self.external, self.handlers)
        return {
            saga.name: role_of(self.name, saga, self.handlers, self._edges.get(saga.name, {}))
            for saga in self.sagas
        }

    @property
    def is_derived(self) -> bool:
        """Whether a compensation of it names no event, so that its trigger follows from the choreography."""
        return any(handler.derived for handler in self.handlers)

    def derive(self, saga: str, edges: Edges) -> None:
        """Set what calls the compensations of a saga that name no event.

        ``edges`` are the reverse edges of its graph (R7). ``choreo run``, `choreo.connect` and the test kit
        call this with those of the whole choreography.
        """
        self._edges[saga] = edges

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
    ) -> Callable[[F], F]: ...

    def action(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare an action: it reacts to an event, does its local work, and returns the next event.

        ``fails``: the events that mean failure, the first being the answer to a refusal.
        ``kind``: ``compensatable`` (needs a compensation), ``pivot`` (the point of no return) or
        ``retriable`` (can't fail, is retried until it succeeds). ``timeout`` counts from the trigger's
        record in the topic (a retriable action has none). ``on`` and ``emits`` override the annotations;
        ``answer``, called with the trigger's events and ``reason=``, builds the failure event where its
        fields can't be copied from the trigger's.

        An ``async def``, or a function with ``blocking=True`` (in a thread of its own), runs outside of any
        transaction: it may call the world, slowly. ``partial`` says whether an attempt that raised or was
        cut off may have had effects, which are compensated before the failure is published; it is True by
        default for what runs outside.

        Raises `DeclarationError` for a declaration that could not work.
        """
        return self._decorator("action", function, options)

    # Two signatures, although one would do: so that a missing ``of=`` is refused with place and hint.
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
        """Declare the compensation of an action of this participant: it undoes what the action did.

        ``of``: the decorated action, its name, or ``saga.start``. Where it names no event, the whole
        choreography says what calls it: the end of every step that the action led to. An event parameter
        names what calls it, where it reads that event; `Aborted` stands for a call without one (by the saga's
        first failure or a timeout). A parameter annotated with the action's success event takes that event.
        ``ignore``: exceptions that mean "already gone". ``answer`` builds the compensated event where no
        attempt did, as it builds an action's failure. An ``async def``, or ``blocking=True``, runs outside of
        any transaction, as an action may.

        Raises `DeclarationError` for a declaration that could not work.
        """
        return self._decorator("compensation", function, options)

    @overload
    def observer(self, function: F, /) -> F: ...

    @overload
    def observer(
        self, *, on: Any = None, retry: Retry | None = None, saga: Saga | None = None
    ) -> Callable[[F], F]: ...

    def observer(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare an observer: it takes events and returns none, as a read model or a notification does.

        Raises `DeclarationError` for a declaration that could not work.
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
    ) -> Callable[[F], F]: ...

    def deadline(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare a deadline: a step that has no outcome in time is timed out, and the saga rolls back.

        ``of``: the step, ``"participant.function"`` of any participant of the saga, or an own action.
        ``within`` counts from the record of the event that arms it, which is its event parameter's (or
        ``after``'s). It returns the event that says so; the order of the topic decides whether the step's own
        outcome came first. A pivot or a retriable step takes no deadline.

        Raises `DeclarationError` for a declaration that could not work.
        """
        return self._decorator("deadline", function, options)

    def with_handlers(self, handlers: Iterable[Handler]) -> Participant:
        """Return a copy with these handlers instead, which are not checked; it is not connected.

        The test kit so wraps the functions of a service, and makes a participant from a manifest.
        """
        twin = copy.copy(self)
        twin._declarations = self._declarations.with_handlers(handlers)
        twin._connection = None
        return twin

    @property
    def connection(self) -> Connection | None:
        """The connection to its store, if it has one."""
        return self._connection

    def connect(self, connection: Connection | None) -> None:
        """Set its way to its store, or take it away; ``choreo.connect`` does this."""
        self._connection = connection

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a local transaction in which sagas can be started; see `Connection.transaction`."""
        return self._connected().transaction()

    def status(self, saga_id: str, saga: Saga | None = None) -> Status | None:
        """Return where a saga stands, None for one it never heard of; see `Connection.status`."""
        return self._connected().status(saga_id, saga)

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | None = None) -> Status | None:
        """Wait until a saga has ended, for ``timeout`` at most; see `Connection.wait`."""
        return self._connected().wait(saga_id, timeout, saga)

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

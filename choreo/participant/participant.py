"""``Participant``: the decorators with which a service declares its part in a saga."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Never, Protocol, TypeVar, overload

from choreo.errors import ConfigurationError, DeclarationError
from choreo.event import event_name
from choreo.outcome import COMPENSATABLE, RETRIABLE, START, Kind
from choreo.participant import refusals
from choreo.participant.condition import event_classes, trigger_of
from choreo.participant.handler import Handler, Parameter, Task
from choreo.participant.roles import role_of
from choreo.participant.signature import (
    condition_of,
    hints_of,
    parameters_of,
    place_of,
    returned_classes,
)
from choreo.protocol import Role, Trigger
from choreo.retry import Retry
from choreo.saga import Saga, StartStep

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_FIVE_MINUTES = timedelta(minutes=5)


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


class Participant:
    """A service's part in one or more sagas: a name, and the handlers decorated with it.

    ``name`` is the service's for good: it stands in step names, in event sources and as the consumer
    group. ``retry`` is the default for its handlers. ``prepare`` is called with the open database, in a
    transaction, whenever a process begins to use the store: the place to make the service's own tables.

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
        sagas: list[Saga],
        retry: Retry | None = None,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise DeclarationError(
                f"Participant({name!r}): not a participant's name",
                hint="a small letter, then small letters, digits, '_' and '-', 64 at most",
            )
        if not sagas:
            raise DeclarationError(f"Participant({name!r}): it takes part in no saga", hint="give sagas=[…]")
        for attribute in ("name", "topic"):
            refusals.refuse_twice(f"Participant({name!r})", [getattr(saga, attribute) for saga in sagas])
        self.name = name
        self.sagas = tuple(sagas)
        self.retry = retry or Retry()
        self.prepare = prepare
        self._handlers: dict[str, Handler] = {}
        self._opens: Callable[[], AbstractContextManager[Transaction]] | None = None

    def __repr__(self) -> str:
        return f"Participant({self.name!r})"

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Every declared handler, in the order of declaration."""
        return tuple(self._handlers.values())

    @property
    def events(self) -> tuple[type, ...]:
        """Every event class that this participant reads or writes, and the contracts' own."""
        classes = dict.fromkeys(cls for saga in self.sagas for cls in saga.events)
        classes.update(dict.fromkeys(cls for handler in self.handlers for cls in handler.classes))
        return tuple(classes)

    def roles(self) -> dict[str, Role]:
        """Give the protocol's view of each saga, by the saga's name.

        Raises `DeclarationError` when an action that needs a compensation has none.
        """
        return {saga.name: role_of(self.name, saga, self.handlers) for saga in self.sagas}

    @overload
    def action(self, function: F, /) -> F: ...

    @overload
    def action(
        self,
        *,
        fails: type | tuple[type, ...] = (),
        kind: Kind = COMPENSATABLE,
        timeout: timedelta | None = _FIVE_MINUTES,
        retry: Retry | None = None,
        on: Any = None,
        emits: Any = None,
        saga: Saga | None = None,
        answer: Callable[..., Any] | None = None,
    ) -> Callable[[F], F]: ...

    def action(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare an action: it reacts to an event, does its local work, and returns the next event.

        ``fails``: the events that mean failure, the first being the answer to a refusal.
        ``kind``: ``compensatable`` (needs a compensation), ``pivot`` (the point of no return) or
        ``retriable`` (can't fail, is retried until it succeeds). ``timeout`` counts from the trigger's
        record in the log (a retriable action has none). ``on`` and ``emits`` override the annotations;
        ``answer`` builds the failure event where its fields can't be copied from the trigger's.

        Raises `DeclarationError` for a declaration that could not work.
        """
        return self._decorator("action", function, options, self._action)

    def compensation(
        self,
        *,
        of: Callable[..., Any] | StartStep | str,
        on: Any = None,
        retry: Retry | None = None,
        ignore: type[BaseException] | tuple[type[BaseException], ...] = (),
        answer: Callable[..., Any] | None = None,
        **unknown: Never,
    ) -> Callable[[F], F]:
        """Declare the compensation of an action of this participant: it undoes what the action did.

        ``of``: the decorated action, its name, or ``saga.start``. What calls it are its event
        parameters; `Aborted` alone for a step that no later step can fail. A parameter annotated with
        the action's success event takes that event. ``ignore``: exceptions that mean "already gone".

        Raises `DeclarationError` for a declaration that could not work.
        """
        options = {"of": of, "on": on, "retry": retry, "ignore": ignore, "answer": answer, **unknown}
        decorator: Callable[[F], F] = self._decorator("compensation", None, options, self._compensation)
        return decorator

    @overload
    def observer(self, function: F, /) -> F: ...

    @overload
    def observer(
        self,
        *,
        on: Any = None,
        retry: Retry | None = None,
        saga: Saga | None = None,
    ) -> Callable[[F], F]: ...

    def observer(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Declare an observer: it sees events and returns none, as a read model or a notice does.

        Raises `DeclarationError` for a declaration that could not work.
        """
        return self._decorator("observer", function, options, self._observer)

    def connect(self, opens: Callable[[], AbstractContextManager[Transaction]]) -> None:
        """Say how `transaction` opens the participant's store; ``choreo.connect`` does this."""
        self._opens = opens

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a local transaction in which sagas can be started, from any process of the service.

        Committed at the end of the ``with`` block, rolled back when an exception leaves it. Raises
        `ConfigurationError` before ``choreo.connect``.
        """
        if self._opens is None:
            raise ConfigurationError(
                f"{self.name} is not connected to its store",
                hint=f'call choreo.connect({self.name}, store="{self.name}.db") when the process starts',
            )
        return self._opens()

    def _decorator(
        self,
        task: Task,
        function: Any,
        options: dict[str, Any],
        declare: Callable[..., Handler],
    ) -> Any:
        if function is not None and not callable(function):
            raise DeclarationError(f"@{self.name}.{task} takes options by name", hint="fails=…, kind=…")

        def decorate(decorated: F) -> F:
            with _placed(self.name, task, decorated):
                refusals.refuse_unknown(task, options)
                refusals.refuse_async(decorated)
                handler = declare(decorated, **options)
                self._add(handler)
            return decorated

        return decorate(function) if function is not None else decorate

    def _add(self, handler: Handler) -> None:
        if handler.name in self._handlers:
            other = self._handlers[handler.name]
            raise DeclarationError(f"{handler.name} is declared already at {other.place}", hint="rename one")
        refusals.refuse_shared_outcome(handler, self.handlers)
        self._handlers[handler.name] = handler

    def _action(
        self,
        function: Callable[..., Any],
        *,
        fails: type | tuple[type, ...] = (),
        kind: Kind = COMPENSATABLE,
        timeout: timedelta | None = _FIVE_MINUTES,
        retry: Retry | None = None,
        on: Any = None,
        emits: Any = None,
        saga: Saga | None = None,
        answer: Callable[..., Any] | None = None,
    ) -> Handler:
        hints = hints_of(function)
        failing = fails if isinstance(fails, tuple) else (fails,)
        parameters = parameters_of(function, hints)
        returned = returned_classes(hints, emits)
        chosen = self._saga(saga)
        handler = Handler(
            name=f"{self.name}.{function.__name__}",
            task="action",
            step=f"{self.name}.{function.__name__}",
            saga=chosen,
            function=function,
            place=place_of(function),
            parameters=parameters,
            trigger=self._trigger(chosen, parameters, on),
            emits={event_name(cls): cls for cls in (*returned, *failing)},
            fails=failing,
            kind=kind,
            timeout=None if kind == RETRIABLE else timeout,
            retry=retry or self.retry,
            answer=answer,
        )
        refusals.refuse_bad_action(handler)
        return handler

    def _compensation(
        self,
        function: Callable[..., Any],
        *,
        of: Callable[..., Any] | StartStep | str,
        on: Any = None,
        retry: Retry | None = None,
        ignore: type[BaseException] | tuple[type[BaseException], ...] = (),
        answer: Callable[..., Any] | None = None,
    ) -> Handler:
        hints = hints_of(function)
        step, chosen, results = self._undone(of)
        parameters = tuple(
            p._replace(is_result=bool(p.classes) and set(p.classes) <= set(results))
            for p in parameters_of(function, hints)
        )
        returned = returned_classes(hints, None)
        handler = Handler(
            name=f"{self.name}.{function.__name__}",
            task="compensation",
            step=step,
            saga=chosen,
            function=function,
            place=place_of(function),
            parameters=parameters,
            trigger=self._trigger(chosen, tuple(p for p in parameters if not p.is_result), on),
            emits={event_name(cls): cls for cls in returned},
            retry=retry or self.retry,
            ignore=ignore if isinstance(ignore, tuple) else (ignore,),
            answer=answer,
        )
        refusals.refuse_bad_compensation(handler, self.handlers)
        return handler

    def _observer(
        self,
        function: Callable[..., Any],
        *,
        on: Any = None,
        retry: Retry | None = None,
        saga: Saga | None = None,
    ) -> Handler:
        hints = hints_of(function)
        parameters = parameters_of(function, hints)
        chosen = self._saga(saga)
        handler = Handler(
            name=f"{self.name}.{function.__name__}",
            task="observer",
            step=f"{self.name}.{function.__name__}",
            saga=chosen,
            function=function,
            place=place_of(function),
            parameters=parameters,
            trigger=self._trigger(chosen, parameters, on),
            emits={event_name(cls): cls for cls in returned_classes(hints, None)},
            retry=retry or self.retry,
        )
        refusals.refuse_bad_observer(handler)
        return handler

    def _saga(self, saga: Saga | None) -> Saga:
        if saga is None:
            if len(self.sagas) == 1:
                return self.sagas[0]
            names = ", ".join(repr(each.name) for each in self.sagas)
            raise DeclarationError(f"{self.name} takes part in several sagas", hint=f"give saga=: {names}")
        if saga not in self.sagas:
            raise DeclarationError(f"{self.name} does not take part in {saga!r}", hint="add it to sagas=[…]")
        return saga

    def _trigger(self, saga: Saga, parameters: tuple[Parameter, ...], on: Any) -> Trigger:
        condition = condition_of(parameters, on)
        for cls in event_classes(condition):
            refusals.refuse_foreign(saga, cls)
        if on is not None:
            refusals.refuse_unfilled(parameters, event_classes(on))
        return trigger_of(condition)

    def _undone(self, of: Callable[..., Any] | StartStep | str) -> tuple[str, Saga, tuple[type, ...]]:
        """Resolve ``of=``: the step, its saga, and the success events that it may have emitted."""
        if isinstance(of, StartStep):
            return START, self._saga(of.saga), (of.saga.starts,)
        for handler in self.handlers:
            if handler.task == "action" and (
                handler.function is of or of in (handler.name, handler.name.partition(".")[2])
            ):
                refusals.refuse_final(handler)
                return handler.step, handler.saga, tuple(handler.successes.values())
        steps = [handler.name.partition(".")[2] for handler in self.handlers if handler.task == "action"]
        wanted = of if isinstance(of, str) else getattr(of, "__name__", repr(of))
        close = get_close_matches(str(wanted), steps, n=1)
        raise DeclarationError(
            f"of={wanted}: no such action of {self.name}",
            hint=f"did you mean {close[0]!r}?" if close else f"its actions: {', '.join(steps) or 'none yet'}",
        )


@contextmanager
def _placed(participant: str, task: Task, function: Callable[..., Any]) -> Iterator[None]:
    """Say in every refusal which handler it is about, and where that is written."""
    try:
        yield
    except DeclarationError as error:
        where = f"{place_of(function)}: @{participant}.{task} {getattr(function, '__name__', function)}"
        raise DeclarationError(f"{where}: {error.message}", hint=error.hint) from None

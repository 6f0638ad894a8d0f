"""``Declarations``: the handlers of one participant, made from decorated functions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from choreo.errors import DeclarationError, did_you_mean
from choreo.events import event_name
from choreo.outcome import START
from choreo.participant import refusals
from choreo.participant.clashes import refuse_clashes, refuse_same_names
from choreo.participant.handler import Handler, Task, names_of
from choreo.participant.options import Options, is_partial, read_options, where_it_runs
from choreo.participant.signature import (
    condition_of,
    hints_of,
    name_of,
    names_no_event,
    parameters_of,
    place_of,
    refuse_database,
    refuse_unplain,
    returned_classes,
)
from choreo.participant.triggers import NOTHING, event_classes, trigger_of
from choreo.retry import Retry
from choreo.saga import ALL_VERSIONS, Saga, StartStep, Versions


class Subject(NamedTuple):
    """The step that a handler is for; ``results`` are the success events that a compensation may undo.

    ``versions`` are those of the saga in which this participant has the step.
    """

    step: str
    saga: Saga
    results: tuple[type, ...] = ()
    versions: Versions = ALL_VERSIONS


class Declarations:
    """The handlers of one participant; each is checked when it is declared."""

    def __init__(self, participant: str, sagas: tuple[Saga, ...], retry: Retry) -> None:
        self._participant = participant
        self._sagas = sagas
        self._retry = retry
        self._handlers: dict[str, Handler] = {}
        refuse_same_names(self.events)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Every handler, in the order of declaration."""
        return tuple(self._handlers.values())

    def with_handlers(self, handlers: Iterable[Handler]) -> Declarations:
        """Return a copy with other handlers, which are not checked."""
        twin = copy.copy(self)
        twin._handlers = {handler.name: handler for handler in handlers}
        return twin

    @property
    def events(self) -> tuple[type, ...]:
        """Every event class that the handlers and the contracts name."""
        classes = dict.fromkeys(cls for saga in self._sagas for cls in saga.events)
        classes.update(dict.fromkeys(cls for handler in self.handlers for cls in handler.classes))
        return tuple(classes)

    def add(self, task: Task, function: Callable[..., Any], given: dict[str, Any]) -> None:
        """Declare a function, with the options of its decorator.

        Raises `DeclarationError`, with the handler's name and place, for a declaration that could not work.
        """
        place = place_of(function)
        try:
            handler = self._handler(task, function, read_options(task, given))
            refusals.refuse(handler)
            refuse_clashes(handler, self.handlers)
        except DeclarationError as error:
            where = f"{place}: @{self._participant}.{task} {name_of(function)}"
            raise DeclarationError(f"{where}: {error.message}", hint=error.hint) from None
        self._handlers[handler.name] = handler

    def _handler(self, task: Task, function: Callable[..., Any], options: Options) -> Handler:
        refuse_unplain(function)
        runs = where_it_runs(task, function, options)
        name = f"{self._participant}.{name_of(function)}"
        identity = names_of(name, options.formerly)[-1]
        subject = self._subject(task, identity, options)
        hints = hints_of(function)
        parameters = parameters_of(function, hints, subject.results)
        returned = returned_classes(hints, options.emits)
        derived = task == "compensation" and names_no_event(parameters, options.on)
        condition = NOTHING if derived else condition_of(parameters, options.on)
        callers = tuple(dict.fromkeys(event_classes(condition)))
        refuse_same_names((*self.events, *callers, *returned, *options.fails))
        trigger = trigger_of(condition)
        refusals.refuse_uncallable(subject.saga, parameters, callers, trigger)
        if runs != "inside":
            refuse_database(function, parameters)
        return Handler(
            name=name,
            task=task,
            step=subject.step,
            saga=subject.saga,
            function=function,
            place=place_of(function),
            parameters=parameters,
            trigger=trigger,
            callers=callers,
            emits={event_name(cls): cls for cls in (*returned, *options.fails)},
            fails=options.fails,
            kind=options.kind,
            timeout=options.timeout,
            retry=options.retry or self._retry,
            ignore=options.ignore,
            answer=options.answer,
            within=options.within,
            runs=runs,
            partial=is_partial(options, task, runs),
            derived=derived,
            versions=refusals.versions_of(subject.saga, subject.step, subject.versions, options),
            formerly=options.formerly,
        )

    def _subject(self, task: Task, identity: str, options: Options) -> Subject:
        if task == "deadline":
            return self._watched(options)
        if task != "compensation":
            return Subject(identity, self._saga(options.saga))
        if isinstance(options.of, StartStep):
            return Subject(START, self._saga(options.of.saga), (options.of.saga.starts,))
        action = self._action(options.of)
        refusals.refuse_final(action)
        return Subject(action.step, action.saga, tuple(action.successes.values()), action.versions)

    def _watched(self, options: Options) -> Subject:
        """Return the step that a deadline watches, named in full or by an action of this participant."""
        foreign = isinstance(options.of, str) and "." in options.of
        if foreign and not options.of.startswith(f"{self._participant}."):
            refusals.refuse_bad_step(options.of)
            return Subject(options.of, self._saga(options.saga))
        action = self._action(options.of)
        refusals.refuse_unwatchable(action)
        return Subject(action.step, action.saga, versions=action.versions)

    def _saga(self, saga: Saga | None) -> Saga:
        if saga is None and len(self._sagas) == 1:
            return self._sagas[0]
        if saga is None:
            names = ", ".join(repr(each.name) for each in self._sagas)
            raise DeclarationError(f"{self._participant} takes part in several sagas", hint=f"saga=: {names}")
        if saga not in self._sagas:
            raise DeclarationError(
                f"{self._participant} does not take part in {saga!r}", hint="add it to sagas=[…]"
            )
        return saga

    def _action(self, of: Any) -> Handler:
        """Return the action that ``of=`` names: the decorated function, or its name of today or before."""
        actions = {h.name.partition(".")[2]: h for h in self.handlers if h.task == "action"}
        for short, handler in actions.items():
            if handler.function == of or of in (short, *handler.formerly, *handler.names):
                return handler
        wanted = of if isinstance(of, str) else name_of(of)
        raise DeclarationError(
            f"of={wanted}: no such action of {self._participant}",
            hint=did_you_mean(wanted, actions, "its actions"),
        )

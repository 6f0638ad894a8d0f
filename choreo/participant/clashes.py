"""Checks of a handler against the others of its participant: names, outcomes, cycles, compensations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from choreo.errors import DeclarationError
from choreo.events import event_name
from choreo.outcome import START
from choreo.participant.answers import calls_of, refuse_unanswerable
from choreo.participant.handler import Handler
from choreo.saga import spans

Others = Sequence[Handler]


def refuse_twice(where: str, names: Sequence[str]) -> None:
    """Refuse a name that is given twice."""
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"{where}: {name!r} is given twice", hint="names must differ")


def refuse_clashes(handler: Handler, others: Others) -> None:
    """Refuse a handler that contradicts one of ``others``, those declared before it."""
    if handler.task == "compensation":
        _refuse_clashing_compensation(handler, others)
    for other in others if handler.task == "deadline" else ():
        if _is_called_by(other, handler):
            _refuse_needing_an_event(other, handler)
    _refuse_clash(handler, others)
    _refuse_shared_outcome(handler, others)
    everyone = (*others, handler)
    for span in spans(handler.saga.version, (each.versions for each in everyone)):
        _refuse_cycle([each for each in everyone if each.versions.includes(span.since)])


def _refuse_clashing_compensation(handler: Handler, others: Others) -> None:
    _refuse_own_outcome(handler, others)
    for other in others:
        if _is_called_by(handler, other):
            _refuse_needing_an_event(handler, other)
    for other in others:
        if other.step == handler.step and other.saga is handler.saga:
            _refuse_rival(handler, other)
        if other.step == handler.step and other.task == "action":
            refuse_unanswerable(next(iter(handler.emits.values())), handler.answer, *calls_of(other))
            _refuse_needing_a_result(handler, other)


def _refuse_clash(handler: Handler, others: Others) -> None:
    for other in others:
        if other.name == handler.name:
            raise DeclarationError(f"{handler.name} is declared already at {other.place}", hint="rename one")
        _refuse_shared_name(handler, other)


def _refuse_shared_name(handler: Handler, other: Handler) -> None:
    """Refuse a former name that is, or was, another handler's: nobody could say whose the rows of it are."""
    for name in handler.names:
        if name in other.names:
            holder, claimant = (handler, other) if name == handler.name else (other, handler)
            tense = "is" if name == holder.name else "was"
            raise DeclarationError(
                f"{claimant.name} was formerly {name!r}, which {tense} {holder.name} at {holder.place}, too",
                hint="a name belongs to one handler for good: give the other one a name that none had",
            )


def refuse_same_names(classes: Iterable[type]) -> None:
    """Refuse two event classes with the same full name, which a topic could not distinguish."""
    known: dict[str, type] = {}
    for cls in classes:
        other = known.setdefault(event_name(cls), cls)
        if other is not cls:
            raise DeclarationError(
                f"{event_name(cls)} is the name of two classes: {_origin(other)} and {_origin(cls)}",
                hint="import the one, or give the other a namespace or name of its own",
            )


def _origin(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _refuse_shared_outcome(handler: Handler, others: Others) -> None:
    """Refuse an outcome event that is already one of another step of the saga."""
    for other in others:
        if other.saga is not handler.saga or not other.versions.both(handler.versions):
            continue
        shared = sorted(set(handler.emits) & set(other.emits))
        if shared and not (handler.task == other.task == "compensation" and handler.step == other.step):
            raise DeclarationError(
                f"{shared[0]} is an outcome of {other.name} already",
                hint="an outcome event belongs to one step: give each its own, or other versions of the saga",
            )


def _refuse_cycle(handlers: Others) -> None:
    """Refuse an action that its own consequences would trigger."""
    for action in handlers:
        if action.task != "action":
            continue
        mates = [handler for handler in handlers if handler.saga is action.saga]
        back = sorted(action.trigger.types & _consequences(action.step, mates))
        if back:
            raise DeclarationError(
                f"{back[0]} triggers {action.name}, of which it is a consequence",
                hint="a step runs once in a saga: no cycles",
            )


def _consequences(step: str, handlers: Others) -> frozenset[str]:
    """Return the outcomes of a step and of all actions that they trigger, directly or indirectly."""
    steps = {step}
    while True:
        outcomes = frozenset(name for h in handlers if h.step in steps for name in h.emits)
        triggered = {h.step for h in handlers if h.task == "action" and h.trigger.types & outcomes}
        if triggered <= steps:
            return outcomes
        steps |= triggered


def _refuse_needing_a_result(compensation: Handler, action: Handler) -> None:
    """Refuse a compensation that requires what a partial attempt may lack: a result, or a calling event."""
    if not action.partial:
        return
    where = f"{action.name} may have had effects when it raised or was cut off, and then"
    switch = f"or partial=False at {action.place}"
    result = compensation.result_parameter
    if result is not None and not result.optional:
        raise DeclarationError(
            f"{where} parameter {result.name!r} has no event",
            hint=f"annotate it with … | None, {switch}",
        )
    for parameter in compensation.event_parameters:
        if not (parameter.admits_aborted or parameter.optional):
            raise DeclarationError(
                f"{where} no event fills parameter {parameter.name!r}",
                hint=f"annotate it with … | Aborted, {switch}",
            )
    if result is not None and not set(action.successes) <= set(result.types):
        raise DeclarationError(
            f"{where} nobody can say which of several compensations undoes it",
            hint=f"declare one for all of its success events, {switch}",
        )


def _is_called_by(compensation: Handler, deadline: Handler) -> bool:
    tasks = (deadline.task, compensation.task)
    return tasks == ("deadline", "compensation") and deadline.step == compensation.step


def _refuse_needing_an_event(compensation: Handler, deadline: Handler) -> None:
    """Refuse a compensation that requires an event, where a deadline calls it without one."""
    for parameter in compensation.event_parameters:
        if not (parameter.admits_aborted or parameter.optional):
            raise DeclarationError(
                f"{deadline.name} can time {deadline.step} out, and then no event fills parameter "
                f"{parameter.name!r} of {compensation.name}",
                hint=f"annotate it with … | Aborted at {compensation.place}",
            )


def _refuse_rival(handler: Handler, other: Handler) -> None:
    if other.task != "compensation":
        return
    if not handler.results or not other.results or handler.results & other.results:
        raise DeclarationError(
            f"{other.name} compensates {handler.step} already",
            hint="one compensation an action, or one for each of its success events",
        )


def _refuse_own_outcome(handler: Handler, others: Others) -> None:
    outcomes = {name for h in (handler, *others) if h.step == handler.step for name in h.emits}
    if handler.step == START:
        outcomes.add(event_name(handler.saga.starts))
    own = sorted(handler.trigger.types & outcomes)
    if own:
        raise DeclarationError(
            f"{own[0]} is an outcome of {handler.step} itself, so it can't call its compensation",
            hint="name the outcomes of the steps that follow, or Aborted for a step that none follows",
        )

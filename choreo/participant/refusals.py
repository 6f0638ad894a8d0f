"""What an action, a compensation, an observer or a deadline is refused for, each with a hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from choreo.errors import DeclarationError
from choreo.events import Aborted, event_name
from choreo.outcome import COMPENSATABLE, RETRIABLE, START
from choreo.participant.answer import refuse_unanswerable
from choreo.participant.handler import Handler, Parameter, Task
from choreo.participant.outside import refuse_unpartial
from choreo.protocol import Trigger
from choreo.saga import Saga

Others = Sequence[Handler]


def refuse(handler: Handler, others: Others) -> None:
    """Refuse a handler that could not work; ``others`` are those declared before it."""
    _refuse_emitted(handler)
    _refuse_own_earlier(handler)
    _OF_TASK[handler.task](handler, others)


def _refuse_own_earlier(handler: Handler) -> None:
    own = sorted(handler.earlier & set(handler.emits))
    if own:
        raise DeclarationError(
            f"{own[0]} can't come before the handler that emits it", hint="drop it from Earlier[…]"
        )


def refuse_foreign(saga: Saga, cls: type) -> None:
    """Refuse an event that isn't of the saga."""
    if cls is not Aborted and not saga.owns(cls):
        raise DeclarationError(
            saga.foreign(cls), hint="declare the event in that namespace, or add its to Saga(namespaces=…)"
        )


def refuse_uncallable(
    saga: Saga, parameters: tuple[Parameter, ...], callers: Sequence[type], trigger: Trigger
) -> None:
    """Refuse what calls a handler: a foreign event, or one that leaves an event parameter empty."""
    for cls in callers:
        refuse_foreign(saga, cls)
    for parameter in parameters:
        if parameter.is_caller:
            _refuse_unfilled(parameter, callers, trigger)
        elif parameter.is_earlier:
            _refuse_never_earlier(saga, parameter)


def _refuse_never_earlier(saga: Saga, parameter: Parameter) -> None:
    for cls in parameter.classes:
        refuse_foreign(saga, cls)
        if cls is Aborted:
            raise DeclarationError(
                "Aborted is never in the log, so it never came earlier",
                hint=f"annotate {parameter.name} with Aborted alone, in a compensation",
            )


def _refuse_unfilled(parameter: Parameter, callers: Sequence[type], trigger: Trigger) -> None:
    if not set(parameter.classes) <= {*callers, Aborted}:
        raise DeclarationError(
            f"parameter {parameter.name!r} takes events that on= does not name",
            hint="name them in on=, or drop them from the annotation",
        )
    for call in trigger.alternatives:
        _refuse_empty(parameter, call)
    if Aborted in callers:
        _refuse_empty(parameter, frozenset())


def _refuse_empty(parameter: Parameter, call: frozenset[str]) -> None:
    """Refuse a parameter that a call leaves empty; the call without events is `Aborted`'s."""
    filled = not call.isdisjoint(parameter.types) if call else parameter.admits_aborted
    if not filled and not parameter.optional:
        raise DeclarationError(
            f"parameter {parameter.name!r} is empty when {' and '.join(sorted(call)) or 'Aborted'} calls it",
            hint=f"annotate it with … | {'None' if call else 'Aborted'}, or join the events with all_of",
        )


def refuse_final(action: Handler) -> None:
    """Refuse to compensate what is never undone."""
    if action.kind != COMPENSATABLE:
        raise DeclarationError(
            f"{action.name} is {action.kind}: it is never compensated", hint="drop the compensation"
        )


def refuse_unwatchable(action: Handler) -> None:
    """Refuse a deadline on what can't be undone."""
    if action.kind != COMPENSATABLE:
        raise DeclarationError(
            f"{action.name} is {action.kind}: nobody may time it out, as it can't be undone",
            hint="give a pivot a timeout= of its own, or drop the deadline",
        )


def refuse_bad_step(step: str) -> None:
    """Refuse what can't be the full name of a step, ``participant.function``."""
    participant, _, function = step.partition(".")
    if not participant or not function.isidentifier():
        raise DeclarationError(
            f"of={step!r} is not the name of a step", hint='for example of="payments.charge"'
        )


def _refuse_bad_deadline(handler: Handler, others: Others) -> None:
    _refuse_aborted(handler)
    if len(handler.emits) != 1:
        raise DeclarationError(
            "a deadline returns one event, which says that the step had no outcome in time",
            hint="annotate that one, for example -> PaymentTimedOut",
        )
    for other in others:
        if _is_undone_by(handler, other):
            _refuse_not_admitting(other, handler)


def _refuse_bad_action(handler: Handler, others: Others) -> None:
    _refuse_aborted(handler)
    _refuse_bad_failures(handler)
    if not handler.successes:
        raise DeclarationError("it returns no success event", hint="annotate what it returns: -> Reserved")
    if handler.fails:
        refuse_unanswerable(handler.fails[0], handler.answer, _callers(handler), _most(handler))


def _refuse_bad_failures(handler: Handler) -> None:
    if handler.kind != RETRIABLE and not handler.fails:
        raise DeclarationError(
            f"a {handler.kind} action needs a failure event: it answers with it when it is refused",
            hint="give fails=…, or kind='retriable' for one that can't fail",
        )
    if handler.kind == RETRIABLE and (handler.fails or handler.answer):
        raise DeclarationError(
            "a retriable action can't fail",
            hint=f"drop {'fails' if handler.fails else 'answer'}=, or choose another kind",
        )


def _refuse_bad_observer(handler: Handler, others: Others) -> None:
    _refuse_aborted(handler)
    if handler.emits:
        raise DeclarationError(
            f"an observer returns nothing, not {next(iter(handler.emits))}", hint="make it an action"
        )


def _refuse_aborted(handler: Handler) -> None:
    if Aborted in handler.callers:
        raise DeclarationError(
            f"Aborted calls no {handler.task}, only compensations",
            hint="name the event that calls it, for example the saga's fails event",
        )


def _refuse_bad_compensation(handler: Handler, others: Others) -> None:
    if len(handler.emits) != 1:
        raise DeclarationError(
            "a compensation always ends in one event, its compensated one",
            hint="annotate that one, for example -> Released",
        )
    _refuse_own_outcome(handler, others)
    for other in others:
        if _is_undone_by(other, handler):
            _refuse_not_admitting(handler, other)
    answer = next(iter(handler.emits.values()))
    if handler.step == START:
        _refuse_other_end(handler.saga, answer)
        refuse_unanswerable(answer, handler.answer, (handler.saga.starts,), 1)
    for other in others:
        if other.step == handler.step and other.saga is handler.saga:
            _refuse_rival(handler, other)
        if other.step == handler.step and other.task == "action":
            refuse_unanswerable(answer, handler.answer, _callers(other), _most(other))
            refuse_unpartial(handler, other)


def _is_undone_by(deadline: Handler, compensation: Handler) -> bool:
    tasks = (deadline.task, compensation.task)
    return tasks == ("deadline", "compensation") and deadline.step == compensation.step


def _refuse_not_admitting(compensation: Handler, deadline: Handler) -> None:
    """Refuse a compensation that a deadline calls, with no event of another step, and that needs one."""
    for parameter in compensation.event_parameters:
        if not (parameter.admits_aborted or parameter.optional):
            raise DeclarationError(
                f"{deadline.name} can time {deadline.step} out, and then no event fills parameter "
                f"{parameter.name!r} of {compensation.name}",
                hint=f"annotate it with … | Aborted at {compensation.place}",
            )


def _refuse_other_end(saga: Saga, answer: type) -> None:
    if answer is not saga.fails:
        raise DeclarationError(
            f"the compensation of the start ends the saga in {event_name(saga.fails)}, "
            f"not in {event_name(answer)}",
            hint=f"-> {saga.fails.__name__}",
        )


def _refuse_rival(handler: Handler, other: Handler) -> None:
    if other.task != "compensation":
        return
    served, others_served = _served(handler), _served(other)
    if not served or not others_served or served & others_served:
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


def _served(handler: Handler) -> set[str]:
    result = handler.result_parameter
    return set(result.types) if result else set()


def _callers(action: Handler) -> tuple[type, ...]:
    return tuple(cls for cls in action.callers if cls is not Aborted)


def _most(action: Handler) -> int:
    """Give the number of events in the longest join that calls an action."""
    return max(len(alternative) for alternative in action.trigger.alternatives)


def _refuse_emitted(handler: Handler) -> None:
    """Refuse outcomes that are not the handler's to give."""
    saga = handler.saga
    owners = {Aborted: "choreo", saga.starts: "whoever starts the saga", saga.aborts: "whoever cancels it"}
    for name, cls in handler.emits.items():
        if cls in owners:
            raise DeclarationError(
                f"{name} is given by {owners[cls]}, not by a handler", hint="return an event of its own"
            )
        refuse_foreign(saga, cls)


_OF_TASK: dict[Task, Callable[[Handler, Others], None]] = {
    "action": _refuse_bad_action,
    "compensation": _refuse_bad_compensation,
    "observer": _refuse_bad_observer,
    "deadline": _refuse_bad_deadline,
}

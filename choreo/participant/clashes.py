"""Where a handler and the others of its participant contradict each other: names, outcomes, cycles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from choreo.errors import DeclarationError
from choreo.events import event_name
from choreo.participant.handler import Handler

Others = Sequence[Handler]


def refuse_twice(where: str, names: Sequence[str]) -> None:
    """Refuse a name that is given twice."""
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"{where}: {name!r} is given twice", hint="names must differ")


def refuse_clashes(handler: Handler, others: Others) -> None:
    """Refuse a handler that can't stand beside ``others``, those declared before it."""
    _refuse_clash(handler, others)
    _refuse_shared_outcome(handler, others)
    _refuse_cycle((*others, handler))


def _refuse_clash(handler: Handler, others: Others) -> None:
    for other in others:
        if other.name == handler.name:
            raise DeclarationError(f"{handler.name} is declared already at {other.place}", hint="rename one")


def refuse_twins(classes: Iterable[type]) -> None:
    """Refuse two event classes of one full name: on the wire they would be one."""
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
    """Refuse an outcome event that another step of the saga has already."""
    for other in others:
        if other.saga is not handler.saga:
            continue
        shared = sorted(set(handler.emits) & set(other.emits))
        if shared and not (handler.task == other.task == "compensation" and handler.step == other.step):
            raise DeclarationError(
                f"{shared[0]} is an outcome of {other.name} already",
                hint="an outcome event belongs to one step: give each its own",
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
    """Give every outcome of a step, and of the actions that those trigger, and so on."""
    steps = {step}
    while True:
        outcomes = frozenset(name for h in handlers if h.step in steps for name in h.emits)
        triggered = {h.step for h in handlers if h.task == "action" and h.trigger.types & outcomes}
        if triggered <= steps:
            return outcomes
        steps |= triggered

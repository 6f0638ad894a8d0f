"""Generates code to paste: a compensation, or its ``def`` line, with the triggers that R7 requires."""

from __future__ import annotations

import re
from collections.abc import Iterator

from choreo.events import short_name
from choreo.graph import RequiredTrigger, SagaGraph, Step, required_trigger
from choreo.manifest import HandlerEntry
from choreo.manifest.manifest import ParameterEntry
from choreo.outcome import START

ABORTED = "Aborted"


def definition(graph: SagaGraph, step: Step, undo: HandlerEntry, needs: RequiredTrigger) -> tuple[str, ...]:
    """Return the ``def`` line of a compensation with the triggers that it needs."""
    aborted = undo.aborted or any(deadline.step == step.name for deadline in graph.deadlines)
    known = [each for each in undo.parameters if each.role == "event"]
    events = list(_events(_slots(graph, step, undo, needs), known, aborted))
    others = [_written(each) for each in undo.parameters if each.role != "event"]
    if not undo.parameters:
        others = ["…"]
    returned = " | ".join(short_name(name) for name in undo.emits.successes)
    begin = "async def" if undo.runs == "coroutine" else "def"
    function = undo.name.partition(".")[2]
    line = f"{begin} {function}({', '.join([*events, *others])}) -> {returned}:"
    return (line,) if not _is_overridden(undo) else (f"# without on= in its decorator:\n{line}",)


def compensation(graph: SagaGraph, step: Step, success: str, owner: str) -> tuple[str, ...]:
    """Return a compensation for a success event of a step that no compensation undoes."""
    needs = required_trigger(graph, success)
    watched = any(deadline.step == step.name for deadline in graph.deadlines)
    partial = bool(step.handler and step.handler.partial)
    slots = [(after.name, answers) for after, answers in needs.answers]
    named = [ParameterEntry("event", "event")]
    events = _events(slots, named, watched or partial)
    function = step.name.partition(".")[2] or f"fail_{graph.name.replace('-', '_')}"
    prelude: tuple[str, ...] = ()
    if step.name == START:
        of, returned = "saga.start", short_name(graph.contract.fails)
        done = "started"
    else:
        of, done = function, participle(short_name(success))
        returned = _awaited(graph, step) or f"{class_name(function)}Undone"
        prelude = () if _awaited(graph, step) else event_class(returned, graph.contract.starts)
        function = f"undo_{function}"
    result = f"{done}: {short_name(success)}{' | None' if partial else ''}"
    head = f"@{owner}.compensation(of={of})"
    line = f"def {function}({', '.join([*events, result, 'ctx: Context'])}) -> {returned}: ..."
    return (*prelude, head, line)


def _awaited(graph: SagaGraph, step: Step) -> str:
    """Return the one event that compensations before a step wait for and no step emits; else empty."""
    before = [
        each
        for each in graph.steps.values()
        if any(step in graph.successors(success) for success in each.successes)
    ]
    triggers = (option for each in before for undo in each.compensations for option in undo.trigger)
    missing = {name for option in triggers for name in option if name not in graph.outcome}
    return short_name(missing.pop()) if len(missing) == 1 else ""


Slot = tuple[str, tuple[str, ...]]
"""A step that has to end first, and the events that end it."""


def _slots(graph: SagaGraph, step: Step, undo: HandlerEntry, needs: RequiredTrigger) -> list[Slot]:
    """Return what a compensation waits for; if it undoes several success events, what follows any of them.

    Where two of these fork, one compensation can't wait for both: then it waits for what follows the first.
    """
    served = [
        required_trigger(graph, success)
        for success in step.successes
        if step.compensation_for(success) is undo
    ]
    if all(len(each.answers) == 1 for each in served):
        ends = dict.fromkeys(name for each in served for _, names in each.answers for name in names)
        return [(needs.answers[0][0].name, tuple(ends))]
    return [(after.name, names) for after, names in needs.answers]


def _events(slots: list[Slot], known: list[ParameterEntry], aborted: bool) -> Iterator[str]:
    """Return a parameter for each step whose end is waited for, under the name that it already has."""
    if not slots:
        yield f"{known[0].name if known else 'event'}: {ABORTED}"
        return
    free = list(known)
    for number, (step, answers) in enumerate(slots):
        fitting = [each for each in free if set(each.types) & set(answers)]
        of_others = {name for _, names in slots[number + 1 :] for name in names}
        unclaimed = [each for each in free if not set(each.types) & of_others]
        chosen = next(iter((*fitting, *unclaimed)), None)
        if chosen:
            free.remove(chosen)
        name = chosen.name if chosen else f"{step.partition('.')[2]}_ended" if known else "event"
        classes = [*map(short_name, answers), *([ABORTED] if aborted else [])]
        yield f"{name}: {' | '.join(classes)}"


def _written(parameter: ParameterEntry) -> str:
    if parameter.role == "context":
        return f"{parameter.name}: Context"
    classes = " | ".join(short_name(name) for name in parameter.types)
    if parameter.role == "earlier":
        classes = f"Earlier[{classes}]"
    return f"{parameter.name}: {classes}{' | None' if parameter.optional else ''}"


def _is_overridden(undo: HandlerEntry) -> bool:
    """Whether ``on=`` overrides the triggers that its parameters name."""
    slots = [frozenset(each.types) for each in undo.parameters if each.role == "event" and each.types]
    if not undo.parameters or undo.derived:
        return False
    named = frozenset().union(*slots)
    is_join = any(len(option) > 1 for option in undo.trigger)
    return named != frozenset().union(*undo.trigger) or is_join != (len(slots) > 1)


def class_name(function: str) -> str:
    """Return the name of a function as that of a class.

    >>> class_name("reserve_stock")
    'ReserveStock'
    """
    return "".join(part.capitalize() for part in function.split("_"))


def participle(event: str) -> str:
    """Return a name for the parameter of an event: its last word, mostly a participle.

    >>> participle("InventoryReserved")
    'reserved'
    """
    words = re.findall(r"[A-Z][a-z0-9]*", event)
    return words[-1].lower() if words else "done"


def event_class(name: str, like: str) -> tuple[str, ...]:
    """Return the declaration of a new event, in the namespace of another one."""
    namespace = like.rpartition(".")[0]
    options = f'(namespace="{namespace}")' if namespace else ""
    return (f"@event{options}", f"class {name}:", '    """Undone; give it the fields that you need."""', "")

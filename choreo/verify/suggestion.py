"""Generates code to paste: a compensation, or the ``def`` line of a handler, as its module can compile it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence

from choreo.events import short_name
from choreo.graph import RequiredTrigger, SagaGraph, Step, required_trigger, trigger_of
from choreo.manifest import HandlerEntry
from choreo.manifest.manifest import ParameterEntry
from choreo.outcome import START
from choreo.verify.case import Case
from choreo.verify.code import Code, Names, function_head

ABORTED = "choreo.Aborted"
CONTEXT = "choreo.Context"
EARLIER = "choreo.Earlier"

Slot = tuple[str, tuple[str, ...]]
"""A step that has to end first, and the events that end it."""


def names_at(case: Case, handler: HandlerEntry) -> Names:
    """Return the names of the module in which a handler stands."""
    return Names(case.choreography, handler.participant, handler.place.rpartition(":")[0])


def definition(case: Case, step: Step, undo: HandlerEntry, needs: RequiredTrigger) -> Code:
    """Return the ``def`` line of a compensation with the triggers that it needs.

    Where these are what it names already, or where one trigger can't serve all the success events that it
    undoes, it names no event: then choreo derives what calls it.
    """
    names = names_at(case, undo)
    slots = _slots(case.graph, step, undo, needs)
    aborted = undo.aborted or _may_be_cut_off(case.graph, step)
    known = [each for each in undo.parameters if each.role == "event"]
    events: list[str] = []
    if slots is not None and not _stands_there(undo, slots, aborted):
        events = list(_events(names, slots, known, aborted))
    others = _others(names, undo)
    head = f"{_begin(undo)} {undo.name.partition('.')[2]}"
    returned = " | ".join(names.events(undo.emits.successes))
    lines = function_head(head, [*events, *others], f"{returned}:")
    return Code((*_head(case, undo), *lines), names.imports)


def _may_be_cut_off(graph: SagaGraph, step: Step) -> bool:
    """Whether a step may have to be undone that has not ended: its compensation's event is an `Aborted`."""
    return bool(step.handler and step.handler.partial) or any(
        deadline.step == step.name for deadline in graph.deadlines
    )


def _head(case: Case, undo: HandlerEntry) -> tuple[str, ...]:
    """Return the decorator of a compensation where its ``on=`` has to go."""
    if not _is_overridden(undo):
        return ()
    known = (manifest.heads.get(undo.name) for manifest in case.choreography.manifests)
    return (next(filter(None, known), None) or "# without on= in its decorator:",)


def signature(case: Case, handler: HandlerEntry, parameters: Sequence[ParameterEntry]) -> Code:
    """Return the ``def`` line of a handler with other parameters."""
    names = names_at(case, handler)
    written = [
        _written(names, each, handler.aborted and handler.task == "compensation") for each in parameters
    ]
    returned = names.events((*handler.emits.successes, *handler.emits.failures))
    head = f"{_begin(handler)} {handler.name.partition('.')[2]}"
    return Code(function_head(head, written, f"{' | '.join(returned) or 'None'}:"), names.imports)


def compensation(case: Case, step: Step, successes: Sequence[str], names: Names) -> Code:
    """Return a compensation for success events of a step that no compensation undoes."""
    graph = case.graph
    partial = bool(step.handler and step.handler.partial)
    edges = [required_trigger(graph, success) for success in successes]
    events: list[str] = []
    if len({each.slots for each in edges}) == 1:  # else choreo derives what calls it
        slots = [(after.name, answers) for after, answers in edges[0].answers]
        events = list(_events(names, slots, [ParameterEntry("event", "event")], _may_be_cut_off(graph, step)))
    taken = {each.partition(":")[0] for each in events} | {"ctx"}
    result = f"{participle(short_name(successes[0]), taken)}: {' | '.join(names.events(successes))}"
    prelude: tuple[str, ...] = ()
    if step.name == START:
        of, function = f"{names.saga(graph.name)}.start", "fail_" + re.sub(r"\W", "_", graph.name)
        returned = names.event(graph.contract.fails)
    else:
        of = step.function
        function = f"undo_{of}"
        awaited = _awaited(graph, step)
        returned = names.event(awaited) if awaited else names.local(_unused(case, f"{class_name(of)}Undone"))
        prelude = () if awaited else event_class(names.event("choreo.event"), returned, graph.contract.starts)
    while any(handler.name == f"{names.participant}.{function}" for handler in graph.handlers):
        function = f"{function}_again"
    head = f"@{names.variable()}.compensation(of={of})"
    given = [*events, f"{result}{' | None' if partial else ''}", f"ctx: {names.event(CONTEXT)}"]
    lines = function_head(f"def {function}", given, f"{returned}: ...")
    return Code((*prelude, head, *lines), names.imports)


def joined(case: Case, action: HandlerEntry, slots: Sequence[Sequence[str]]) -> Code:
    """Return the ``def`` line of an action that waits for one event of each slot."""
    known = [each for each in action.parameters if each.role == "event"]
    taken = {each.name for each in action.parameters}
    events: list[ParameterEntry] = []
    for number, types in enumerate(slots):
        own = next((each.name for each in known if set(each.types) & set(types)), "") if not number else ""
        name = own or participle(short_name(types[0]), taken)
        taken.add(name)
        events.append(ParameterEntry(name, "event", tuple(types)))
    others = [each for each in action.parameters if each.role != "event"]
    return signature(case, action, [*events, *(others or [ParameterEntry("ctx", "context")])])


def _unused(case: Case, name: str) -> str:
    """Return a class name that no event of the choreography has."""
    known = {short_name(event) for manifest in case.choreography.manifests for event in manifest.schemas}
    while name in known:
        name = f"{name}Again"
    return name


def _awaited(graph: SagaGraph, step: Step) -> str:
    """Return the one event that compensations before a step wait for and no step emits; else empty."""
    before = [
        each
        for each in graph.steps.values()
        if any(step in graph.successors(success) for success in each.successes)
    ]
    triggers = (undo.trigger for each in before for undo in each.compensations)
    missing = {name for trigger in triggers for name in trigger.types if name not in graph.outcome}
    return missing.pop() if len(missing) == 1 else ""


def _slots(graph: SagaGraph, step: Step, undo: HandlerEntry, needs: RequiredTrigger) -> list[Slot] | None:
    """Return what a compensation waits for; None where it undoes success events that need other triggers.

    Of several success events that one step each follows, it waits for any of these.
    """
    served = [
        required_trigger(graph, success)
        for success in step.successes
        if step.compensation_for(success) is undo
    ]
    if len({each.slots for each in served}) <= 1:
        return [(after.name, names) for after, names in needs.answers]
    if all(len(each.answers) == 1 for each in served):
        ends = dict.fromkeys(name for each in served for _, names in each.answers for name in names)
        return [(needs.answers[0][0].name, tuple(ends))]
    return None


def _stands_there(undo: HandlerEntry, slots: list[Slot], aborted: bool) -> bool:
    """Whether a compensation names these events already."""
    wanted = trigger_of(tuple(frozenset(names) for _, names in slots))
    return undo.aborted >= aborted and undo.trigger == wanted


def _events(names: Names, slots: list[Slot], known: list[ParameterEntry], aborted: bool) -> Iterator[str]:
    """Return a parameter for each step whose end is waited for, under the name that it already has."""
    if not slots:
        yield f"{known[0].name if known else 'event'}: {names.event(ABORTED)}"
        return
    free = list(known)
    for number, (step, answers) in enumerate(slots):
        fitting = [each for each in free if set(each.types) & set(answers)]
        of_others = {name for _, others in slots[number + 1 :] for name in others}
        unclaimed = [each for each in free if not set(each.types) & of_others]
        chosen = next(iter((*fitting, *unclaimed)), None)
        if chosen:
            free.remove(chosen)
        name = chosen.name if chosen else f"{step.partition('.')[2]}_ended" if len(slots) > 1 else "event"
        yield f"{name}: {' | '.join(names.events((*answers, *([ABORTED] if aborted else []))))}"


def _others(names: Names, undo: HandlerEntry) -> list[str]:
    """Return the parameters of a compensation that don't call it; an older manifest has none."""
    others = [each for each in undo.parameters if each.role != "event"]
    if not undo.parameters:
        done = ParameterEntry("done", "result", tuple(sorted(undo.results)), undo.optional_result)
        others = [*([done] if undo.results else []), ParameterEntry("ctx", "context")]
    return [_written(names, each, False) for each in others]


def _begin(handler: HandlerEntry) -> str:
    return "async def" if handler.runs == "coroutine" else "def"


def _written(names: Names, parameter: ParameterEntry, aborted: bool) -> str:
    if parameter.role == "context":
        return f"{parameter.name}: {names.event(CONTEXT)}"
    admits = [ABORTED] if aborted and parameter.role == "event" else []
    classes = " | ".join(names.events((*parameter.types, *admits)))
    if parameter.role == "earlier":
        classes = f"{names.event(EARLIER)}[{classes}]"
    return f"{parameter.name}: {classes}{' | None' if parameter.optional else ''}"


def _is_overridden(undo: HandlerEntry) -> bool:
    """Whether ``on=`` overrides the triggers that its parameters name."""
    slots = [frozenset(each.types) for each in undo.parameters if each.role == "event" and each.types]
    if not undo.parameters or undo.derived:
        return False
    named = frozenset().union(*slots)
    return named != undo.trigger.types or undo.trigger.is_join != (len(slots) > 1)


def class_name(function: str) -> str:
    """Return the name of a function as that of a class.

    >>> class_name("reserve_stock")
    'ReserveStock'
    """
    return "".join(part[:1].upper() + part[1:] for part in function.split("_"))


def participle(event: str, taken: set[str] | frozenset[str] = frozenset()) -> str:
    """Return a name for the parameter of an event: its last word, mostly a participle, or else all of it.

    >>> participle("StockReserved"), participle("StockReserved", {"reserved"}), participle("TaxReturn")
    ('reserved', 'stock_reserved', 'tax_return')
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", event)] or [
        "done"
    ]
    names = [*(words[-1:] if words[-1].isidentifier() else []), "_".join(words), f"{'_'.join(words)}_event"]
    free = (
        name for name in names if name not in taken and name.isidentifier() and not keyword.iskeyword(name)
    )
    return next(free, "done")


def event_class(decorator: str, name: str, like: str) -> tuple[str, ...]:
    """Return the declaration of a new event, in the namespace of another one."""
    namespace = like.rpartition(".")[0]
    options = f'(namespace="{namespace}")' if namespace else ""
    return (
        f"@{decorator}{options}",
        f"class {name}:",
        '    """Undone; give it the fields that you need."""',
        "",
    )

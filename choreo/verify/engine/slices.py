"""Slices: small sagas cut from a large one, in which every pair of parallel branches meets.

How two branches interfere shows in the two alone: where they part, what each does, where they join. So a
slice keeps one way to the fork and two ways from it to the end. Of a row of steps that no deadline or choice
depends on, two stand for all. The compensations of a slice have derived triggers, since the rules have
compared the declared ones with these. Isomorphic slices are searched once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, combinations

from choreo.graph import SagaGraph, Step
from choreo.graph.reverse_edges import resolved
from choreo.manifest import Alternatives, HandlerEntry, in_order
from choreo.outcome import COMPENSATABLE, START
from choreo.verify.engine.budget import unlimited

WHOLE = 8
"""A saga of up to so many steps, rows cut short, is searched whole."""

_SMALL = 24
_WINDOW = 3
_MAX_WAYS = 4

Ways = tuple[str, tuple[str, ...], tuple[str, ...]]
"""The step that leads to a fork, and two ways from there; the second is empty in a row."""


def slices(graph: SagaGraph, check: Callable[[], None] = unlimited) -> Iterator[SagaGraph]:
    """Return the slices of a saga, or the saga itself where it is small; each shape once.

    ``check`` is called for each slice, and raises where there is no more time.
    """
    whole = _forward(graph)
    if len(whole.steps) <= _SMALL and len(shortened(whole).steps) <= WHOLE:
        yield resolved(shortened(whole))
        return
    seen: set[object] = set()
    several: set[Ways] = set()
    for ways in chain(_pairs(whole), _windows(whole)):
        check()
        if ways in several:
            continue
        several.add(ways)
        part = shortened(_part(whole, *ways))
        shape = _shape(part)
        if shape not in seen:
            seen.add(shape)
            yield resolved(part)


def _forward(graph: SagaGraph) -> SagaGraph:
    """Return the graph without observers, with derived triggers for its compensations."""
    steps = {
        name: replace(step, compensations=tuple(map(_derived, step.compensations)))
        for name, step in graph.steps.items()
    }
    return _of(graph, steps.values(), graph.deadlines)


def _derived(undo: HandlerEntry) -> HandlerEntry:
    return replace(undo, trigger=(), derived=True)


def _of(graph: SagaGraph, steps: Iterable[Step], deadlines: Iterable[HandlerEntry]) -> SagaGraph:
    kept = {step.name: step for step in steps}
    watching = tuple(each for each in deadlines if each.step in kept and each.trigger)
    handlers = [step.handler for step in kept.values() if step.handler]
    undos = [undo for step in kept.values() for undo in step.compensations]
    return SagaGraph(
        graph.contract,
        graph.participants,
        kept,
        watching,
        imports=graph.imports,
        handlers=(*handlers, *undos, *watching),
    )


# Two ways through a saga


def _pairs(graph: SagaGraph) -> Iterator[Ways]:
    """Return every two ways that part at one event, up to the step where they meet and one step more."""
    for event, after in graph.triggered.items():
        source = graph.outcome.get(event, ("", ""))[0]
        for one, other in combinations(after, 2):
            for way in _ways(graph, one.name):
                for another in _ways(graph, other.name):
                    yield source, *_until_they_meet(way, another)


def _until_they_meet(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    for number, name in enumerate(one):
        if name in other:
            return one[: number + 2], other[: other.index(name) + 1]
    return one[:_WINDOW], other[:_WINDOW]


def _windows(graph: SagaGraph) -> Iterator[Ways]:
    """Return every three steps in a row of which one is not plain, and one row of plain steps."""
    yield from ((way[0], way[1:], ()) for way in _ways(graph, START, _WINDOW + 1))
    for step in graph.steps.values():
        for way in _ways(graph, step.name, _WINDOW + 1) if step.trigger else ():
            if not all(_is_plain(graph, graph.steps[name]) for name in way):
                yield way[0], way[1:], ()


def _ways(graph: SagaGraph, name: str, length: int = 10_000) -> list[tuple[str, ...]]:
    """Return ways on from a step: one for each success event of each step on it, at a fork the first."""
    ways: list[tuple[str, ...]] = []
    waiting: list[tuple[str, ...]] = [(name,)]
    while waiting and len(ways) < _MAX_WAYS:
        way = waiting.pop()
        after = (graph.triggered.get(success, ()) for success in graph.steps[way[-1]].successes)
        further = [steps[0].name for steps in after if steps and len(way) < length]
        waiting += [(*way, each) for each in dict.fromkeys(further) if each not in way]
        if not further:
            ways.append(way)
    return ways


def _part(graph: SagaGraph, source: str, one: tuple[str, ...], other: tuple[str, ...]) -> SagaGraph:
    """Return the saga with these steps alone: a step that waits for others, too, waits for these only.

    It begins at the source. Where no step completes it, the last step of the first way does.
    """
    names = frozenset((source, *one, *other))
    starts, completes = graph.contract.starts, graph.contract.completes
    last = (one or (source,))[-1]
    kept = [
        _leading(graph, step, names) for name, step in graph.steps.items() if name in names or name == START
    ]
    if not any(completes in step.successes for step in kept):
        kept = [_ending(step, completes) if step.name == last else step for step in kept]
    events = {event for step in kept for event in (*step.successes, *step.failures, *step.answers)}
    steps = [
        replace(
            step, trigger=_among(step.trigger, events) or ((frozenset((starts,)),) if step.trigger else ())
        )
        for step in kept
    ]
    deadlines = (
        replace(each, trigger=_among(each.trigger, events) or (frozenset((starts,)),))
        for each in graph.deadlines
        if each.step in names
    )
    return _of(graph, steps, deadlines)


def _ending(step: Step, completes: str) -> Step:
    """Return a step as one that completes the saga."""
    undos = tuple(replace(undo, results=frozenset()) for undo in step.compensations[:1])
    return replace(step, successes=(completes,), compensations=undos)


def _leading(graph: SagaGraph, step: Step, names: frozenset[str]) -> Step:
    """Return a step with those of its success events that lead to these steps, or to the end."""
    leading = tuple(
        success
        for success in step.successes
        if any(each.name in names for each in graph.triggered.get(success, ()))
    )
    return replace(step, successes=leading or step.successes[:1])


def _among(trigger: Alternatives, events: set[str]) -> Alternatives:
    return in_order({option & events for option in trigger if option & events})


# Rows cut short


def shortened(graph: SagaGraph) -> SagaGraph:
    """Return the graph with every row of plain steps cut to two."""
    for step in tuple(graph.steps.values()):
        if _is_third_in_row(graph, graph.steps[step.name]):
            graph = _without(graph, graph.steps[step.name])
    return graph


def _is_third_in_row(graph: SagaGraph, step: Step) -> bool:
    before = _only_before(graph, step)
    return bool(before and _is_plain(graph, step) and _only_before(graph, before) and _follows(graph, step))


def _only_before(graph: SagaGraph, step: Step) -> Step | None:
    """Return the plain step that alone leads to a step, and to no other, or None."""
    if len(step.trigger) != 1 or len(step.trigger[0]) != 1:
        return None
    (event,) = step.trigger[0]
    source, _ = graph.outcome.get(event, ("", ""))
    before = graph.steps.get(source)
    if before is None or not _is_plain(graph, before) or before.successes != (event,):
        return None
    return before if len(graph.triggered[event]) == 1 else None


def _follows(graph: SagaGraph, step: Step) -> bool:
    (success,) = step.successes
    return len(graph.triggered.get(success, ())) == 1 and success != graph.contract.completes


def _is_plain(graph: SagaGraph, step: Step) -> bool:
    handler = step.handler
    if step.kind != COMPENSATABLE or handler is None or handler.partial or len(step.successes) != 1:
        return False
    looked_at = {event for each in graph.deadlines for option in each.trigger for event in option}
    watched = any(each.step == step.name for each in graph.deadlines)
    return not watched and looked_at.isdisjoint(step.successes)


def _without(graph: SagaGraph, step: Step) -> SagaGraph:
    """Return the graph without a step: the one before it leads to its successors."""
    before = _only_before(graph, step)
    assert before
    (gone,), (stays,) = step.successes, before.successes
    others = (each for name, each in graph.steps.items() if name != step.name)
    steps = [replace(each, trigger=_instead(each.trigger, gone, stays)) for each in others]
    return _of(graph, steps, graph.deadlines)


def _instead(trigger: Alternatives, gone: str, stays: str) -> Alternatives:
    return in_order({frozenset(stays if event == gone else event for event in option) for option in trigger})


# Slices that are alike


def _shape(graph: SagaGraph) -> object:
    """Return what is equal for slices that differ in names alone, if their steps come in one order."""
    numbers = {name: number for number, name in enumerate(sorted(graph.steps, key=_depth(graph)))}
    events: dict[str, tuple[int, int, int]] = {}
    for name, step in graph.steps.items():
        for sort, several in enumerate((step.successes, step.failures, step.answers)):
            events.update({event: (numbers[name], sort, at) for at, event in enumerate(several)})
    steps = sorted(
        (numbers[name], step.kind, _numbered(step.trigger, events), _traits(graph, step))
        for name, step in graph.steps.items()
    )
    deadlines = sorted(
        (numbers[each.step], _numbered(each.trigger, events))
        for each in graph.deadlines
        if each.step in numbers
    )
    return tuple(steps), tuple(deadlines)


def _depth(graph: SagaGraph) -> Callable[[str], tuple[int, str]]:
    found = {START: 0, **{name: 0 for name, step in graph.steps.items() if not step.trigger}}
    waiting = list(found)
    for name in waiting:
        for success in graph.steps[name].successes:
            for step in graph.triggered.get(success, ()):
                if step.name not in found:
                    found[step.name] = found[name] + 1
                    waiting.append(step.name)
    return lambda name: (found.get(name, 0), name)


def _traits(graph: SagaGraph, step: Step) -> tuple[object, ...]:
    ends = tuple(success == graph.contract.completes for success in step.successes)
    return (ends, len(step.failures), bool(step.handler and step.handler.partial), len(step.compensations))


def _numbered(trigger: Alternatives, events: dict[str, tuple[int, int, int]]) -> tuple[object, ...]:
    return tuple(
        sorted(tuple(sorted(events[event] for event in option if event in events)) for option in trigger)
    )

"""``RemainingStep``: the steps of a saga that must still answer, and those that may follow, by its graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from choreo.outcome import CANCEL, COMPENSATED, FAILED, PIVOT, SUCCEEDED, TIMED_OUT
from choreo.timeline.events import Event

if TYPE_CHECKING:  # a timeline without a graph must not load what graphs are made of
    from choreo.graph import SagaGraph, Step
    from choreo.protocol import Trigger


class RemainingStep(NamedTuple):
    """An action or a compensation of ``step`` that has not happened yet.

    ``answers`` are the events that it may publish. ``needs`` are the events that must come first; if it is
    empty, the answer is due ``since`` the time of the event that called for it.
    """

    participant: str
    step: str
    task: str
    answers: tuple[str, ...]
    needs: tuple[str, ...] = ()
    since: int | None = None


class _Seen:
    """The state of the saga so far, by the events that count."""

    def __init__(self, graph: SagaGraph, events: Sequence[Event]) -> None:
        counted = [event for event in events if not event.void]
        self.times = {event.type: event.time for event in counted}
        self.types = set(self.times)
        # What completes in vain, after a failure, is void, and yet its step's outcome: it is undone (R8).
        vain = [event for event in events if event.void and event.type == graph.contract.completes]
        self.outcomes = {e.step: (e.outcome, e.type) for e in (*vain, *counted) if e.outcome != COMPENSATED}
        self.compensated = {event.step for event in counted if event.outcome == COMPENSATED}
        self.failed = any(outcome in (FAILED, TIMED_OUT) for outcome, _ in self.outcomes.values())
        pivoted = any(event.kind == PIVOT and event.outcome == SUCCEEDED for event in counted)
        self.aborted = self.failed or CANCEL in self.outcomes
        self.before_abort = {event.type for event in takewhile(_goes_on, counted)}
        self.rolls_back = self.failed or (self.aborted and not pivoted)
        self.ended = bool(self.types & {graph.contract.completes, graph.contract.fails})

    def can_come(self, graph: SagaGraph, name: str) -> bool:
        """Whether an event may still count: its step has no outcome yet, or it is its compensated event."""
        step, announced = graph.outcome.get(name, ("", ""))
        outcome, result = self.outcomes.get(step, ("", ""))
        if announced != COMPENSATED:
            return not outcome
        undo = graph.steps[step].compensation_for(result) if outcome == SUCCEEDED else None
        return outcome != FAILED and (undo is None or name in undo.emits.successes)

    def since(self, names: Iterable[str]) -> int | None:
        """Return the time of the latest of these events, None where none has come."""
        return max((self.times[name] for name in names if name in self.times), default=None)


def remaining_steps(
    graph: SagaGraph, events: Sequence[Event], under_way: Sequence[Event] = ()
) -> list[RemainingStep]:
    """Return the steps that remain, those that are due first; none once the saga has ended.

    ``under_way`` are events that were published and that no participant has read yet: the steps that they
    call for need them first. The steps of all branches of a choice are returned, as any may be taken.
    """
    now = _remaining(graph, events)
    if not under_way:
        return now
    due = {(each.step, each.task) for each in now if not each.needs}
    names = tuple(event.type for event in under_way)
    then = _remaining(graph, [*events, *under_way])
    return [
        each if each.needs or (each.step, each.task) in due else each._replace(needs=names, since=None)
        for each in then
    ]


def _remaining(graph: SagaGraph, events: Sequence[Event]) -> list[RemainingStep]:
    seen = _Seen(graph, events)
    if seen.ended:
        return []
    found = [*_actions(graph, seen), *_compensations(graph, seen)]
    return sorted(found, key=lambda each: bool(each.needs))


def _actions(graph: SagaGraph, seen: _Seen) -> Iterator[RemainingStep]:
    waiting = [step for step in graph.steps.values() if step.trigger and step.name not in seen.outcomes]
    reach = set(seen.types)
    for step in [step for step in waiting if _is_triggered(step, seen)]:
        waiting.remove(step)
        may_run = not step.can_fail or step.trigger.satisfied(seen.before_abort)
        answers = (*step.successes, *step.failures) if may_run else step.failures[:1]
        reach.update(step.successes)
        since = seen.since(step.trigger.types)
        yield RemainingStep(step.participant, step.name, "action", answers, (), since)
    if not seen.rolls_back:
        yield from _later(graph, waiting, reach, seen)


def _goes_on(event: Event) -> bool:
    """Whether a saga continues after this event."""
    return event.outcome not in (FAILED, TIMED_OUT) and event.step != CANCEL


def _is_triggered(step: Step, seen: _Seen) -> bool:
    """Whether a step must answer: it was triggered, or it is a join that the abort found begun (R4)."""
    if step.trigger.satisfied(seen.types):
        return True
    return seen.aborted and step.can_fail and step.trigger.touched(seen.types)


def _later(graph: SagaGraph, waiting: list[Step], reach: set[str], seen: _Seen) -> Iterator[RemainingStep]:
    """Yield the steps that successes may still call for."""
    while ready := [step for step in waiting if step.trigger.satisfied(reach)]:
        for step in ready:
            waiting.remove(step)
            reach.update(step.successes)
            answers = (*step.successes, *step.failures)
            needs = _missing(graph, step.trigger, seen)
            yield RemainingStep(step.participant, step.name, "action", answers, needs)


def _compensations(graph: SagaGraph, seen: _Seen) -> Iterator[RemainingStep]:
    for step in graph.steps.values():
        outcome, result = seen.outcomes.get(step.name, ("", ""))
        if not step.compensations or step.name in seen.compensated or outcome in ("", FAILED):
            continue
        if outcome == TIMED_OUT:
            if _is_triggered(step, seen):
                since = seen.times[result]
                yield RemainingStep(step.participant, step.name, "compensation", step.answers, (), since)
        elif seen.rolls_back:
            undo = step.compensation_for(result) or step.compensations[0]
            called = undo.trigger.satisfied(seen.types) or (not undo.trigger and seen.failed)
            needs = () if called else _missing(graph, undo.trigger, seen)
            if called or needs:
                called_at = seen.since(undo.trigger.types) if called else None
                answers = undo.emits.successes
                yield RemainingStep(step.participant, step.name, "compensation", answers, needs, called_at)


def _missing(graph: SagaGraph, trigger: Trigger, seen: _Seen) -> tuple[str, ...]:
    """Return the events that a trigger still needs; of alternatives that may still come, the fewest."""

    def lacking(events: Set[str]) -> int:
        return len(events - seen.types)

    open_types = {name for name in trigger.types if name in seen.types or seen.can_come(graph, name)}
    way = trigger.alternative(open_types, lacking) or trigger.alternative(trigger.types, lacking)
    return tuple(sorted(way - seen.types))

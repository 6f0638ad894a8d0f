"""What remains to happen to a saga, by its graph: who owes an answer now, and what may follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from choreo.events import short_name
from choreo.outcome import CANCEL, COMPENSATED, FAILED, PIVOT, SUCCEEDED, TIMED_OUT
from choreo.timeline.messages import Message

if TYPE_CHECKING:  # a story without a graph doesn't need what graphs are made of
    from choreo.graph import SagaGraph, Step
    from choreo.manifest import Alternatives


class Ahead(NamedTuple):
    """Something that has yet to happen: an action or a compensation of ``step``, by ``participant``.

    ``gives`` are the events that it may answer with, ``needs`` those that must come first; it is owed now
    where there are none. ``since`` is the time of the event that made it owed.
    """

    participant: str
    step: str
    task: str
    gives: tuple[str, ...]
    needs: tuple[str, ...] = ()
    since: int | None = None


class _Seen:
    """What counted in the log so far."""

    def __init__(self, graph: SagaGraph, messages: Sequence[Message]) -> None:
        counted = [message for message in messages if not message.void]
        self.times = {message.type: message.time for message in counted}
        self.types = set(self.times)
        # What completes in vain, after a failure, is void, and yet its step's outcome: it is undone (R8).
        vain = [message for message in messages if message.void and message.type == graph.contract.completes]
        self.outcomes = {m.step: (m.outcome, m.type) for m in (*vain, *counted) if m.outcome != COMPENSATED}
        self.compensated = {message.step for message in counted if message.outcome == COMPENSATED}
        self.failed = any(outcome in (FAILED, TIMED_OUT) for outcome, _ in self.outcomes.values())
        pivoted = any(m.kind == PIVOT and m.outcome == SUCCEEDED for m in counted)
        self.aborted = self.failed or CANCEL in self.outcomes
        self.before_abort = {message.type for message in takewhile(_goes_on, counted)}
        self.rolls_back = self.failed or (self.aborted and not pivoted)
        self.ended = bool(self.types & {graph.contract.completes, graph.contract.fails})

    def can_come(self, graph: SagaGraph, name: str) -> bool:
        """Say whether an event may still count: its step has no outcome yet, or it is what undoes it."""
        step, told = graph.outcome.get(name, ("", ""))
        outcome, result = self.outcomes.get(step, ("", ""))
        if told != COMPENSATED:
            return not outcome
        undo = graph.steps[step].undo_of(result) if outcome == SUCCEEDED else None
        return outcome != FAILED and (undo is None or name in undo.emits.successes)

    def since(self, names: Iterable[str]) -> int | None:
        """Give the time of the latest of some events."""
        return max((self.times[name] for name in names if name in self.times), default=None)


def ahead(graph: SagaGraph, messages: Sequence[Message], under_way: Sequence[Message] = ()) -> list[Ahead]:
    """Give what remains, what is owed now first; empty once the saga has ended.

    ``under_way`` are events that were published and that nobody has read: what they lead to needs them
    first. Each branch of a choice is given: any of them may be the one.
    """
    now = _remaining(graph, messages)
    if not under_way:
        return now
    owed = {(each.step, each.task) for each in now if not each.needs}
    names = tuple(message.type for message in under_way)
    then = _remaining(graph, [*messages, *under_way])
    return [
        each if each.needs or (each.step, each.task) in owed else each._replace(needs=names, since=None)
        for each in then
    ]


def _remaining(graph: SagaGraph, messages: Sequence[Message]) -> list[Ahead]:
    seen = _Seen(graph, messages)
    if seen.ended:
        return []
    found = [*_actions(graph, seen), *_compensations(graph, seen)]
    return sorted(found, key=lambda each: bool(each.needs))


def _actions(graph: SagaGraph, seen: _Seen) -> Iterator[Ahead]:
    waiting = [step for step in graph.steps.values() if step.trigger and step.name not in seen.outcomes]
    reach = set(seen.types)
    for step in [step for step in waiting if _is_triggered(step, seen)]:
        waiting.remove(step)
        may_run = not step.can_fail or any(option <= seen.before_abort for option in step.trigger)
        gives = (*step.successes, *step.failures) if may_run else step.failures[:1]
        reach.update(step.successes)
        yield Ahead(step.participant, step.name, "action", gives, (), seen.since(_types(step.trigger)))
    if not seen.rolls_back:
        yield from _later(graph, waiting, reach, seen)


def _goes_on(message: Message) -> bool:
    """Say whether an event lets its saga go on."""
    return message.outcome not in (FAILED, TIMED_OUT) and message.step != CANCEL


def _is_triggered(step: Step, seen: _Seen) -> bool:
    """Say whether an answer is owed: triggered whole, or a join that the abort found half filled (R4)."""
    if any(option <= seen.types for option in step.trigger):
        return True
    return seen.aborted and step.can_fail and any(option & seen.types for option in step.trigger)


def _later(graph: SagaGraph, waiting: list[Step], reach: set[str], seen: _Seen) -> Iterator[Ahead]:
    """Go on along the successes, as far as they lead."""
    while ready := [step for step in waiting if any(option <= reach for option in step.trigger)]:
        for step in ready:
            waiting.remove(step)
            reach.update(step.successes)
            gives = (*step.successes, *step.failures)
            yield Ahead(step.participant, step.name, "action", gives, _missing(graph, step.trigger, seen))


def _compensations(graph: SagaGraph, seen: _Seen) -> Iterator[Ahead]:
    for step in graph.steps.values():
        outcome, result = seen.outcomes.get(step.name, ("", ""))
        if not step.undos or step.name in seen.compensated or outcome in ("", FAILED):
            continue
        if outcome == TIMED_OUT:
            if _is_triggered(step, seen):
                yield Ahead(step.participant, step.name, "compensation", step.answers, (), seen.times[result])
        elif seen.rolls_back:
            undo = step.undo_of(result) or step.undos[0]
            gives = undo.emits.successes
            called = any(option <= seen.types for option in undo.trigger) or (
                not undo.trigger and seen.failed
            )
            needs = () if called else _missing(graph, undo.trigger, seen)
            if called or needs:
                since = seen.since(_types(undo.trigger)) if called else None
                yield Ahead(step.participant, step.name, "compensation", gives, needs, since)


def _types(trigger: Alternatives) -> frozenset[str]:
    return frozenset().union(*trigger)


def _missing(graph: SagaGraph, trigger: Alternatives, seen: _Seen) -> tuple[str, ...]:
    """Give what the nearest way to a trigger still lacks, of the ways that are still open."""
    lacking = [option - seen.types for option in trigger]
    open_ways = [each for each in lacking if all(seen.can_come(graph, name) for name in each)]
    ways = [tuple(sorted(way)) for way in open_ways or lacking]
    return min(ways, key=len) if ways else ()


def names(types: Iterable[str]) -> str:
    """Write event types for people."""
    return " or ".join(short_name(name) for name in types)

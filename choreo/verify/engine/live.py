"""``LiveFacts``: what of a saga's state may still be read; two states that agree in that continue alike.

Before anything goes wrong, that is everything. In an aborted saga no action begins any more, except for
retriable ones that what still runs leads to. So what has ended is left out there, and so is what can't begin
any more, and every event that no step left looks at.

The facts are kept as integers: a byte for each step, a bit for each event. A transition changes those of the
steps that it touches.

Source: Bozga, Fernandez and Ghirvu, *State Space Reduction Based on Live Variables Analysis* (SAS 1999).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from choreo.graph import SagaGraph
from choreo.outcome import PIVOT, START
from choreo.protocol import Instance, Progress
from choreo.verify.engine.model import Model

_ENDED = ("failed", "refused", "compensated")
_PENDING = Progress()
_BYTE = 0xFF


class Future(NamedTuple):
    """What an aborted saga may still do: begin these steps, and complete."""

    begins: frozenset[str] = frozenset()
    completes: bool = True


class Facts(NamedTuple):
    """What may still be read of a saga: of its steps, of its events, and of the saga as a whole.

    Before it is aborted, ``joining`` are the events for which a step has come that waits for others, too.
    ``acting`` are the actions and imports that can go on, ``undoing`` the compensations that can, in the
    order in which they do. ``future`` is what the saga may still do once it is aborted.
    """

    steps: int = 0
    events: int = 0
    saga: tuple[object, ...] = ()
    acting: tuple[str, ...] = ()
    undoing: tuple[str, ...] = ()
    future: Future | None = None
    joining: frozenset[str] = frozenset()

    @property
    def ahead(self) -> tuple[object, ...]:
        """All on which depends how a saga goes on in which nothing goes wrong."""
        return self.saga, self.joining, self.acting

    @property
    def only_undoes(self) -> bool:
        """Whether no action can begin or end any more."""
        return self.future is not None and not self.acting

    @property
    def ready(self) -> tuple[str, ...]:
        """All that can go on: compensations first, the last step's before the others'."""
        return self.undoing + self.acting


class Change(NamedTuple):
    """What a transition changed: the steps that it touched, and the events that it published."""

    steps: set[str]
    events: list[str]


class LiveFacts:
    """The facts of one saga that may still be read, in each of its states."""

    def __init__(self, model: Model) -> None:
        actions = sorted(model.role.actions, key=lambda action: action.step == START)
        self._steps = tuple(action.step for action in actions)
        self._imports = tuple(step.name for step in model.imported)
        self._rank = {name: number for number, name in enumerate((*self._steps, *self._imports))}
        self._bits = {event: 1 << number for number, event in enumerate(model.graph.outcome)}
        self._event_of = {bit: event for event, bit in self._bits.items()}
        self._triggers = {action.step: sorted(action.trigger.types) for action in actions}
        self._triggered = _readers(self._triggers)
        self._calls = {name: sorted(model.calls[name]) for name in self._steps}
        called = _readers(self._calls)
        self._called_bytes = {
            event: sum(_BYTE << 8 * self._rank[name] for name in names) for event, names in called.items()
        }
        self._calling = sum(bit for event, bit in self._bits.items() if event in called)
        plain = (event for action in actions for event in model.graph.steps[action.step].successes)
        self._implied = frozenset(plain).difference(called)
        """The events that the bytes of their steps imply."""
        self._arming = frozenset(event for each in model.role.deadlines for event in each.after.types)
        self._led_to = {name: _led_to(model.graph, name) for name in self._rank}
        self._pivots = frozenset(action.step for action in actions if action.kind == PIVOT)
        self._forgets = not model.begins_in_rollback
        self._codes: dict[str, dict[object, int]] = {name: {} for name in self._steps}

    def facts(self, saga: Instance, before: Facts, change: Change) -> Facts:
        """Return the facts of a saga after a change."""
        touched = change.steps & self._codes.keys()
        acting, undoing = self._going_on(saga, before, touched, change)
        future = self._future(saga, acting) if saga.aborted and self._forgets else None
        flags = (saga.started, saga.cancelled, saga.pivoted, saga.imported, bool(saga.failing), saga.end)
        whole = (self._deadlines(saga), *flags)
        come = {event for event in change.events if event not in self._implied}
        if future:
            earlier = before.future or Future(completes=future.completes)
            begins = future.begins ^ earlier.begins
            touched |= self._codes.keys() if future.completes < earlier.completes else begins
            come.update(event for name in touched for event in self._triggers[name])
        steps = self._bytes(saga, before.steps, touched, future)
        come &= saga.types
        events = before.events | sum(
            self._bits[event] for event in come if not before.events & self._bits[event]
        )
        if future:
            come.update(event for name in touched for event in self._calls[name])
            if not before.future:
                come.update(self._events_of(events & self._calling))
            events = self._without_unread(saga, events, come, steps, future)
        joining = frozenset[str]() if future else frozenset(self._joining(saga, before, change))
        return Facts(steps, events, whole, acting, undoing, future, joining)

    def _joining(self, saga: Instance, before: Facts, change: Change) -> Iterator[str]:
        for event in before.joining.union(change.events):
            if any(saga.step(name) == _PENDING for name in self._triggered.get(event, ())):
                yield event

    def _events_of(self, bits: int) -> Iterator[str]:
        while bits:
            bit = bits & -bits
            yield self._event_of[bit]
            bits -= bit

    def _bytes(self, saga: Instance, steps: int, touched: Iterable[str], future: Future | None) -> int:
        for name in touched:
            byte, shift = self._byte(saga, name, future), 8 * self._rank[name]
            steps += byte - (steps >> shift & _BYTE) << shift
        return steps

    def _without_unread(
        self, saga: Instance, events: int, come: Iterable[str], steps: int, future: Future
    ) -> int:
        for event in come:
            bit = self._bits.get(event, 0)
            if events & bit and not self._is_read(saga, event, steps, future):
                events -= bit
        return events

    def _going_on(
        self, saga: Instance, before: Facts, own: Iterable[str], change: Change
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        acting, undoing = set(before.acting) - change.steps, set(before.undoing) - change.steps
        for name in own:
            progress = saga.step(name)
            if progress.activity != "idle":
                (undoing if progress.state == "compensating" else acting).add(name)
        if self._imports:
            comes = saga.started and not saga.end
            acting -= set(self._imports)
            acting.update(name for name in self._imports if comes and name not in saga.outcomes)
        rank = self._rank.__getitem__
        return tuple(sorted(acting, key=rank)), tuple(sorted(undoing, key=rank, reverse=True))

    def _deadlines(self, saga: Instance) -> tuple[str, ...]:
        """Return the deadlines that are armed; the others can't pass any more, or can't be armed yet."""
        if saga.failing:
            return ()
        return tuple(sorted(name for name, state in saga.deadlines.items() if state == "armed"))

    def _future(self, saga: Instance, acting: tuple[str, ...]) -> Future:
        completes = saga.pivoted or not saga.failing or not self._pivots.isdisjoint(acting)
        return Future(
            frozenset[str]().union(*(self._led_to[name] for name in acting)),
            saga.end == "completed" or (not saga.end and completes),
        )

    def _byte(self, saga: Instance, name: str, future: Future | None) -> int:
        """Return a number for all that is known of a step, 0 where nothing depends on that any more.

        It is 0 for a step that has not begun, too, unless it may begin in a saga in which others are gone.
        """
        progress = saga.steps.get(name, _PENDING)
        if progress.activity == "idle":
            if progress.state == "pending":
                begins = name in future.begins if future else name in saga.outcomes
                if not begins:
                    return 0
            elif future and progress.state in _ENDED and not future.completes:
                return 0
        codes = self._codes[name]
        known = (progress, saga.outcomes.get(name), name in saga.compensated)
        return codes.setdefault(known, len(codes) + 1)

    def _is_read(self, saga: Instance, event: str, steps: int, future: Future) -> bool:
        """Whether a step, or a deadline, that is left may still look at an event of an aborted saga."""
        if event in self._arming and not saga.failing:
            return True
        if steps & self._called_bytes.get(event, 0):
            return True
        begin = (name for name in self._triggered.get(event, ()) if name in future.begins)
        return any(saga.step(name) == _PENDING for name in begin)


def _readers(reads: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, events in reads.items():
        for event in events:
            found.setdefault(event, []).append(name)
    return found


def _led_to(graph: SagaGraph, name: str) -> frozenset[str]:
    """Return the steps that the success of a step calls, and those behind retriable ones among them."""
    found: set[str] = set()
    waiting = list(graph.steps[name].successes)
    while waiting:
        for step in graph.triggered.get(waiting.pop(), ()):
            if step.name not in found:
                found.add(step.name)
                waiting += () if step.can_fail else step.successes
    return frozenset(found)

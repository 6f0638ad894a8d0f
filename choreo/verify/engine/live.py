"""``LiveFacts``: what of a saga's state may still be read; two states that agree in that continue alike.

Before anything goes wrong, that is everything. In an aborted saga no action begins any more, except for
retriable ones that what still runs leads to. So what has ended is left out there, and so is what can't begin
any more, and every event that no step left looks at.

The facts are kept as integers: a byte for each step, a bit for each event. A transition changes those of the
steps that it touches.

Source: Bozga, Fernandez and Ghirvu, *State Space Reduction Based on Live Variables Analysis* (SAS 1999).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from choreo.graph import SagaGraph
from choreo.outcome import PIVOT, START
from choreo.protocol import Instance, Progress
from choreo.verify.engine.model import Model
from choreo.verify.engine.symmetry import Alike, Branch

StateKey = tuple[object, ...]

_ENDED = ("failed", "refused", "compensated")
_PENDING = Progress()
_NOTHING = frozenset[str]()
_BYTE = 0xFF


class Future(NamedTuple):
    """What an aborted saga may still do: begin these steps, and complete."""

    begins: frozenset[str] = frozenset()
    completes: bool = True


class Facts(NamedTuple):
    """What may still be read of a saga: of its steps, of its events, and of the saga as a whole.

    ``acting`` are the actions and imports that can go on, ``undoing`` the compensations that can, in the
    order in which they do. ``future`` is what the saga may still do once it is aborted. ``come`` are all
    events that counted; ``joining``, in a large saga before it is aborted, are those for which a step has
    come that waits for others, too.
    """

    steps: int = 0
    events: int = 0
    saga: tuple[object, ...] = ()
    acting: tuple[str, ...] = ()
    undoing: tuple[str, ...] = ()
    future: Future | None = None
    come: int = 0
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


class _Reader(NamedTuple):
    """Who looks at an event: the steps whose compensation it calls, as their bytes, and those it triggers."""

    called: int
    triggered: frozenset[str]


class Change(NamedTuple):
    """What a transition changed: the steps that it touched, and the events that it published."""

    steps: set[str]
    events: list[str]


class LiveFacts:
    """The facts of one saga that may still be read, in each of its states."""

    def __init__(self, model: Model, groups: Sequence[Sequence[Branch]] = (), *, is_large: bool) -> None:
        actions = sorted(model.role.actions, key=lambda action: action.step == START)
        self._is_large = is_large
        self._steps = tuple(action.step for action in actions)
        self._imports = tuple(step.name for step in model.imported)
        self._rank = {name: number for number, name in enumerate((*self._steps, *self._imports))}
        self._alike = Alike(groups)
        self._shift = {
            name: 8 * number for number, name in enumerate(dict.fromkeys((*self._alike.steps, *self._steps)))
        }
        bits = dict.fromkeys((*self._alike.events, *model.graph.outcome))
        self._bits = {event: 1 << number for number, event in enumerate(bits)}
        triggers = {action.step: action.trigger.types for action in actions}
        self._triggers = {name: self._bits_of(events) for name, events in triggers.items()}
        self._calls = {name: self._bits_of(model.calls[name]) for name in self._steps}
        self._triggered = _readers(triggers)
        called = _readers(model.calls)
        self._calling = self._bits_of(called)
        self._reader = tuple(
            _Reader(
                sum(_BYTE << self._shift[name] for name in called.get(event, ())),
                frozenset(self._triggered.get(event, ())),
            )
            for event in self._bits
        )
        """Who looks at each event, by its number."""
        plain = (event for action in actions for event in model.graph.steps[action.step].successes)
        self._implied = self._bits_of(set(plain).difference(called))
        """The events that the bytes of their steps imply."""
        self._arming = self._bits_of(event for each in model.role.deadlines for event in each.after.types)
        self._led_to = {name: _led_to(model.graph, name) for name in self._rank}
        self._pivots = frozenset(action.step for action in actions if action.kind == PIVOT)
        self._forgets = not model.begins_in_rollback
        self._codes: dict[str, dict[object, int]] = {name: {} for name in self._steps}
        self._codes_of_alike: dict[str, dict[object, int]] = {name: {} for name in self._steps}
        self._wholes: dict[tuple[object, ...], tuple[object, ...]] = {}
        self._futures: dict[tuple[tuple[str, ...], bool], Future] = {}

    def _bits_of(self, events: Iterable[str]) -> int:
        found = 0
        for event in events:
            found |= self._bits.get(event, 0)
        return found

    def key(self, facts: Facts, held: frozenset[str]) -> StateKey:
        """Return what is equal for states that continue alike, in which these steps are held up."""
        return (*facts[:3], held)

    def key_of_alike(self, facts: Facts, held: frozenset[str]) -> StateKey:
        """Return what is equal, too, where branches that are alike have changed places."""
        return (facts.saga, *self._alike.key(facts.steps, facts.events, held))

    def facts(self, saga: Instance, before: Facts, change: Change) -> Facts:
        """Return the facts of a saga after a change."""
        touched = change.steps & self._codes.keys()
        acting, undoing = self._going_on(saga, before, touched, change)
        future = self._future(saga, acting) if saga.aborted and self._forgets else None
        flags = (saga.started, saga.cancelled, saga.pivoted, saga.imported, bool(saga.failing), saga.end)
        whole: tuple[object, ...] = (self._deadlines(saga), *flags)
        whole = self._wholes.setdefault(whole, whole)
        new = self._bits_of(saga.types.intersection(change.events))
        come, new = before.come | new, new & ~self._implied
        if future:
            touched |= self._otherwise(before.future, future)
            for name in touched:
                new |= self._triggers[name]
        steps = self._bytes(saga, before.steps, touched, future)
        new &= come
        events = before.events | new
        if future:
            for name in touched:
                new |= self._calls[name]
            if not before.future:
                new |= self._calling
            events = self._without_unread(saga, events, new & events, steps, future)
        joining = frozenset(self._joining(saga, before, change)) if self._is_large else _NOTHING
        return Facts(steps, events, whole, acting, undoing, future, come, joining)

    def _otherwise(self, before: Future | None, future: Future) -> Set[str]:
        """Return the steps of which something else is known by what the saga may still do now."""
        if before is None:
            return future.begins
        if future.completes < before.completes:
            return self._codes.keys()
        return future.begins ^ before.begins if future is not before else frozenset()

    def _joining(self, saga: Instance, before: Facts, change: Change) -> Iterator[str]:
        if saga.aborted:
            return
        for event in before.joining.union(change.events):
            if any(saga.step(name) == _PENDING for name in self._triggered.get(event, ())):
                yield event

    def _bytes(self, saga: Instance, steps: int, touched: Iterable[str], future: Future | None) -> int:
        for name in touched:
            byte, shift = self._byte(saga, name, future), self._shift[name]
            steps += byte - (steps >> shift & _BYTE) << shift
        return steps

    def _without_unread(self, saga: Instance, events: int, some: int, steps: int, future: Future) -> int:
        """Return the events without those of some that nothing looks at any more."""
        if not saga.failing:
            some &= ~self._arming
        while some:
            bit = some & -some
            some -= bit
            called, triggered = self._reader[bit.bit_length() - 1]
            if not steps & called and not self._may_begin(saga, triggered, future):
                events -= bit
        return events

    def _may_begin(self, saga: Instance, steps: frozenset[str], future: Future) -> bool:
        return any(saga.steps.get(name, _PENDING) == _PENDING for name in steps & future.begins)

    def _going_on(
        self, saga: Instance, before: Facts, own: Iterable[str], change: Change
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        acting = [name for name in before.acting if name not in change.steps]
        undoing = [name for name in before.undoing if name not in change.steps]
        acts, undoes = len(acting), len(undoing)
        for name in own:
            progress = saga.steps.get(name, _PENDING)
            if progress.activity != "idle":
                (undoing if progress.state == "compensating" else acting).append(name)
        if self._imports:
            comes = saga.started and not saga.end
            acting = [name for name in acting if name not in self._imports]
            acting += [name for name in self._imports if comes and name not in saga.outcomes]
        rank = self._rank.__getitem__
        if self._imports or len(acting) > acts:
            acting.sort(key=rank)
        if len(undoing) > undoes:
            undoing.sort(key=rank, reverse=True)
        return tuple(acting), tuple(undoing)

    def _deadlines(self, saga: Instance) -> tuple[str, ...]:
        """Return the deadlines that are armed; the others can't pass any more, or can't be armed yet."""
        if saga.failing or not saga.deadlines:
            return ()
        return tuple(sorted(name for name, state in saga.deadlines.items() if state == "armed"))

    def _future(self, saga: Instance, acting: tuple[str, ...]) -> Future:
        completes = saga.pivoted or not saga.failing or not self._pivots.isdisjoint(acting)
        key = acting, saga.end == "completed" or (not saga.end and completes)
        future = self._futures.get(key)
        if future is None:
            begins = frozenset[str]().union(*(self._led_to[name] for name in acting))
            future = self._futures[key] = Future(begins, key[1])
        return future

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
        code = codes.get(known)
        if code is None:
            same = self._codes_of_alike[self._alike.first(name)]
            alike = (self._alike.progress(name, progress), *known[1:])
            code = codes[known] = same.setdefault(alike, len(same) + 1)
        return code


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

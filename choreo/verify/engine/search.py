"""``Search``: visits the orders in which the steps of a saga may begin, end, fail and be late.

All participants read the topic at the same pace. How far one of them has read shows in when its step begins
and ends: a step is queued, then running, then done, and anything may happen in between. A crash, a restart or
a repeated delivery adds no state (stuttering).

By its schedule, whatever is ready is done at once, in the order of the graph. A *delay* departs from that: a
step, an import or a compensation is held up until nothing else is left to do, or until something goes wrong;
or a step answers with another than its first success event. States are visited by the number of delays that
lead there, so the first counterexample has as few as possible. With enough delays parallel branches may be
anywhere when something goes wrong. The order in which they are rolled back needs no delays: that it makes no
difference is checked whenever a compensation is called.

Source: Emmi, Qadeer and Rakamarić, *Delay-Bounded Scheduling* (POPL 2011).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from choreo.outcome import CANCEL, COMPENSATED, START, SUCCEEDED, Outcome
from choreo.protocol import (
    Answer,
    Begin,
    Bury,
    Due,
    Ended,
    Expire,
    Input,
    Instance,
    Moved,
    Observed,
    Publish,
    Queue,
    fold_into,
)
from choreo.protocol.instance import PENDING
from choreo.verify.engine.budget import Meter
from choreo.verify.engine.live import Change, Facts, LiveFacts
from choreo.verify.engine.model import Model
from choreo.verify.engine.rows import further_in_rows
from choreo.verify.engine.symmetry import alike
from choreo.verify.properties import Property

HOLD, CHOICE = 2, 1
"""What a delay costs: to hold a step up, and to answer with another success event."""

SURE = 2
"""All runs with so many delays are visited, or the verdict is inconclusive: one hold, or two choices."""

LARGE = 64
"""In a saga of more steps, a run that has chosen otherwise is followed until it is back on the way."""

FURTHER = 50_000
"""Runs with more delays are visited, too, as long as states times steps are no more than this."""


class Troubles(NamedTuple):
    """How many troubles of each kind may still come."""

    failures: int = 1
    deadlines: int = 1
    cancellations: int = 1

    def cover(self, other: Troubles) -> bool:
        """Whether all that may still go wrong with the others may go wrong with these."""
        failures, deadlines, cancellations = self
        return (
            failures >= other.failures
            and deadlines >= other.deadlines
            and cancellations >= other.cancellations
        )


class Violated(NamedTuple):
    """A property that a transition violates, and of which step."""

    property: Property
    step: str = ""


class Moment:
    """The facts of a saga that may still be read, and those after each transition that was taken from there.

    Sagas with the same facts continue alike, whatever is held up in them: what was folded once is known.
    """

    __slots__ = ("after", "facts", "ready")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.ready = facts.ready
        self.after: dict[Transition, Moment | Violated] = {}


class State(NamedTuple):
    """A state of the exploration: the saga, the moment that it is in, the steps that are held up, and the
    troubles that may still come."""

    saga: Instance
    moment: Moment
    held: frozenset[str]
    troubles: Troubles


class ExternalEvent(NamedTuple):
    """An event that comes from outside of the saga: a cancellation, or an import."""

    step: str
    outcome: Outcome
    event: str


class Read(NamedTuple):
    """All participants read the oldest event that they have not read: while a release is rolled out."""

    step: str = ""


class Upgrade(NamedTuple):
    """A participant is upgraded to its new release."""

    participant: str
    step: str = ""


class Transition(NamedTuple):
    """One thing that may happen: an input of the protocol, an event from outside, or a part of a rollout."""

    kind: str
    input: Begin | Ended | Due | ExternalEvent | Read | Upgrade

    @property
    def step(self) -> str:
        """The step that goes on, empty where it is a deadline that passes."""
        return "" if isinstance(self.input, Due) else self.input.step

    @property
    def is_trouble(self) -> bool:
        """Whether something goes wrong."""
        fails = isinstance(self.input, Ended) and self.input.outcome not in (SUCCEEDED, COMPENSATED)
        return fails or self.kind in ("due", "cancel")


class Option(NamedTuple):
    """What may be done in a state: a transition, or to hold a step up, and what that costs in delays.

    ``releases``: whatever is held up goes on at once.
    """

    transition: Transition | None = None
    held: str = ""
    delays: int = 0
    releases: bool = False


class Trail(NamedTuple):
    """The transitions that lead to a state, the last one first."""

    last: Transition
    before: Trail | None


class Visit(NamedTuple):
    """A state that is to be visited: the one after an option in another state, to which a trail leads."""

    before: State
    option: Option
    trail: Trail | None


class Counterexample(NamedTuple):
    """A property that is violated, of which step, and the transitions that lead there."""

    property: Property
    step: str
    transitions: tuple[Transition, ...]

    @property
    def troubles(self) -> frozenset[Transition]:
        """The transitions by which something went wrong."""
        return frozenset(each for each in self.transitions if each.is_trouble)


class _ViolatedError(Exception):
    def __init__(self, property: Property, step: str = "") -> None:
        self.violated = Violated(property, step)


class Search:
    """The states of one saga.

    ``delays`` is the number of steps that were held up, at most, in the runs that were visited, None where
    that is any number.
    """

    def __init__(self, model: Model, troubles: int) -> None:
        self.model = model
        self.is_large = len(model.graph.steps) > LARGE
        groups = list(alike(model))
        self._live = LiveFacts(model, groups, is_large=self.is_large)
        self._key = self._live.key_of_alike if groups else self._live.key
        self._varied = frozenset(model.graph.steps) - further_in_rows(model.graph)
        self._further = FURTHER // len(model.graph.steps)
        actions = model.role.actions
        self._beginning = {each.step: Option(Transition("begin", Begin(each.step))) for each in actions}
        self._ending = {each.step: tuple(_endings(model, each.step)) for each in actions}
        self._failing = {
            each.step: [Transition("end", failure) for failure in model.failures(each)] for each in actions
        }
        self._watched = {each.name: each.of for each in model.role.deadlines}
        self._started = Ended(START, SUCCEEDED, model.graph.contract.starts)
        self._first = State(Instance(), Moment(Facts()), frozenset(), Troubles(*(troubles,) * 3))
        self._moments: dict[Facts, Moment] = {}
        self._waiting = {0: [Visit(self._first, Option(), None)]}
        self._reached: dict[object, tuple[Troubles, ...]] = {}
        self._ways = set[object]()
        self.delays: int | None = None

    def counterexamples(self, meter: Meter) -> Iterator[Counterexample]:
        """Visit every state, or as many as the meter allows; return what is violated after which troubles.

        What is violated after fewer of these troubles, too, is left out. One of several branches that are
        alike stands for all as long as nothing is violated; else all states are visited.
        """
        begun, by_some = meter.states, list[Counterexample]()
        if self._key == self._live.key_of_alike:
            by_some = list(self._counterexamples(meter))
            if not by_some:
                return
            meter.start_again(begun)
            self._key = self._live.key
            self._waiting = {0: [Visit(self._first, Option(), None)]}
            self._reached, self._ways, self.delays = {}, set(), None
        by_all = list(self._counterexamples(meter))
        yield from by_all or by_some

    def _counterexamples(self, meter: Meter) -> Iterator[Counterexample]:
        told: list[Counterexample] = []
        delays = 0
        while self._waiting and not meter.is_empty:
            found = list(self._level(delays, meter))
            for each in sorted(found, key=lambda each: (len(each.troubles), len(each.transitions))):
                if not any(
                    each.property == known.property and known.troubles <= each.troubles for known in told
                ):
                    told.append(each)
                    yield each
            delays += 1

    def _level(self, delays: int, meter: Meter) -> Iterator[Counterexample]:
        """Visit the states to which delays lead that cost so much, and collect others to which more do."""
        visits = self._waiting.get(delays, [])
        while visits and not meter.is_empty:
            if delays >= SURE and self._has_enough(delays):
                self.delays = max(delays - 1, SURE) // HOLD
                for each in [each for each in self._waiting if each > SURE]:
                    self._waiting.pop(each).clear()
                continue
            visit = visits.pop()
            try:
                self._visit(visit, delays, meter)
            except _ViolatedError as error:
                yield Counterexample(*error.violated, _transitions(visit))
        self._waiting.pop(delays, None)

    def _has_enough(self, delays: int) -> bool:
        """Whether there would be too many states with more delays than must be."""
        more = sum(len(visits) for cost, visits in self._waiting.items() if cost > SURE)
        return self.delays is None and len(self._reached) + more > self._further

    def _visit(self, visit: Visit, delays: int, meter: Meter) -> None:
        """Visit a state, unless what may be done there was done before."""
        (before, was, was_held, could), option, _ = visit
        saga, moment = self._taken(before, was, option)
        held = _held_after(was_held, option, moment)
        troubles = less(could, option.transition) if option.transition else could
        key = self._key(moment.facts, held)
        known = self._reached.get(key, ())
        if known and any(each.cover(troubles) for each in known):
            return
        self._reached[key] = (*known, troubles)
        meter.count()
        last = option.transition
        if saga is None:
            assert last
            saga, _ = self._folded(before, was, last)
        state = State(saga, moment, held, troubles)
        trail = Trail(last, visit.trail) if last else visit.trail
        options = self.options(state, just_held=bool(visit.option.held))
        for option in self._where_it_differs(state, options) if self.is_large else options:
            cost = delays + option.delays
            if cost <= SURE or self.delays is None:
                self._waiting.setdefault(cost, []).append(Visit(state, option, trail))

    def _where_it_differs(self, state: State, options: Iterator[Option]) -> Iterator[Option]:
        """Return what may be done in a state of a large saga.

        Where a run that has chosen otherwise is back on a way on which another was, only what goes wrong on
        the next step is looked at: from there on both are rolled back alike.
        """
        saga, facts = state.saga, state.moment.facts
        way = (facts.ahead, *(saga.step(name).activity for name in facts.acting))
        if saga.aborted or state.held or way not in self._ways:
            if not state.held:
                self._ways.add(way)
            yield from options
            return
        for option in options:
            transition = option.transition
            if transition and (transition.is_trouble or transition.kind == "begin"):
                yield option

    # What may be done in a state

    def options(self, state: State, *, just_held: bool = False) -> Iterator[Option]:
        """Return all that may be done in a state.

        While a step is held up, cancellations come at once, or when nothing else is left to do, and so do
        deadlines, but for those of steps that run.
        """
        if START not in state.saga.outcomes:
            yield Option(Transition("start", self._started))
            yield from map(Option, self._cancellations(state))
            return
        outside = [*self._deadlines(state), *self._cancellations(state)]
        free = [name for name in state.moment.ready if name not in state.held]
        going_on = free[:1] or sorted(state.held)
        if free and (free[1:] or state.held or outside):
            yield from self._holding(state, free[0])
        for name in going_on:
            yield from self._going_on(state, name)
        if not going_on and not any(each.kind == "due" for each in outside):
            self._check_end(state.saga)
        if free and state.held and not just_held:
            outside = [each for each in outside if self._is_late(each, state.saga)]
        failures = self._failures(state, state.held.difference(going_on))
        for transition in (*failures, *outside):
            yield from with_release(transition, state.held)

    def _holding(self, state: State, name: str) -> Iterator[Option]:
        if name == START:  # it ends the saga, and whatever comes after that is void
            yield Option(held=name)
        elif name in self._varied and not state.moment.facts.only_undoes:
            yield Option(held=name, delays=HOLD)

    def _going_on(self, state: State, name: str) -> Iterator[Option]:
        progress = state.saga.step(name)
        if progress.state == "compensating":
            yield Option(Transition("compensate", self.model.compensated(name, progress.result)))
        elif progress.activity == "queued":
            yield self._beginning[name]
        elif progress.activity == "running":
            yield from self._ending[name]
            for transition in self._failures(state, (name,)):
                yield from with_release(transition, state.held - {name})
        else:
            event = self.model.graph.steps[name].successes[0]
            yield Option(Transition("import", ExternalEvent(name, SUCCEEDED, event)))

    def _failures(self, state: State, names: Iterable[str]) -> Iterator[Transition]:
        """Return the ways in which some of these steps may fail, as far as they run."""
        for name in sorted(names) if state.troubles.failures else ():
            progress = state.saga.step(name)
            if progress.activity == "running" and name in self._varied:
                yield from self._failing[name]

    def _deadlines(self, state: State) -> Iterator[Transition]:
        deadlines = state.saga.deadlines
        if deadlines and state.troubles.deadlines:
            for name, deadline in sorted(deadlines.items()):
                if deadline == "armed":
                    yield Transition("due", Due(name))

    def _is_late(self, transition: Transition, saga: Instance) -> bool:
        """Whether it is the deadline of a step that runs, whose success may still come."""
        due = transition.input
        return isinstance(due, Due) and saga.step(self._watched[due.deadline]).activity == "running"

    def _cancellations(self, state: State) -> Iterator[Transition]:
        aborts, saga = self.model.graph.contract.aborts, state.saga
        if aborts and state.troubles.cancellations and CANCEL not in saga.outcomes and not saga.end:
            yield Transition("cancel", ExternalEvent(CANCEL, SUCCEEDED, aborts))

    # The state after

    def _taken(self, saga: Instance, moment: Moment, option: Option) -> tuple[Instance | None, Moment]:
        """Return the saga and its moment after something is done; raise where that violates a property.

        Where the moment after it is known, the saga is not folded yet.
        """
        transition = option.transition
        if option.held or transition is None:
            return saga, moment
        after = moment.after.get(transition)
        if after is None:
            return self._folded(saga, moment, transition)
        if isinstance(after, Violated):
            raise _ViolatedError(*after)
        return None, after

    def _folded(self, saga: Instance, moment: Moment, transition: Transition) -> tuple[Instance, Moment]:
        saga, change = saga.copy(), Change({transition.step}, [])
        try:
            self._take(saga, transition, change)
        except _ViolatedError as error:
            moment.after[transition] = error.violated
            raise
        facts = self._live.facts(saga, moment.facts, change)
        after = moment.after[transition] = self._moments.setdefault(facts, Moment(facts))
        return saga, after

    def _take(self, saga: Instance, transition: Transition, change: Change) -> None:
        """Let a transition happen, and let all participants read the events that follow from it."""
        input = transition.input
        if isinstance(input, ExternalEvent):
            self._publish(saga, *input, change)
        elif input == self._started and not self.model.role.owns_start:
            self._publish(saga, START, SUCCEEDED, self.model.graph.contract.starts, change)
        elif not isinstance(input, (Read, Upgrade)):
            if transition.kind == "compensate":
                self._check_compensation(saga, transition.step)
            self._fold(saga, input, change)

    def _publish(self, saga: Instance, step: str, outcome: Outcome, event: str, change: Change) -> None:
        if not event:
            raise _ViolatedError(Property.TERMINATION, step)
        change.steps.add(step)
        change.events.append(event)
        self._fold(saga, self.model.envelope(step, outcome, event), change)

    def _fold(self, saga: Instance, input: Input, change: Change) -> None:
        for decision in fold_into(self.model.role, saga, input):
            if isinstance(decision, Moved):
                change.steps.add(decision.step)
            elif isinstance(decision, Publish | Answer | Expire):
                self._publish(saga, *self.model.role.outcome_of(decision), change)
            elif isinstance(decision, Queue):
                self._queue(saga, decision, change)
            elif isinstance(decision, Bury):
                raise _ViolatedError(Property.NO_DEAD_LETTER, decision.name)

    def _queue(self, saga: Instance, decision: Queue, change: Change) -> None:
        if decision.task == "action":
            change.steps.add(decision.name)
        elif decision.task == "observer":
            self._fold(saga, Observed(decision.name), change)
        else:
            self._check_order(saga, decision.name)

    # Properties

    def _check_compensation(self, saga: Instance, name: str) -> None:
        if saga.end == "completed" and not saga.step(name).owes_failure:
            raise _ViolatedError(Property.ONE_END, name)
        self._check_order(saga, name)

    def _check_order(self, saga: Instance, name: str) -> None:
        """Check that nothing that followed from a step is still done when its compensation is called."""
        if saga.outcomes.get(name) != SUCCEEDED:
            return  # a late success is void: nothing followed from it
        for after in self.model.graph.triggered.get(saga.step(name).result, ()):
            progress = saga.steps.get(after.name, PENDING)
            if progress.state in ("executing", "completed", "compensating") and after.is_undone:
                raise _ViolatedError(Property.REVERSE_ORDER, name)

    def _check_end(self, saga: Instance) -> None:
        if not saga.end:
            raise _ViolatedError(Property.TERMINATION, saga.failing)
        for name, progress in saga.steps.items():
            if progress.activity != "idle":
                raise _ViolatedError(Property.QUIESCENCE, name)
            if saga.end == "failed" and progress.state == "completed":
                raise _ViolatedError(Property.COMPLETE_ROLLBACK, name)
            if saga.end == "completed" and self._is_undone(saga, name):
                raise _ViolatedError(Property.ONE_END, name)

    def _is_undone(self, saga: Instance, name: str) -> bool:
        progress = saga.step(name)
        return progress.state == "compensated" and bool(progress.result)  # of an attempt there is none


def _endings(model: Model, name: str) -> Iterator[Option]:
    """Return the ways in which a step may succeed; another event than the first one is a delay."""
    for number, success in enumerate(model.graph.steps[name].successes):
        yield Option(Transition("end", Ended(name, SUCCEEDED, success)), delays=CHOICE if number else 0)


def with_release(transition: Transition, held: frozenset[str]) -> Iterator[Option]:
    """Return a trouble after which what is held up remains so, and one after which it goes on."""
    yield Option(transition)
    if held:
        yield Option(transition, releases=True)


def _held_after(held: frozenset[str], option: Option, after: Moment) -> frozenset[str]:
    """Return the steps that are held up after something is done."""
    if option.held:
        return held | {option.held}
    if option.transition is None or not held:
        return held
    return frozenset() if option.releases else held.intersection(after.ready) - {option.transition.step}


def less(troubles: Troubles, transition: Transition) -> Troubles:
    """Return the troubles that may still come after a transition."""
    kind, input, (failures, deadlines, cancellations) = *transition, troubles
    if kind == "end" and isinstance(input, Ended) and input.outcome != SUCCEEDED:
        return Troubles(failures - 1, deadlines, cancellations)
    if kind == "due":
        return Troubles(failures, deadlines - 1, cancellations)
    if kind == "cancel":
        return Troubles(failures, deadlines, cancellations - 1)
    return troubles


def _transitions(visit: Visit) -> tuple[Transition, ...]:
    """Return the transitions that lead to a state, and the one from there."""
    found = [visit.option.transition] if visit.option.transition else []
    trail = visit.trail
    while trail:
        found.append(trail.last)
        trail = trail.before
    return tuple(reversed(found))

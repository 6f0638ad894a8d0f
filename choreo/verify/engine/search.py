"""``Search``: visits every order in which the steps of a small saga may begin, end, fail and be late.

All participants read the topic at the same pace. How far one of them has read shows in when its step begins
and ends: a step is queued, then running, then done, and anything may happen in between. A crash, a restart or
a repeated delivery adds no state (stuttering). The search is breadth first, so that the first counterexample
is a shortest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from choreo.outcome import CANCEL, COMPENSATED, START, SUCCEEDED, Outcome
from choreo.protocol import (
    Answer,
    Begin,
    Bury,
    Decision,
    Drop,
    Due,
    Ended,
    Expire,
    Input,
    Instance,
    Observed,
    Publish,
    Queue,
    Run,
    fold_into,
)
from choreo.verify.engine.budget import Meter
from choreo.verify.engine.model import Model
from choreo.verify.properties import Property


class Troubles(NamedTuple):
    """How many troubles of each kind may still come."""

    failures: int = 1
    deadlines: int = 1
    cancellations: int = 1


class State(NamedTuple):
    """A state of the exploration: the saga's instance by its number, the steps that are queued, those that
    run, and the troubles that may still come."""

    saga: int
    queued: frozenset[tuple[str, str]]
    running: frozenset[str]
    troubles: Troubles


class ExternalEvent(NamedTuple):
    """An event that comes from outside of the saga: a cancellation, or an import."""

    step: str
    outcome: Outcome
    event: str


class Transition(NamedTuple):
    """One thing that may happen: an input of the protocol, or an event from outside."""

    kind: str
    input: Input | ExternalEvent


class Counterexample(NamedTuple):
    """A property that is violated, of which step, and the transitions that lead there."""

    property: Property
    step: str
    transitions: tuple[Transition, ...]


class _ViolatedError(Exception):
    def __init__(self, property: Property, step: str = "") -> None:
        self.property, self.step = property, step


class Search:
    """The states of one saga."""

    def __init__(self, model: Model, troubles: int) -> None:
        self._model = model
        self._instances: list[Instance] = []
        self._numbers: dict[object, int] = {}
        self._folded: dict[tuple[int, object], tuple[int, tuple[Decision, ...]]] = {}
        self._started = Ended(START, SUCCEEDED, model.graph.contract.starts)
        self._initial = State(self._number(Instance()), frozenset(), frozenset(), Troubles(*(troubles,) * 3))

    def counterexample(self, meter: Meter) -> Counterexample | None:
        """Visit every state, or as many as the meter allows; return the first violation, if there is one."""
        reached: dict[State, tuple[State, Transition] | None] = {self._initial: None}
        waiting = deque(reached)
        while waiting and not meter.is_empty:
            state = waiting.popleft()
            meter.count()
            at, transition = state, None
            try:
                enabled = self.enabled(state)
                for transition in enabled:
                    after = self.successor(state, transition)
                    if after not in reached:
                        reached[after] = (state, transition)
                        waiting.append(after)
                if not enabled:
                    self._check_end(state)
            except _ViolatedError as violated:
                path = [transition] if transition else []
                while reached[at]:
                    at, transition = reached[at]  # type: ignore[misc]
                    path.append(transition)
                return Counterexample(violated.property, violated.step, tuple(reversed(path)))
        return None

    # Enabled transitions

    def enabled(self, state: State) -> list[Transition]:
        """Return all that may happen in a state."""
        saga = self._instances[state.saga]
        if START not in saga.outcomes:
            return [Transition("start", self._started), *self._cancellations(state, saga)]
        return [
            *(Transition("begin", Begin(name)) for task, name in state.queued if task == "action"),
            *(self._compensation(saga, name) for task, name in state.queued if task == "compensation"),
            *(Transition("end", each) for name in state.running for each in self._endings(state, name)),
            *self._from_outside(state, saga),
        ]

    def _compensation(self, saga: Instance, name: str) -> Transition:
        return Transition("compensate", self._model.compensated(name, saga.step(name).result))

    def _endings(self, state: State, name: str) -> Iterator[Ended]:
        for success in self._model.graph.steps[name].successes:
            yield Ended(name, SUCCEEDED, success)
        if state.troubles.failures:
            yield from self._model.failures(self._model.role.action[name])

    def _from_outside(self, state: State, saga: Instance) -> Iterator[Transition]:
        if state.troubles.deadlines:
            for name, deadline in saga.deadlines.items():
                if deadline == "armed":
                    yield Transition("due", Due(name))
        yield from self._cancellations(state, saga)
        for step in self._model.imported:
            if step.name not in saga.outcomes and not saga.end:
                yield Transition("import", ExternalEvent(step.name, SUCCEEDED, step.successes[0]))

    def _cancellations(self, state: State, saga: Instance) -> Iterator[Transition]:
        aborts = self._model.graph.contract.aborts
        if aborts and state.troubles.cancellations and CANCEL not in saga.outcomes and not saga.end:
            yield Transition("cancel", ExternalEvent(CANCEL, SUCCEEDED, aborts))

    # Successor states

    def successor(self, state: State, transition: Transition) -> State:
        """Return the state after a transition; raise where it violates a property."""
        input, troubles = transition.input, state.troubles
        if isinstance(input, ExternalEvent):
            if transition.kind == "cancel":
                troubles = troubles._replace(cancellations=troubles.cancellations - 1)
            return self._publish(state._replace(troubles=troubles), *input)
        if isinstance(input, Due):
            state = state._replace(troubles=troubles._replace(deadlines=troubles.deadlines - 1))
        elif isinstance(input, Begin):
            state = state._replace(queued=state.queued - {("action", input.step)})
        elif isinstance(input, Ended) and input != self._started:
            state = self._end(state, input)
        return self._fold(state, input)

    def _end(self, state: State, ended: Ended) -> State:
        if ended.outcome == COMPENSATED:
            self._check_compensation(state, ended.step)
            return state._replace(queued=state.queued - {("compensation", ended.step)})
        troubles = state.troubles
        if ended.outcome != SUCCEEDED:
            troubles = troubles._replace(failures=troubles.failures - 1)
        return state._replace(running=state.running - {ended.step}, troubles=troubles)

    def _publish(self, state: State, step: str, outcome: Outcome, event: str) -> State:
        """Return the state after all participants have read an event."""
        if not event:
            raise _ViolatedError(Property.TERMINATION, step)
        return self._fold(state, self._model.envelope(step, outcome, event))

    def _fold(self, state: State, input: Input) -> State:
        if input == self._started and not self._model.role.owns_start:
            return self._publish(state, START, SUCCEEDED, self._model.graph.contract.starts)
        number, decisions = self._folding(state.saga, input)
        state = state._replace(saga=number)
        for decision in decisions:
            state = self._carry_out(state, decision)
        return state

    def _folding(self, number: int, input: Input) -> tuple[int, tuple[Decision, ...]]:
        key = (number, (type(input), input))  # tuples of two types may be equal
        if key not in self._folded:
            saga = self._instances[number].copy()
            decisions = tuple(fold_into(self._model.role, saga, input))
            self._folded[key] = self._number(saga), decisions
        return self._folded[key]

    def _number(self, saga: Instance) -> int:
        number = self._numbers.setdefault(_key(saga), len(self._instances))
        if number == len(self._instances):
            self._instances.append(saga)
        return number

    def _carry_out(self, state: State, decision: Decision) -> State:
        match decision:
            case Queue("observer", name):
                return self._fold(state, Observed(name))
            case Queue(task, name):
                return state._replace(queued=state.queued | {(task, name)})
            case Drop(task, name):
                return state._replace(queued=state.queued - {(task, name)})
            case Run(_, name):
                return state._replace(running=state.running | {name})
            case Publish() | Answer() | Expire():
                return self._publish(state, *self._model.role.outcome_of(decision))
            case Bury(_, name):
                raise _ViolatedError(Property.NO_DEAD_LETTER, name)
        return state

    # Properties

    def _check_compensation(self, state: State, name: str) -> None:
        saga = self._instances[state.saga]
        progress = saga.step(name)
        if saga.end == "completed" and not self._model.role.action[name].partial:
            raise _ViolatedError(Property.ONE_END, name)
        if saga.outcomes.get(name) != SUCCEEDED:
            return  # a late success is void: nothing followed from it
        for after in self._model.graph.triggered.get(progress.result, ()):
            if after.is_undone and saga.step(after.name).state in ("executing", "completed", "compensating"):
                raise _ViolatedError(Property.REVERSE_ORDER, name)

    def _check_end(self, state: State) -> None:
        saga = self._instances[state.saga]
        if not saga.end:
            raise _ViolatedError(Property.TERMINATION, saga.failing)
        for name, progress in saga.steps.items():
            if progress.activity != "idle":
                raise _ViolatedError(Property.QUIESCENCE, name)
            if saga.end == "failed" and progress.state == "completed":
                raise _ViolatedError(Property.COMPLETE_ROLLBACK, name)


def _key(saga: Instance) -> object:
    """Return a key by which two instances of one saga differ if anything differs."""
    known = (saga.outcomes.items(), saga.steps.items(), saga.deadlines.items())
    return (frozenset(saga.seen), *map(frozenset, known), saga.failing, saga.end)

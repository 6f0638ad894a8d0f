"""The search: every order in which the steps of a small saga may begin, end, fail and be late.

All participants read the log in step. That one has not read yet shows in when its step begins and ends, so
a step is queued, then running, then done, and anything may come in between. A crash, a restart or a
repeated delivery adds nothing (stutter steps). Breadth first, so the first run that breaks a property is a
shortest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from choreo.outcome import CANCEL, COMPENSATED, START, SUCCEEDED, TIMED_OUT, Outcome
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


class Left(NamedTuple):
    """How much may still go wrong, of each kind."""

    failures: int = 1
    deadlines: int = 1
    cancellations: int = 1


class World(NamedTuple):
    """Everything at one moment: what is known (a number), which steps are queued and which run."""

    saga: int
    queued: frozenset[tuple[str, str]]
    running: frozenset[str]
    left: Left


class Outside(NamedTuple):
    """An event that comes from outside of the saga: a cancellation, or an import."""

    step: str
    outcome: Outcome
    event: str


class Move(NamedTuple):
    """One thing that happens: an input of the protocol, or an event from outside."""

    what: str
    told: Input | Outside


class Dead(NamedTuple):
    """A world that must not be: the property that it breaks, of which step, and the way there."""

    property: Property
    step: str
    way: tuple[Move, ...]


class _Wrong(Exception):
    def __init__(self, property: Property, step: str = "") -> None:
        self.property, self.step = property, step


class Search:
    """The worlds of one saga. ``first`` is the first one found that must not be."""

    def __init__(self, model: Model, troubles: int) -> None:
        self._model = model
        self._instances: list[Instance] = []
        self._numbers: dict[object, int] = {}
        self._folded: dict[tuple[int, object], tuple[int, tuple[Decision, ...]]] = {}
        self._started = Ended(START, SUCCEEDED, model.graph.contract.starts)
        self._first = World(self._number(Instance()), frozenset(), frozenset(), Left(*(troubles,) * 3))

    def run(self, meter: Meter) -> Dead | None:
        """Visit every world, or as many as the meter allows; give the first that must not be."""
        came: dict[World, tuple[World, Move] | None] = {self._first: None}
        waiting = deque(came)
        while waiting and not meter.is_empty:
            world = waiting.popleft()
            meter.count()
            at, move = world, None
            try:
                moves = self.moves(world)
                for move in moves:
                    after = self.make(world, move)
                    if after not in came:
                        came[after] = (world, move)
                        waiting.append(after)
                if not moves:
                    self._check_end(world)
            except _Wrong as wrong:
                way = [move] if move else []
                while came[at]:
                    at, move = came[at]  # type: ignore[misc]
                    way.append(move)
                return Dead(wrong.property, wrong.step, tuple(reversed(way)))
        return None

    # What may happen next

    def moves(self, world: World) -> list[Move]:
        """Give all that may happen in a world."""
        saga = self._instances[world.saga]
        if START not in saga.outcomes:
            return list(self._beginnings(world, saga))
        return [
            *(Move("begin", Begin(name)) for task, name in world.queued if task == "action"),
            *(self._undo(saga, name) for task, name in world.queued if task == "compensation"),
            *(Move("end", told) for name in world.running for told in self._endings(world, name)),
            *self._from_outside(world, saga),
        ]

    def _beginnings(self, world: World, saga: Instance) -> Iterator[Move]:
        yield Move("start", self._started)
        yield from self._cancellations(world, saga)

    def _undo(self, saga: Instance, name: str) -> Move:
        undo = self._model.graph.steps[name].compensation_after(saga.step(name).result)
        answer = next(iter(undo.emits.successes), "") if undo else ""
        return Move("undo", Ended(name, COMPENSATED, answer))

    def _endings(self, world: World, name: str) -> Iterator[Ended]:
        for success in self._model.graph.steps[name].successes:
            yield Ended(name, SUCCEEDED, success)
        if world.left.failures:
            yield from self._model.failures(self._model.role.action[name])

    def _from_outside(self, world: World, saga: Instance) -> Iterator[Move]:
        if world.left.deadlines:
            yield from (Move("due", Due(name)) for name, state in saga.deadlines.items() if state == "armed")
        yield from self._cancellations(world, saga)
        for step in self._model.imported:
            if step.name not in saga.outcomes and not saga.end:
                yield Move("import", Outside(step.name, SUCCEEDED, step.successes[0]))

    def _cancellations(self, world: World, saga: Instance) -> Iterator[Move]:
        aborts = self._model.graph.contract.aborts
        if aborts and world.left.cancellations and CANCEL not in saga.outcomes and not saga.end:
            yield Move("cancel", Outside(CANCEL, SUCCEEDED, aborts))

    # Carrying it out

    def make(self, world: World, move: Move) -> World:
        """Give the world after a move. Raises where a property is broken by it."""
        told, left = move.told, world.left
        if isinstance(told, Outside):
            if move.what == "cancel":
                left = left._replace(cancellations=left.cancellations - 1)
            return self._append(world._replace(left=left), *told)
        if isinstance(told, Due):
            world = world._replace(left=left._replace(deadlines=left.deadlines - 1))
        elif isinstance(told, Begin):
            world = world._replace(queued=world.queued - {("action", told.step)})
        elif isinstance(told, Ended) and told != self._started:
            world = self._ending(world, told)
        return self._tell(world, told)

    def _ending(self, world: World, told: Ended) -> World:
        if told.outcome == COMPENSATED:
            self._check_undo(world, told.step)
            return world._replace(queued=world.queued - {("compensation", told.step)})
        left = world.left
        if told.outcome != SUCCEEDED:
            left = left._replace(failures=left.failures - 1)
        return world._replace(running=world.running - {told.step}, left=left)

    def _append(self, world: World, step: str, outcome: Outcome, event: str) -> World:
        if not event:
            raise _Wrong(Property.TERMINATION, step)
        return self._tell(world, self._model.envelope(step, outcome, event))

    def _tell(self, world: World, told: Input) -> World:
        number, decisions = self._fold(world.saga, told)
        world = world._replace(saga=number)
        if told == self._started and not self._model.role.owns_start:
            return self._append(world, START, SUCCEEDED, self._model.graph.contract.starts)
        for decision in decisions:
            world = self._obey(world, decision)
        return world

    def _fold(self, number: int, told: Input) -> tuple[int, tuple[Decision, ...]]:
        key = (number, (type(told), told))  # tuples of two types may be equal
        if key not in self._folded:
            saga = self._instances[number].copy()
            if told == self._started and not self._model.role.owns_start:
                return number, ()
            decisions = tuple(fold_into(self._model.role, saga, told))
            self._folded[key] = self._number(saga), decisions
        return self._folded[key]

    def _number(self, saga: Instance) -> int:
        number = self._numbers.setdefault(_key(saga), len(self._instances))
        if number == len(self._instances):
            self._instances.append(saga)
        return number

    def _obey(self, world: World, decision: Decision) -> World:
        match decision:
            case Queue("observer", name):
                return self._tell(world, Observed(name))
            case Queue(task, name):
                return world._replace(queued=world.queued | {(task, name)})
            case Drop(task, name):
                return world._replace(queued=world.queued - {(task, name)})
            case Run(_, name):
                return world._replace(running=world.running | {name})
            case Publish(step, outcome, name) | Answer(step, outcome, name):
                return self._append(world, step, outcome, name)
            case Expire(name):
                deadline = self._model.role.deadline[name]
                return self._append(world, deadline.of, TIMED_OUT, deadline.answer)
            case Bury(_, name):
                raise _Wrong(Property.NO_DEAD_LETTER, name)
        return world

    # What must hold

    def _check_undo(self, world: World, name: str) -> None:
        saga = self._instances[world.saga]
        progress = saga.step(name)
        if saga.end == "completed" and not self._model.role.action[name].partial:
            raise _Wrong(Property.ONE_END, name)
        if saga.outcomes.get(name) != SUCCEEDED:
            return  # a late success is void: nothing followed from it
        for after in self._model.graph.triggered.get(progress.result, ()):
            if after.is_undone and saga.step(after.name).state in ("executing", "completed", "compensating"):
                raise _Wrong(Property.REVERSE_ORDER, name)

    def _check_end(self, world: World) -> None:
        saga = self._instances[world.saga]
        if not saga.end:
            raise _Wrong(Property.TERMINATION, saga.failing)
        for name, progress in saga.steps.items():
            if progress.activity != "idle":
                raise _Wrong(Property.QUIESCENCE, name)
            if saga.end == "failed" and progress.state == "completed":
                raise _Wrong(Property.COMPLETE_ROLLBACK, name)


def _key(saga: Instance) -> object:
    """Give what tells two instances of one saga apart; the rest follows from it."""
    known = (saga.outcomes.items(), saga.steps.items(), saga.deadlines.items())
    return (frozenset(saga.seen), *map(frozenset, known), saga.failing, saga.end)

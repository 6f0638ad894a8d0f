"""An oracle for rollouts: each participant for itself, with its own state and its own place in the topic.

A world is run at random: participants read, act and are upgraded in any order that the topic allows. Nothing
is reduced, and nothing is shared with `choreo.verify.rollout` but the protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from choreo.envelope import Envelope
from choreo.graph import SagaGraph, Step, role_of
from choreo.outcome import CANCEL, COMPENSATABLE, COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT
from choreo.protocol import (
    Answer,
    Begin,
    Bury,
    Due,
    Ended,
    Expire,
    Input,
    Instance,
    Observed,
    Publish,
    Queue,
    fold_into,
    serves,
)
from choreo.verify.engine.search import ExternalEvent, Option, Read, Transition, Upgrade
from choreo.verify.rollout.mixture import Rollout
from choreo.verify.rollout.search import Break, RolloutSearch, State

MOST_MOVES = 2_000
AT_THE_END = ("stranded", "kept", "late", "undone")


class BrokenError(Exception):
    """Raised where a saga breaks: how, as `choreo.verify.rollout.search` calls it."""


class Process:
    """A participant: its release, its state of the saga, how many events it has read."""

    def __init__(self, name: str, graph: SagaGraph) -> None:
        self.name = name
        self.saga = Instance()
        self.read = 0
        self.is_gone = False
        self.run(graph)

    def run(self, graph: SagaGraph) -> None:
        """Run a release."""
        self.graph, self.role = graph, role_of(graph, self.name)


class Move(NamedTuple):
    """Something that may happen next, and how likely it is."""

    weight: float
    make: Callable[[], None]


class World:
    """All participants of a saga while a release is rolled out, in an order or in any.

    ``in_turn``: nobody is upgraded before it has read what was in the topic at the upgrade before.
    """

    def __init__(
        self,
        old: SagaGraph,
        new: SagaGraph,
        random: Random,
        order: Sequence[str] | None = None,
        *,
        in_turn: bool = False,
    ) -> None:
        self.old, self.new, self.random = old, new, random
        self.topic: list[Envelope] = []
        names = dict.fromkeys((*old.participants, *new.participants))
        self.processes = {name: Process(name, old if name in old.participants else new) for name in names}
        self.joining = names.keys() - set(old.participants)
        for name in self.joining:
            self.processes[name].is_gone = True
        self.left = list(names if order is None else order)
        if order is None:
            random.shuffle(self.left)
        self.in_turn, self.mark = in_turn, 0
        self.failures, self.deadlines = random.randint(0, 1), random.randint(0, 1)
        self.cancellations = random.randint(0, 1) if old.contract.aborts else 0
        self.done: dict[str, str] = {}
        self.undone: dict[str, str] = {}
        self.calls: dict[str, frozenset[str]] = {}
        self.speed = {name: random.choice([0.1, 1, 1, 3]) for name in names}
        self.upgrades = random.choice([0.03, 0.1, 0.3, 1])

    def run(self) -> None:
        """Let things happen until nothing can any more; raise where the saga is broken."""
        self._start()
        for _ in range(MOST_MOVES):
            moves = [*self._moves(self.deadlines), *self._upgrades()]
            moves = moves or self._moves(1)
            if not moves:
                break
            self.random.choices(moves, [each.weight for each in moves])[0].make()
        self.check_end()

    def _start(self) -> None:
        early = [name for name in self.left if self.random.random() < 0.1]
        while self.left and self.left[0] in early:
            self.upgrade(self.left[0])
        owner = next(each for each in self.processes.values() if each.role.owns_start)
        self.fold(owner, Ended(START, SUCCEEDED, self.old.contract.starts))

    def _moves(self, deadlines: int) -> list[Move]:
        here = [each for each in self.processes.values() if not each.is_gone]
        return [move for each in here for move in self._moves_of(each, deadlines)]

    def _moves_of(self, process: Process, deadlines: int) -> Iterator[Move]:
        speed = self.speed[process.name]
        if process.read < len(self.topic):
            yield Move(speed, partial(self.read, process))
        for name, progress in process.saga.steps.items():
            if progress.activity in ("queued", "running"):
                yield Move(speed, partial(self._act, process, name))
        for name, state in process.saga.deadlines.items():
            if deadlines and state == "armed":
                yield Move(0.1, partial(self._pass, process, name))
        if self.cancellations and process.role.owns_start and not process.saga.end:
            yield Move(0.05, partial(self._cancel, process))

    def _upgrades(self) -> list[Move]:
        following = self.processes[self.left[0]] if self.left else None
        if following is None or (self.in_turn and not following.is_gone and following.read < self.mark):
            return []
        return [Move(self.upgrades, lambda: self.upgrade(self.left[0]))]

    def read(self, process: Process) -> None:
        """Let a participant read its next event."""
        process.read += 1
        self.fold(process, self.topic[process.read - 1])

    def upgrade(self, name: str) -> None:
        """Upgrade a participant, which keeps what it did; raise where its saga needs what is gone."""
        process = self.processes[name]
        self._refuse_to_forget(process)
        self.left = [each for each in self.left if each != name]
        process.run(self.new)
        for step in [each for each in process.saga.steps if each not in process.role.action]:
            del process.saga.steps[step]
        process.is_gone = name not in self.new.participants
        self.mark = len(self.topic)

    def _refuse_to_forget(self, process: Process) -> None:
        saga, name = process.saga, process.name
        steps = ((self.old.steps.get(step), progress) for step, progress in saga.steps.items())
        for old, progress in steps:
            if old is None or saga.is_at_rest:
                continue
            new = self.new.steps.get(old.name)
            new = new if new and new.participant == name else None
            undone = progress.state in ("completed", "compensating")
            lost = _undoes(old, progress.result) and not _undoes(new, progress.result)
            if (undone and lost) or (progress.activity != "idle" and new is None):
                raise BrokenError("refused")
        armed = {each for each, state in saga.deadlines.items() if state == "armed"}
        if armed - role_of(self.new, name).deadline.keys() and not saga.is_at_rest:
            raise BrokenError("refused")

    def _act(self, process: Process, name: str) -> None:
        progress, step = process.saga.step(name), process.graph.steps[name]
        if progress.state == "compensating":
            self.compensate(process, name)
        elif progress.activity == "queued":
            self.fold(process, Begin(name))
        elif self.failures and step.failures and self.random.random() < 0.25:
            self.failures -= 1
            self.end(process, Ended(name, FAILED, step.failures[0]))
        else:
            self.end(process, Ended(name, SUCCEEDED, self.random.choice(step.successes)))

    def end(self, process: Process, ended: Ended) -> None:
        """End a step; raise where another one has done the same."""
        if ended.outcome == SUCCEEDED:
            if any(event == ended.type and step != ended.step for step, event in self.done.items()):
                raise BrokenError("repeated")
            self.done[ended.step] = ended.type
            if not self.calls.get(ended.step, frozenset()).isdisjoint(self.undone.values()):
                raise BrokenError("early")
        self.fold(process, ended)

    def compensate(self, process: Process, name: str) -> None:
        """Compensate a step."""
        undo = process.graph.steps[name].compensation_after(process.saga.step(name).result)
        event = self.done.pop(name, "")
        if process.saga.outcomes.get(name) == SUCCEEDED and name != START:
            self.undone[name] = event
            if any(event in self.calls.get(step, ()) for step in self.done):
                raise BrokenError("early")
        self.fold(process, Ended(name, COMPENSATED, next(iter(undo.emits.successes)) if undo else ""))

    def _pass(self, process: Process, name: str) -> None:
        self.deadlines = max(self.deadlines - 1, 0)
        self.fold(process, Due(name))

    def _cancel(self, process: Process) -> None:
        self.cancellations -= 1
        self.publish(process, CANCEL, SUCCEEDED, self.old.contract.aborts)

    def fold(self, process: Process, item: Input) -> None:
        """Fold an input of a participant, and publish what it decides."""
        for decision in fold_into(process.role, process.saga, item):
            match decision:
                case Publish() | Answer() | Expire():
                    self.publish(process, *process.role.outcome_of(decision))
                case Queue("action", name):
                    step = process.graph.steps[name]
                    self.calls[name] = step.trigger.types if step.compensations else frozenset()
                case Queue("observer", name):
                    self.fold(process, Observed(name))
                case Bury():
                    raise BrokenError("refused")

    def publish(self, process: Process, step: str, outcome: str, event: str) -> None:
        """Append an event to the topic."""
        known = process.graph.steps.get(step)
        kind = known.kind if known and outcome != TIMED_OUT else COMPENSATABLE
        number = f"{step}/{outcome}/{event}"
        saga = self.old.name
        self.topic.append(
            Envelope(number, process.name, event, 0, "", saga, 1, step, outcome, kind)  # type: ignore[arg-type]
        )

    def check_end(self) -> None:
        """Raise where the saga has not ended rightly."""
        sagas = [each.saga for each in self.processes.values() if not each.is_gone]
        if any(not saga.end for saga in sagas):
            raise BrokenError("stranded")
        if sagas[0].end == "failed" and self.done:
            raise BrokenError("kept")
        for saga in sagas:
            for name, progress in saga.steps.items():
                is_undone = progress.state == "compensated"
                if saga.end == "failed" and is_undone and name not in saga.compensated:
                    raise BrokenError("late")
                back = progress.state == "compensated" and saga.outcomes.get(name) == SUCCEEDED
                if saga.end == "completed" and back:
                    raise BrokenError("undone")


def _undoes(step: Step | None, result: str) -> bool:
    return step is not None and any(serves(undo, result) or not result for undo in step.compensations)


def walks(
    old: SagaGraph, new: SagaGraph, seed: str, count: int, order: Sequence[str] | None = None
) -> Counter[str]:
    """Return how often a saga breaks in which way, in so many runs at random."""
    found: Counter[str] = Counter()
    for number in range(count):
        world = World(old, new, Random(f"{seed}/{number}"), order, in_turn=order is not None)
        try:
            world.run()
        except BrokenError as broken:
            found[str(broken)] += 1
    return found


def replayed(rollout: Rollout, found: Break) -> str:
    """Return how the saga breaks where each participant for itself does what a break says, or nothing."""
    world = World(rollout.old, rollout.new, Random(0), rollout.changed)
    search = RolloutSearch(rollout, 2)
    state = State(Instance(), (), frozenset(), frozenset(), search.untroubled)
    came: list[Envelope] = []
    try:
        for transition in found.transitions:
            _take(world, transition)
            if transition != found.transitions[-1] or found.signature.how in AT_THE_END:
                came += state.unread[:1] if isinstance(transition.input, Read) else ()
                state = search.after(state, Option(transition))
                _in_order(world, [*came, *state.unread])
        for each in world.processes.values():
            while each.read < len(world.topic) and not each.is_gone:
                world.read(each)
        world.check_end()
    except BrokenError as broken:
        return str(broken)
    return ""


def _take(world: World, transition: Transition) -> None:
    match transition.input:
        case Upgrade(participant):
            _upgrade(world, participant)
        case Read():
            for each in world.processes.values():
                if not each.is_gone:
                    world.read(each)
        case ExternalEvent(step, outcome, event):
            owner = next(each for each in world.processes.values() if each.role.owns_start)
            world.publish(owner, step, outcome, event)
        case Due(name) as due:
            world.fold(next(each for each in world.processes.values() if name in each.role.deadline), due)
        case Begin() | Ended() as item:
            _act(world, item)


def _upgrade(world: World, participant: str) -> None:
    """Upgrade a participant; one that is new reads all that the others have read."""
    come = max(each.read for each in world.processes.values())
    world.upgrade(participant)
    while world.processes[participant].read < come:
        world.read(world.processes[participant])


def _act(world: World, item: Begin | Ended) -> None:
    owner = next(each for each in world.processes.values() if item.step in each.role.action)
    if isinstance(item, Begin):
        world.fold(owner, item)
    elif item.outcome == COMPENSATED:
        world.compensate(owner, item.step)
    else:
        world.end(owner, item)


def _in_order(world: World, events: Sequence[Envelope]) -> None:
    """Let events that several participants published at once be in the order that the search gave them.

    A participant that joined may have answered already what it answers later in the search.
    """
    place = {(each.step, each.type): number for number, each in enumerate(events)}
    came = {(each.step, each.type): each.source for each in world.topic}
    assert (len(came), len(place)) == (len(world.topic), len(events))
    assert place.keys() <= came.keys()
    assert {came[each] for each in came.keys() - place.keys()} <= world.joining
    world.topic.sort(key=lambda each: place.get((each.step, each.type), len(place)))

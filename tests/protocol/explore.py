"""An exhaustive explorer: every interleaving of a small saga, with every check on every path.

A world is the log, and for every participant what it has read, what it knows, what it is doing and what
it has not yet published. All of it moves one small step at a time. Whatever the protocol decides is carried
out literally, so a decision that makes no sense (to drop what was never queued, to say a thing twice) is
a violation too.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from choreo import protocol
from choreo.outcome import COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT
from choreo.protocol import (
    Begin,
    Buried,
    Deferred,
    Discarded,
    Due,
    Ended,
    Input,
    Instance,
    Progress,
    Requeued,
)
from choreo.protocol.inputs import EARLIER

from .sagas import CANCELLED, FAILS, STARTED, Saga


class Budget(NamedTuple):
    """How much may still go wrong."""

    failures: int = 0
    deadlines: int = 0
    cancellations: int = 0
    pauses: int = 0
    dead_letters: int = 0
    repeats: int = 0

    def without(self, name: str) -> Budget:
        return self._replace(**{name: getattr(self, name) - 1})


class Member(NamedTuple):
    """One participant: its place in the log, what it knows (a number), and what it is busy with."""

    position: int = 0
    instance: int = 0
    queued: frozenset[tuple[str, str]] = frozenset()
    running: frozenset[tuple[str, str]] = frozenset()
    armed: frozenset[str] = frozenset()
    outbox: tuple[str, ...] = ()


class Done(NamedTuple):
    """An action that took effect, after these events; or an attempt that may have, and will be repeated."""

    step: str
    causes: frozenset[str]
    whole: bool = True


class World(NamedTuple):
    """Everything at one moment. Only the checks know ``done``, ``undone`` and ``published``."""

    members: tuple[Member, ...]
    budget: Budget
    log: tuple[str, ...] = ()
    done: frozenset[Done] = frozenset()
    undone: frozenset[str] = frozenset()
    published: frozenset[str] = frozenset()
    begun: bool = False
    imports: frozenset[str] = frozenset()

    def at(self, place: int, **changes: Any) -> World:
        members = list(self.members)
        members[place] = members[place]._replace(**changes)
        return self._replace(members=tuple(members))


class Move(NamedTuple):
    """One small step of one participant; ``item`` is the command that it folds, where it folds one."""

    what: str
    place: int
    item: Any = None


class Violation(AssertionError):
    """Something happened that must not."""


def require(held: object, complaint: str) -> None:
    if not held:
        raise Violation(complaint)


_LEGAL = {
    ("pending", "executing"),
    ("pending", "completed"),
    ("pending", "failed"),
    ("pending", "refused"),
    ("pending", "compensating"),
    ("executing", "completed"),
    ("executing", "failed"),
    ("executing", "refused"),
    ("executing", "compensating"),
    ("completed", "compensating"),
    ("compensating", "compensated"),
    ("compensating", "failed"),
}


class Machine:
    """The moves of one saga, and the checks on each.

    ``outside``: handlers run outside the transaction, so other things may come between a step's begin
    and its result. ``reduce``: of a participant that has nothing to do but read on, only the reading is
    tried first. It commutes with every other move: it appends to no log, only to its own outbox and queue.
    """

    def __init__(self, saga: Saga, *, outside: bool = False, reduce: bool = True) -> None:
        self.saga = saga
        self.outside = outside
        self.reduce = reduce
        self.roles = saga.roles
        self.instances: list[Instance] = [Instance()]
        self.journal: list[tuple[int, Input]] = []
        self._number: dict[Any, int] = {self.instances[0].key(): 0}
        self._folded: dict[tuple[Any, ...], tuple[int, list[Any]]] = {}
        self._emitter = {event.type: event.step for event in saga.events.values()}

    def start(self, budget: Budget) -> World:
        return World(tuple(Member() for _ in self.roles), budget, imports=frozenset(self.saga.imports))

    def knows(self, world: World, place: int) -> Instance:
        return self.instances[world.members[place].instance]

    # What may happen next

    def moves(self, world: World) -> list[Move]:
        if self.reduce:
            for place, member in enumerate(world.members):
                if self._only_reads(world, place, member):
                    return [Move("read", place)]
        found = list(self._from_outside(world))
        for place, member in enumerate(world.members):
            if member.position < len(world.log):
                found.append(Move("read", place))
            if member.outbox:
                found.append(Move("publish", place))
                if world.budget.repeats:
                    found.append(Move("publish and forget", place))
            found.extend(self._tasks(world, place, member))
        return found

    def _only_reads(self, world: World, place: int, member: Member) -> bool:
        waits = member.armed and world.budget.deadlines
        unbegun = place == 0 and not world.begun
        unread = member.position < len(world.log)
        return unread and not (
            member.queued or member.running or waits or unbegun or self._dead(world, place)
        )

    def _dead(self, world: World, place: int) -> list[str]:
        return [name for name, p in self.knows(world, place).steps.items() if p.activity == "dead"]

    def _from_outside(self, world: World) -> Iterator[Move]:
        if not world.begun:
            yield Move("begin", 0, Ended(START, SUCCEEDED, STARTED))
        if world.budget.cancellations:
            yield Move("cancel", 0)
        if STARTED in world.log:
            yield from (Move("import", 0, name) for name in sorted(world.imports))

    def _tasks(self, world: World, place: int, member: Member) -> Iterator[Move]:
        if world.budget.deadlines:
            for name in member.armed:
                yield Move("due", place, Due(name))
        for task, name in member.running:
            yield from (Move("end", place, item) for item in self._endings(world, task, name))
        for task, name in member.queued:
            if self.outside:
                yield Move("run", place, Begin(name))
            else:
                for item in self._endings(world, task, name):
                    yield Move("do", place, item)
        yield from self._dead_letters(world, place)

    def _dead_letters(self, world: World, place: int) -> Iterator[Move]:
        for name in self._dead(world, place):
            yield Move("requeue", place, Requeued(name))
            if name == START or self.saga.step[name].can_fail:
                yield Move("discard", place, Discarded(name))

    def _endings(self, world: World, task: str, name: str) -> Iterator[Input]:
        if task == "compensation":
            yield Ended(name, COMPENSATED, self._compensated(world, name))
        else:
            step = self.saga.step[name]
            for result in step.results:
                yield Ended(name, SUCCEEDED, result)
            if world.budget.failures and step.can_fail:
                yield Ended(name, FAILED, step.failure)
                yield Ended(name, FAILED, step.failure, "partial" if step.partial else "raised")
        if world.budget.pauses:
            yield Deferred(name)
        if world.budget.dead_letters:
            yield Buried(name)

    def _compensated(self, world: World, name: str) -> str:
        """Return the event that the compensation of this step returns, by what the step had emitted."""
        if name == START:
            return FAILS
        place = 1 + [step.name for step in self.saga.steps].index(name)
        step, result = self.saga.step[name], self.knows(world, place).step(name).result
        if len(step.results) == 1 or not result:
            return step.answers[0]
        return step.answers[step.results.index(result)]

    # Carrying it out

    def make(self, world: World, move: Move) -> World:
        place, member = move.place, world.members[move.place]
        match move.what:
            case "read":
                event = self.saga.events[world.log[member.position]]
                return self._fold_at(world.at(place, position=member.position + 1), place, event)
            case "publish" | "publish and forget" | "cancel" | "import":
                return self._append(world, move)
            case "begin":
                world = world._replace(begun=True, done=world.done | {Done(START, frozenset())})
                return self._fold_at(world, place, move.item)
            case "due":
                world = world._replace(budget=world.budget.without("deadlines"))
                return self._fold_at(world, place, move.item)
            case "do" | "end":
                return (self._do if move.what == "do" else self._end)(world, place, move.item)
            case "discard":
                world = self._done_by_hand(world, place, move.item.name)
            case "run":
                return self._begin(world, place, move.item)
        return self._fold_at(world, place, move.item)

    def _append(self, world: World, move: Move) -> World:
        """Let the log grow: by what waits in an outbox, by a cancellation, or by an import."""
        place, member = move.place, world.members[move.place]
        if move.what == "import":
            return world._replace(log=(*world.log, move.item), imports=world.imports - {move.item})
        if move.what == "cancel":
            return world._replace(log=(*world.log, CANCELLED), budget=world.budget.without("cancellations"))
        world = world._replace(log=(*world.log, member.outbox[0]))
        if move.what == "publish":
            return world.at(place, outbox=member.outbox[1:])
        return world._replace(budget=world.budget.without("repeats"))

    def _begin(self, world: World, place: int, item: Begin) -> World:
        """Take a step out of the queue; the protocol says whether it runs."""
        member = world.members[place]
        queued = frozenset(task for task in member.queued if task[1] != item.step)
        return self._fold_at(world.at(place, queued=queued), place, item)

    def _do(self, world: World, place: int, ending: Any) -> World:
        """Begin a step and end it, in one transaction; if it isn't to run, that is all."""
        world = self._begin(world, place, Begin(ending[0]))
        return self._end(world, place, ending) if world.members[place].running else world

    def _end(self, world: World, place: int, ending: Any) -> World:
        (task,) = (task for task in world.members[place].running if task[1] == ending[0])
        if isinstance(ending, Ended) and task[0] == "action":
            action = self.roles[place].action[ending.step]
            ending = ending.after_attempts(action, self.knows(world, place).step(ending.step))
        world = world.at(place, running=world.members[place].running - {task})
        if isinstance(ending, Buried):
            world = world._replace(budget=world.budget.without("dead_letters"))
            return self._fold_at(world, place, ending)
        if isinstance(ending, Deferred):
            return self._pause(world, place, task, ending)
        if task[0] == "compensation":
            world = self._undo_takes_effect(world, task[1])
        elif ending.outcome == SUCCEEDED or (ending.how == "partial" and ending.reason != EARLIER):
            world = self._action_takes_effect(world, place, task[1])
        if ending.outcome == FAILED:
            world = world._replace(budget=world.budget.without("failures"))
        before = world.published
        world = self._fold_at(world, place, ending)
        if task[0] == "compensation" or ending.outcome == SUCCEEDED:
            published = world.published != before or self.knows(world, place).end
            require(published, f"what {task} did is published to nobody")
        return world

    def _done_by_hand(self, world: World, place: int, name: str) -> World:
        """Who discards a compensation has done it; who discards an action has seen to what it left."""
        if self.knows(world, place).step(name).state == "compensating":
            return self._undo_takes_effect(world, name)
        return world._replace(done=frozenset(done for done in world.done if done.step != name))

    def _pause(self, world: World, place: int, task: tuple[str, str], ending: Deferred) -> World:
        world = world._replace(budget=world.budget.without("pauses"))
        if task[0] == "action" and self.saga.step[task[1]].partial:
            attempt = self._done(world, place, task[1])._replace(whole=False)
            world = world._replace(done=world.done | {attempt})
        world = self._fold_at(world, place, ending)
        if self.knows(world, place).step(task[1]).activity == "waiting":
            world = world.at(place, queued=world.members[place].queued | {task})
        return world

    def fold(self, place: int, number: int, item: Input) -> tuple[int, list[Any]]:
        key = (place, number, type(item), item)  # tuples of two types may be equal
        if key not in self._folded:
            saga, decisions = protocol.fold(self.roles[place], self.instances[number], item)
            after = self._number.setdefault(saga.key(), len(self.instances))
            if after == len(self.instances):
                self.instances.append(saga)
            self._folded[key] = after, decisions
        return self._folded[key]

    def _fold_at(self, world: World, place: int, item: Input) -> World:
        self.journal.append((place, item))
        number, decisions = self.fold(place, world.members[place].instance, item)
        world = world.at(place, instance=number)
        for decision in decisions:
            world = self._obey(world, place, decision)
        return world

    def _obey(self, world: World, place: int, decision: Any) -> World:
        member = world.members[place]
        match decision:
            case protocol.Moved(step, old, new):
                require((old, new) in _LEGAL, f"{step} goes from {old} to {new}")
            case protocol.Queue(task, name):
                require((task, name) not in member.queued | member.running, f"{name} is queued twice")
                return world.at(place, queued=member.queued | {(task, name)})
            case protocol.Drop(task, name):
                require((task, name) in member.queued, f"{name} is dropped and was not queued")
                return world.at(place, queued=member.queued - {(task, name)})
            case protocol.Run(task, name):
                self._check_run(world, place, task, name)
                return world.at(place, running=member.running | {(task, name)})
            case protocol.Publish(step, outcome, name) | protocol.Answer(step, outcome, name):
                event = self.saga.events.get(name)
                require(event, f"{step} says {name!r}: there is no such event")
                require((event.step, event.outcome) == (step, outcome), f"{step} says {name} as {outcome}")
                return self._say(world, place, name)
            case protocol.Bury() | protocol.Unowned():
                raise Violation(f"{decision} is decided, and nothing is wrong")
        return self._schedule(world, place, decision)

    def _schedule(self, world: World, place: int, decision: Any) -> World:
        member = world.members[place]
        match decision:
            case protocol.Arm(name):
                return world.at(place, armed=member.armed | {name})
            case protocol.Disarm(name):
                require(name in member.armed, f"{name} is disarmed and was not armed")
                return world.at(place, armed=member.armed - {name})
            case protocol.Expire(name):
                world = world.at(place, armed=member.armed - {name})
                return self._say(world, place, self.roles[place].deadline[name].answer)
        return world

    def _say(self, world: World, place: int, name: str) -> World:
        require(name not in world.published, f"{name} is published twice")
        outbox = (*world.members[place].outbox, name)
        return world.at(place, outbox=outbox)._replace(published=world.published | {name})

    # What must hold of every effect

    def _check_run(self, world: World, place: int, task: str, name: str) -> None:
        saga = self.knows(world, place)
        if task == "action" and self.saga.step[name].can_fail:
            require(not saga.end, f"one-end: {name} begins after the end")
            require(not saga.aborted, f"R4: {name} begins and the saga is aborted")

    def _action_takes_effect(self, world: World, place: int, name: str) -> World:
        whole = {done.step for done in world.done if done.whole}
        require(name not in whole, f"done-once: {name} is done twice")
        require(name not in world.undone, f"no-late-action: {name} is done after it was undone")
        answered = {self.saga.step[name].failure, *self.saga.step[name].answers} & world.published
        require(not answered, f"no-late-action: {name} is done after it has answered {answered}")
        counted = self._winners(world.log)
        require(self.saga.step[name].on.satisfied(counted), f"R3: {name}'s trigger doesn't count")
        earlier = frozenset(done for done in world.done if done.step != name)
        return world._replace(done=earlier | {self._done(world, place, name)})

    def _done(self, world: World, place: int, name: str) -> Done:
        return Done(name, self.saga.step[name].on.types & self.knows(world, place).types)

    def _undo_takes_effect(self, world: World, name: str) -> World:
        require(name not in world.undone, f"compensated-once: {name} is undone twice")
        require(name in {done.step for done in world.done}, f"action-first: {name} was not done")
        later = {done.step for done in world.done if name in self._before(world, done)} - world.undone
        require(not later, f"reverse-order: {name} is undone before {later}")
        return world._replace(undone=world.undone | {name})

    def _before(self, world: World, done: Done) -> set[str]:
        """Return the steps that came causally before one that is done."""
        causes = {self._emitter[cause] for cause in done.causes}
        further = (self._before(world, other) for other in world.done if other.step in causes)
        return causes.union(*further)

    def _winners(self, log: tuple[str, ...]) -> set[str]:
        """Return the first outcome of each step, and every compensated: R3, written a second time."""
        first: dict[str, str] = {}
        events = [self.saga.events[name] for name in log]
        for event in events:
            if event.outcome != COMPENSATED:
                first.setdefault(event.step, event.type)
        return {*first.values(), *(event.type for event in events if event.outcome == COMPENSATED)}

    # What must hold where nothing can happen any more

    def check_end(self, world: World) -> str:
        """Check a world without moves; give how the saga ended."""
        views = [self.knows(world, place) for place in range(len(self.roles))]
        self._check_agreement(views)
        for saga in views:
            for name, progress in saga.steps.items():
                require(progress.activity == "idle", f"{name} is left {progress.activity}")
        require(views[0].end, "termination: the saga never ends")
        self._check_answers(world, views)
        done = {each.step for each in world.done}
        if views[0].end == "failed":
            require(done == world.undone, f"complete-rollback: {done - world.undone} is never undone")
        else:
            partial = {step.name for step in self.saga.steps if step.partial}
            require(world.undone <= partial, f"one-end: {world.undone} is undone and the saga completes")
        require(views[0].state == views[0].end, f"the saga has ended, and is {views[0].state}")
        return views[0].end

    def _check_agreement(self, views: list[Instance]) -> None:
        shared = {
            (
                saga.end,
                saga.state,
                saga.aborted,
                saga.failing,
                saga.failing_outcome,
                saga.pivoted,
                frozenset(saga.types),
                frozenset(saga.outcomes.items()),
                frozenset(saga.compensated),
            )
            for saga in views
        }
        require(len(shared) == 1, f"the participants disagree: {shared}")

    def _check_answers(self, world: World, views: list[Instance]) -> None:
        """R5: an answer is owed exactly when a step was triggered."""
        for step, saga in zip(self.saga.steps, views[1:], strict=True):
            published = {step.failure, *step.answers, *step.results} & world.published
            came = saga.types - self._late_imports(world)
            half = saga.aborted and step.can_fail and step.on.touched(came)
            triggered = half or step.on.satisfied(came)
            if saga.step(step.name) == Progress():
                require(not triggered or saga.end == "completed", f"R5: {step.name} never answers")
                require(not published, f"R5: {step.name} publishes {published} and was never triggered")
            elif saga.end == "failed" and triggered and not step.on.types <= {*self.saga.imports}:
                require(published, f"R5: {step.name} was triggered and publishes nothing")
                timed_out = saga.outcomes.get(step.name) == TIMED_OUT
                if timed_out:
                    require(step.name in saga.compensated, f"R5: {step.name} is late and never confirms")

    def _late_imports(self, world: World) -> set[str]:
        """Return the imports that came when the saga was rolled back: they call nothing."""
        came: list[str] = []
        for name in world.log:
            event = self.saga.events[name]
            if event.outcome in (FAILED, TIMED_OUT) or name == CANCELLED:
                break
            came.append(name)
        return {*self.saga.imports}.difference(came)


@dataclass
class Explored:
    """What an exploration found."""

    states: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    last: set[tuple[Any, ...]] = field(default_factory=set)


def explore(machine: Machine, budget: Budget, limit: int = 1_000_000) -> Explored:
    """Visit every world that can be reached; raise `Violation`, with the way there, at the first bad one."""
    first = machine.start(budget)
    came: dict[World, tuple[World, Move] | None] = {first: None}
    found = Explored()
    open_worlds = [first]
    while open_worlds:
        world = open_worlds.pop()
        try:
            moves = machine.moves(world)
            if not moves:
                found.ends[machine.check_end(world)] += 1
                found.last.add((world.log, world.done, world.undone))
            for move in moves:
                after = machine.make(world, move)
                require(after != world, f"{move} leads nowhere")
                if after not in came:
                    came[after] = (world, move)
                    open_worlds.append(after)
        except Violation as error:
            raise Violation(f"{machine.saga.name}: {error}\n{_way(machine, came, world)}") from None
        machine.journal.clear()
        require(len(came) < limit, f"{machine.saga.name}: more than {limit} states")
    found.states = len(came)
    return found


def walk(machine: Machine, budget: Budget, chance: random.Random) -> World:
    """Go one random way to its end, checking everything; `machine.journal` holds what everybody folded."""
    world = machine.start(budget)
    way: list[str] = []
    machine.journal.clear()
    try:
        while moves := machine.moves(world):
            move = chance.choice(moves)
            way.append(_line(machine, world, move))
            after = machine.make(world, move)
            require(after != world, f"{move} leads nowhere")
            world = after
        machine.check_end(world)
    except Violation as error:
        raise Violation("\n".join([f"{machine.saga.name}: {error}", *way])) from None
    return world


def _way(machine: Machine, came: dict[World, tuple[World, Move] | None], world: World) -> str:
    lines = [f"  log: {world.log}"]
    while step := came[world]:
        world, move = step
        lines.append(_line(machine, world, move))
    return "\n".join(reversed(lines))


def _line(machine: Machine, world: World, move: Move) -> str:
    member = world.members[move.place]
    what = move.item or ""
    if move.what == "read":
        what = world.log[member.position]
    elif move.what.startswith("publish"):
        what = member.outbox[0]
    return f"  {machine.roles[move.place].participant}: {move.what} {what}"

"""The naive search: every interleaving of everybody's reading, working and publishing, breadth first.

No reduction, no slices, no causal order, no rule R7: worlds are visited until there are no more, and what
happens in them is judged by the properties of one run of `choreo.verify.properties` as their words say it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from choreo.manifest import Manifest, SagaEntry
from choreo.outcome import CANCEL, START, SUCCEEDED, TIMED_OUT
from choreo.protocol import Instance
from tests.verify.naive_participant import (
    Effect,
    Move,
    NaiveParticipant,
    Published,
    Violation,
    kinds_of,
    written_out,
)

T = TypeVar("T")

CANCELLING = "it is cancelled"


class Budget(NamedTuple):
    """How much may go wrong in one run."""

    failures: int = 1
    deadlines: int = 1
    cancellations: int = 1
    letters: int = 0

    def without(self, costs: str) -> Budget | None:
        """Give what is left after a move; None where it can't be afforded."""
        if not costs:
            return self
        field = {"f": "failures", "d": "deadlines", "c": "cancellations", "l": "letters"}[costs]
        left = getattr(self, field) - 1
        return None if left < 0 else self._replace(**{field: left})


class Done(NamedTuple):
    """A step that took effect (or, not ``whole``, an attempt that may have), and all that it stands upon."""

    step: str
    before: frozenset[str]
    whole: bool = True


class Past(NamedTuple):
    """What really happened: nobody's knowledge, the judge's own."""

    done: frozenset[Done] = frozenset()
    undone: frozenset[str] = frozenset()


class World(NamedTuple):
    """Everything at one moment: position and state of each participant in turn; log and past by number."""

    places: tuple[int, ...]
    log: int
    past: int
    budget: Budget
    begun: bool
    imports: frozenset[str]


class Verdict(NamedTuple):
    """What the search found: the first thing that is wrong with the way there, or nothing."""

    wrong: str
    states: int
    way: tuple[str, ...] = ()
    ends: frozenset[str] = frozenset()

    @property
    def property(self) -> str:
        """The property that is broken."""
        return self.wrong.partition(":")[0]


class TooLarge(Exception):
    """There are more worlds than were asked for."""


class Search:
    """The worlds of one saga."""

    def __init__(self, manifests: Sequence[Manifest], saga: SagaEntry) -> None:
        manifests = written_out(manifests)
        taking_part = [each for each in manifests if any(entry.name == saga.name for entry in each.sagas)]
        kinds = kinds_of(taking_part, saga.name)
        self.saga = saga
        self.seats = [NaiveParticipant(manifest, saga, kinds) for manifest in taking_part]
        self.kinds = kinds
        self.starter = next((n for n, seat in enumerate(self.seats) if seat.role.owns_start), -1)
        self.imports = {
            f"{m.participant}.{each.event.rpartition('.')[2]}": each.event
            for m in taking_part
            for each in m.external
            if each.saga == saga.name and each.direction == "import"
            if each.event not in (saga.starts, saga.aborts)
        }
        self._partial = {h.step for m in taking_part for h in m.handlers if h.partial}
        self._emitter = dict(self._emitters(taking_part))
        self.logs: list[tuple[Published, ...]] = [()]
        self._log_of: dict[tuple[Published, ...], int] = {(): 0}
        self.pasts = [Past()]
        self._past_of = {Past(): 0}
        self._after: dict[tuple[int, Effect], int] = {}

    def _emitters(self, manifests: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
        yield self.saga.starts, START
        for step, event in self.imports.items():
            yield event, step
        for manifest in manifests:
            for handler in manifest.handlers:
                for event in (*handler.emits.successes, *handler.emits.failures):
                    yield event, handler.step

    def run(self, budget: Budget, limit: int) -> Verdict:
        """Visit every world; raise `TooLarge` where there are more than ``limit``."""
        first = World((0, 0) * len(self.seats), 0, 0, budget, False, frozenset(self.imports))
        came: dict[World, tuple[World | None, str]] = {first: (None, "")}
        waiting, ends = deque([first]), set()
        while waiting:
            world = waiting.popleft()
            stuck = True
            try:
                for label, after in self._next(world):
                    stuck = stuck and label == CANCELLING  # nobody has to
                    if after not in came:
                        came[after] = (world, label)
                        waiting.append(after)
                if stuck:
                    ends.add(self._judge_end(world))
            except Violation as wrong:
                return Verdict(str(wrong), len(came), _way(came, world), frozenset(ends))
            if len(came) > limit:
                raise TooLarge(f"more than {limit} states")
        return Verdict("", len(came), (), frozenset(ends))

    def _next(self, world: World) -> Iterator[tuple[str, World]]:
        yield from self._from_outside(world)
        log = self.logs[world.log]
        for place, seat in enumerate(self.seats):
            position, number = world.places[2 * place : 2 * place + 2]
            if position < len(log):
                move = seat.read(number, log[position])
                _refuse(move.wrong)
                yield move.label, _moved(world, place, position + 1, move.after)
            if seat.states[number].outbox:
                after, event = seat.published(number)
                _refuse_twice(log, event)
                given = _moved(world, place, position, after)
                yield (
                    f"{seat.name} publishes {event.type}",
                    given._replace(log=self._append(world.log, event)),
                )
            for move in seat.moves(number):
                budget = world.budget.without(move.costs)
                if budget is not None:
                    yield move.label, self._opted(world, place, move, budget)

    def _opted(self, world: World, place: int, move: Move, budget: Budget) -> World:
        _refuse(move.wrong)
        past = world.past
        for effect in move.effects:
            past = self._judged(past, effect)
        moved = _moved(world, place, world.places[2 * place], move.after)
        return moved._replace(budget=budget, past=past)

    def _from_outside(self, world: World) -> Iterator[tuple[str, World]]:
        if not world.begun:
            yield "it begins", self._begin(world)
        if self.saga.aborts and world.budget.cancellations:
            event = Published(CANCEL, SUCCEEDED, self.saga.aborts, "cancellation")
            budget = world.budget._replace(cancellations=world.budget.cancellations - 1)
            yield CANCELLING, world._replace(log=self._append(world.log, event), budget=budget)
        if world.imports and any(event.step == START for event in self.logs[world.log]):
            for step in sorted(world.imports):
                event = Published(step, SUCCEEDED, self.imports[step], "external")
                log, left = self._append(world.log, event), world.imports - {step}
                yield f"{step} is imported", world._replace(log=log, imports=left)

    def _begin(self, world: World) -> World:
        past = self._judged(world.past, Effect("did", START))
        if self.starter < 0:  # nobody owns the start: its event is there all the same
            event = Published(START, SUCCEEDED, self.saga.starts, "start")
            return world._replace(begun=True, past=past, log=self._append(world.log, event))
        position, number = world.places[2 * self.starter : 2 * self.starter + 2]
        move = self.seats[self.starter].begin(number)
        return _moved(world, self.starter, position, move.after)._replace(begun=True, past=past)

    def _append(self, log: int, event: Published) -> int:
        return _numbered((*self.logs[log], event), self.logs, self._log_of)

    def _judged(self, past: int, effect: Effect) -> int:
        key = past, effect
        if key not in self._after:
            after = self._judge(self.pasts[past], effect)
            self._after[key] = _numbered(after, self.pasts, self._past_of)
        return self._after[key]

    # What must hold of every effect

    def _judge(self, past: Past, effect: Effect) -> Past:
        step, others = effect.step, frozenset(done for done in past.done if done.step != effect.step)
        if effect.what == "did nothing":
            return past._replace(done=others)
        if effect.what == "undid":
            return self._judge_undo(past, step)
        if effect.what not in ("did", "may have done"):
            return past
        if step in {done.step for done in past.done if done.whole}:
            raise Violation(f"done-once: {step} is done twice")
        if step in past.undone:
            raise Violation(f"no-late-action: {step} is done after it was undone")
        before = self._ancestors(past, effect.causes)
        gone = before & past.undone
        if gone and step != START and self.kinds[step] == "compensatable":
            raise Violation(f"reverse-order: {step} is done upon {sorted(gone)}, which is undone")
        return past._replace(done=others | {Done(step, before, effect.what == "did")})

    def _ancestors(self, past: Past, causes: frozenset[str]) -> frozenset[str]:
        direct = {self._emitter[cause] for cause in causes if cause in self._emitter}
        further = (done.before for done in past.done if done.step in direct)
        return frozenset(direct).union(*further)

    def _judge_undo(self, past: Past, step: str) -> Past:
        if step in past.undone:
            raise Violation(f"compensated-once: {step} is undone twice")
        if step not in {done.step for done in past.done}:
            raise Violation(f"action-first: {step} is undone and was not done")
        later = sorted(d.step for d in past.done if step in d.before and d.step not in past.undone)
        if later:
            raise Violation(f"reverse-order: {step} is undone before {later}")
        return past._replace(undone=past.undone | {step})

    # What must hold where nothing can happen any more

    def _judge_end(self, world: World) -> str:
        views = [seat.knows(number) for seat, number in zip(self.seats, world.places[1::2], strict=True)]
        if len({(v.end, v.aborted, v.failing, frozenset(v.types)) for v in views}) > 1:
            raise Violation("one-end: the participants disagree")
        if not views[0].end:
            raise Violation("termination: nothing moves any more, and the saga has not ended")
        for view in views:
            for name, progress in view.steps.items():
                if progress.activity != "idle":
                    raise Violation(f"quiescence: {name} is left {progress.activity}")
        self._judge_past(self.pasts[world.past], views[0])
        return views[0].end

    def _judge_past(self, past: Past, view: Instance) -> None:
        done = {each.step for each in past.done}
        final = sorted(step for step in done if self.kinds.get(step) in ("pivot", "retriable"))
        if final and view.failing:
            raise Violation(f"no-failure-after-pivot: {view.failing} failed, and {final} can't be undone")
        if view.end == "failed" and done != past.undone:
            raise Violation(f"complete-rollback: {sorted(done - past.undone)} is never undone")
        if view.end == "completed" and past.undone - self._partial:
            raise Violation(f"one-end: {sorted(past.undone)} is undone, and the saga completes")


def _numbered(value: T, values: list[T], numbers: dict[T, int]) -> int:
    number = numbers.setdefault(value, len(values))
    if number == len(values):
        values.append(value)
    return number


def _moved(world: World, place: int, position: int, number: int) -> World:
    at = 2 * place
    places = (*world.places[:at], position, number, *world.places[at + 2 :])
    return World(places, world.log, world.past, world.budget, world.begun, world.imports)


def _refuse(wrong: str) -> None:
    if wrong:
        raise Violation(wrong)


def _refuse_twice(log: tuple[Published, ...], event: Published) -> None:
    if event in log and event.outcome != TIMED_OUT:
        raise Violation(f"done-once: {event.type} is said twice")


def _way(came: dict[World, tuple[World | None, str]], world: World) -> tuple[str, ...]:
    labels: list[str] = []
    at: World | None = world
    while at is not None:
        at, label = came[at]
        labels.append(label)
    return tuple(reversed(labels[:-1]))

"""The naive search: every interleaving of everybody's reading, working and publishing, breadth first.

No reduction, no slices, no causal order, no rule R7: states are visited until there are no more, and what
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
        """Return the budget that a move leaves; None where it can't be afforded."""
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


class GlobalState(NamedTuple):
    """Everything at one moment: position and state of each participant in turn; log and past by number."""

    places: tuple[int, ...]
    log: int
    past: int
    budget: Budget
    begun: bool
    imports: frozenset[str]


class Verdict(NamedTuple):
    """What the search found: the first violation with the path to it, or nothing."""

    wrong: str
    states: int
    path: tuple[str, ...] = ()
    ends: frozenset[str] = frozenset()

    @property
    def property(self) -> str:
        """The property that is broken."""
        return self.wrong.partition(":")[0]


class TooLarge(Exception):
    """There are more states than were asked for."""


class Search:
    """The states of one saga."""

    def __init__(self, manifests: Sequence[Manifest], saga: SagaEntry) -> None:
        manifests = written_out(manifests)
        taking_part = [each for each in manifests if any(entry.name == saga.name for entry in each.sagas)]
        kinds = kinds_of(taking_part, saga.name)
        self.saga = saga
        self.participants = [NaiveParticipant(manifest, saga, kinds) for manifest in taking_part]
        self.kinds = kinds
        self.starter = next(
            (n for n, participant in enumerate(self.participants) if participant.role.owns_start), -1
        )
        self.imports = {
            f"{m.participant}.{each.event.rpartition('.')[2]}": each.event
            for m in taking_part
            for each in m.external
            if each.saga == saga.name and each.direction == "import"
            if each.event not in (saga.starts, saga.aborts)
        }
        self._emitter = dict(self._emitters(taking_part))
        self.logs: list[tuple[Published, ...]] = [()]
        self._log_after: dict[tuple[int, Published], int] = {}
        self.pasts = [Past()]
        self._past_of = {Past(): 0}
        self._after: dict[tuple[int, Effect], int] = {}

    def forget(self) -> None:
        """Let go of what is known of the states; there will be no further search."""
        for participant in self.participants:
            participant.forget()

    def _emitters(self, manifests: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
        yield self.saga.starts, START
        for step, event in self.imports.items():
            yield event, step
        for manifest in manifests:
            for handler in manifest.handlers:
                for event in (*handler.emits.successes, *handler.emits.failures):
                    yield event, handler.step

    def run(self, budget: Budget, limit: int, *, foresees: bool = False) -> Verdict:
        """Visit every state; raise `TooLarge` where there are more than ``limit``.

        Where it ``foresees``, it stops as soon as so many states wait that there will be more.
        """
        first = GlobalState((0, 0) * len(self.participants), 0, 0, budget, False, frozenset(self.imports))
        reached: dict[GlobalState, tuple[GlobalState | None, str]] = {first: (None, "")}
        waiting, ends = deque([first]), set()
        while waiting:
            state = waiting.popleft()
            stuck = True
            try:
                for label, after in self._next(state):
                    stuck = stuck and label == CANCELLING  # nobody has to
                    if after not in reached:
                        reached[after] = (state, label)
                        waiting.append(after)
                if stuck:
                    ends.add(self.judge_end(state))
            except Violation as wrong:
                return Verdict(str(wrong), len(reached), _path_to(reached, state), frozenset(ends))
            if len(reached) > limit or (foresees and _will_exceed(limit, len(reached), len(waiting))):
                raise TooLarge(f"more than {limit} states")
        return Verdict("", len(reached), (), frozenset(ends))

    def _next(self, state: GlobalState) -> Iterator[tuple[str, GlobalState]]:
        yield from self._from_outside(state)
        log = self.logs[state.log]
        for place, participant in enumerate(self.participants):
            position, number = state.places[2 * place : 2 * place + 2]
            if position < len(log):
                move = participant.read(number, log[position])
                yield move.label, self._moved_by(state, place, position + 1, move, state.budget)
            if participant.states[number].outbox:
                after, event = participant.published(number)
                yield (
                    f"{participant.name} publishes {event.type}",
                    GlobalState(
                        _places(state, place, position, after),
                        self._publish(state.log, event),
                        state.past,
                        state.budget,
                        state.begun,
                        state.imports,
                    ),
                )
            for move in participant.moves(number):
                budget = state.budget.without(move.costs) if move.costs else state.budget
                if budget is not None:
                    yield move.label, self._moved_by(state, place, position, move, budget)

    def _moved_by(
        self, state: GlobalState, place: int, position: int, move: Move, budget: Budget
    ) -> GlobalState:
        after, wrong = move.result
        refuse(wrong)
        past = state.past
        for effect in move.effects:
            past = self.judged(past, effect)
        places = _places(state, place, position, after)
        return GlobalState(places, state.log, past, budget, state.begun, state.imports)

    def _from_outside(self, state: GlobalState) -> Iterator[tuple[str, GlobalState]]:
        if not state.begun:
            yield "it begins", self._begin(state)
        if self.saga.aborts and state.budget.cancellations:
            event = Published(CANCEL, SUCCEEDED, self.saga.aborts, "cancellation")
            budget = state.budget._replace(cancellations=state.budget.cancellations - 1)
            yield CANCELLING, state._replace(log=self._append(state.log, event), budget=budget)
        if state.imports and any(event.step == START for event in self.logs[state.log]):
            for step in sorted(state.imports):
                event = Published(step, SUCCEEDED, self.imports[step], "external")
                log, left = self._append(state.log, event), state.imports - {step}
                yield f"{step} is imported", state._replace(log=log, imports=left)

    def _begin(self, state: GlobalState) -> GlobalState:
        past = self.judged(state.past, Effect("did", START))
        if self.starter < 0:  # nobody owns the start: its event is there all the same
            event = Published(START, SUCCEEDED, self.saga.starts, "start")
            return state._replace(begun=True, past=past, log=self._append(state.log, event))
        position, number = state.places[2 * self.starter : 2 * self.starter + 2]
        move = self.participants[self.starter].begin(number)
        places = _places(state, self.starter, position, move.after)
        return state._replace(places=places, begun=True, past=past)

    def _publish(self, log: int, event: Published) -> int:
        if (log, event) not in self._log_after:
            refuse_twice(self.logs[log], event)
        return self._append(log, event)

    def _append(self, log: int, event: Published) -> int:
        number = self._log_after.setdefault((log, event), len(self.logs))
        if number == len(self.logs):
            self.logs.append((*self.logs[log], event))
        return number

    def judged(self, past: int, effect: Effect) -> int:
        """Return the past after an effect, by their numbers; raise `Violation` where it breaks a property."""
        key = past, effect
        known = self._after.get(key)
        if known is None:
            after = self._judge(self.pasts[past], effect)
            known = self._after[key] = _numbered(after, self.pasts, self._past_of)
        return known

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

    def judge_end(self, state: GlobalState) -> str:
        """Return how the saga ended where nothing moves any more; raise `Violation` where that is wrong."""
        views = [
            participant.knows(number)
            for participant, number in zip(self.participants, state.places[1::2], strict=True)
        ]
        if len({(v.end, v.aborted, v.failing, frozenset(v.types)) for v in views}) > 1:
            raise Violation("one-end: the participants disagree")
        if not views[0].end:
            raise Violation("termination: nothing moves any more, and the saga has not ended")
        for view in views:
            for name, progress in view.steps.items():
                if progress.activity != "idle":
                    raise Violation(f"quiescence: {name} is left {progress.activity}")
        self._judge_past(self.pasts[state.past], views[0])
        return views[0].end

    def _judge_past(self, past: Past, view: Instance) -> None:
        done = {each.step for each in past.done}
        if view.end == "failed" and done != past.undone:
            raise Violation(f"complete-rollback: {sorted(done - past.undone)} is never undone")
        undone = past.undone & {each.step for each in past.done if each.whole}  # an attempt may be undone
        if view.end == "completed" and undone:
            raise Violation(f"one-end: {sorted(undone)} is undone, and the saga completes")


_FEW = 1_000

_WAITING = 0.4
"""Where a larger share of the states waits, that far from the limit, there are more, but for one in 1,000."""


def _will_exceed(limit: int, reached: int, waiting: int) -> bool:
    return reached > _FEW and waiting > _WAITING * reached * (1 - reached / limit)


def _numbered(value: T, values: list[T], numbers: dict[T, int]) -> int:
    number = numbers.setdefault(value, len(values))
    if number == len(values):
        values.append(value)
    return number


def _places(state: GlobalState, place: int, position: int, number: int) -> tuple[int, ...]:
    at = 2 * place
    return (*state.places[:at], position, number, *state.places[at + 2 :])


def refuse(wrong: str) -> None:
    """Raise `Violation` where a move is wrong."""
    if wrong:
        raise Violation(wrong)


def refuse_twice(log: Sequence[Published], event: Published) -> None:
    """Raise `Violation` where an event is in the log already."""
    if event in log and event.outcome != TIMED_OUT:
        raise Violation(f"done-once: {event.type} is published twice")


def _path_to(
    reached: dict[GlobalState, tuple[GlobalState | None, str]], state: GlobalState
) -> tuple[str, ...]:
    labels: list[str] = []
    at: GlobalState | None = state
    while at is not None:
        at, label = reached[at]
        labels.append(label)
    return tuple(reversed(labels[:-1]))

"""A causal run: one scenario of a saga, folded by the protocol that the worker runs, with its data erased.

Everybody reads in step, so one fold of all roles together serves for all. What came because of what is
kept: two events that are not related so may come in either order, and a property that needs an order must
find it there (Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*, 1978).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.choreography import SagaGraph
from choreo.envelope import Envelope
from choreo.event import short_name
from choreo.outcome import CANCEL, COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT, Outcome
from choreo.protocol import (
    Answer,
    Arm,
    Bury,
    Decision,
    Due,
    Ended,
    Expire,
    Instance,
    Observed,
    Publish,
    Queue,
    Role,
    fold_into,
)
from choreo.verify.finding import TraceLine

_LONGEST = 100_000
"""More events than any run of a saga without cycles can have."""


class Scenario(NamedTuple):
    """What goes wrong in a run: a step ``fails`` with an event, a deadline passes, or it is cancelled.

    ``cancelled_at`` counts the events of the log before the cancellation; ``choices`` says which success
    event a step emits where it has several.
    """

    title: str
    fails: str = ""
    failure: str = ""
    late: str = ""
    cancelled_at: int = -1
    choices: Mapping[str, str] = {}


@dataclass
class Happened:
    """One event of a run's log: its step, its outcome, and the numbers of the events that caused it."""

    type: str
    step: str
    outcome: Outcome
    causes: tuple[int, ...]
    remark: str = ""
    past: int = 0
    """The events that came before it causally, itself included: bit n stands for event n."""


@dataclass
class Run:
    """What a scenario came to: the log, in order, and what is left when nothing moves any more."""

    scenario: Scenario
    log: list[Happened] = field(default_factory=list)
    end: str = ""
    waiting: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    valid: set[int] = field(default_factory=set)

    def index(self, step: str, outcome: str) -> int:
        """Give the number of a step's outcome in the log, -1 where there is none that counts."""
        for number, event in enumerate(self.log):
            if event.step == step and event.outcome == outcome:
                return number
        return -1

    def is_before(self, first: int, second: int) -> bool:
        """Say whether an event came causally before another."""
        return bool(self.log[second].past >> first & 1) and first != second

    def trace(self, remarks: Mapping[int, str] = {}) -> tuple[TraceLine, ...]:
        """Give the run as lines, a step each."""
        return tuple(self._line(number, remarks.get(number, "")) for number in range(1, len(self.log)))

    def cone(self, *numbers: int) -> list[int]:
        """Give the events that led to these, in order."""
        past = 0
        for number in numbers:
            past |= self.log[number].past
        return [number for number in range(1, len(self.log)) if past >> number & 1]

    def lines(self, numbers: Iterable[int], remarks: Mapping[int, str] = {}) -> tuple[TraceLine, ...]:
        """Give some events as lines."""
        return tuple(self._line(number, remarks.get(number, "")) for number in numbers)

    def _line(self, number: int, remark: str) -> TraceLine:
        event = self.log[number]
        words = {SUCCEEDED: "ok", FAILED: "FAILED", COMPENSATED: "undone", TIMED_OUT: "LATE"}
        consumed = " + ".join(short_name(self.log[cause].type) for cause in event.causes)
        what = "refused" if event.remark == "the saga is aborted" else words[event.outcome]
        return TraceLine(event.step, what, consumed, short_name(event.type), remark)


def run(graph: SagaGraph, role: Role, scenario: Scenario) -> Run:
    """Run one scenario until nothing moves any more; ``role`` is that of all participants together."""
    return _Runner(graph, role, scenario).go()


class _Runner:
    def __init__(self, graph: SagaGraph, role: Role, scenario: Scenario) -> None:
        self._graph = graph
        self._role = role
        self._scenario = scenario
        self._run = Run(scenario)
        self._saga = Instance()
        self._armed: set[str] = set()
        self._held: list[Ended] = []
        self._numbers: dict[str, int] = {}

    def go(self) -> Run:
        self._tell(Ended(START, SUCCEEDED, self._graph.contract.starts), ())
        if not self._run.log:  # nobody owns the start
            self._append(START, SUCCEEDED, self._graph.contract.starts, ())
        number = 0
        while number < len(self._run.log) and number < _LONGEST:
            self._read(number)
            number += 1
            if number == self._scenario.cancelled_at:
                self._append(CANCEL, SUCCEEDED, self._graph.contract.aborts, (number - 1,))
            if number == len(self._run.log):
                self._come_late(number - 1)
        self._finish()
        return self._run

    def _read(self, number: int) -> None:
        event = self._run.log[number]
        kind = self._graph.steps[event.step].kind if event.step in self._graph.steps else "compensatable"
        envelope = Envelope(
            str(number),
            "",
            event.type,
            0,
            "s",
            self._graph.name,
            self._graph.contract.version,
            event.step,
            event.outcome,
            kind,
        )
        before = len(self._saga.outcomes) + len(self._saga.compensated)
        decisions = fold_into(self._role, self._saga, envelope)
        if len(self._saga.outcomes) + len(self._saga.compensated) > before:
            self._run.valid.add(number)
            self._numbers.setdefault(event.type, number)
        self._carry_out(decisions, number)
        self._pass_deadline(number)

    def _tell(self, told: Ended | Observed | Due, causes: tuple[int, ...]) -> None:
        self._do(fold_into(self._role, self._saga, told), causes)

    def _carry_out(self, decisions: list[Decision], number: int) -> None:
        self._do(decisions, (number,))

    def _do(self, decisions: list[Decision], causes: tuple[int, ...]) -> None:
        for decision in decisions:
            match decision:
                case Queue(task, step):
                    self._work(task, step, causes)
                case Publish(step, outcome, name):
                    self._append(step, outcome, name, causes)
                case Answer(step, outcome, name, reason):
                    self._append(step, outcome, name, causes, reason)
                case Expire(name):
                    deadline = self._role.deadline[name]
                    self._append(deadline.of, TIMED_OUT, deadline.answer, causes)
                case Arm(name):
                    self._armed.add(name)
                case Bury(_, name, _):
                    self._run.dead.append(name)

    def _work(self, task: str, step: str, causes: tuple[int, ...]) -> None:
        if task == "observer":
            self._tell(Observed(step), causes)
            return
        causes = self._all_causes(task, step, causes)
        if task == "compensation":
            undo = self._graph.steps[step].undo_of(self._saga.step(step).result)
            answer = next(iter(undo.emits.successes), "") if undo else ""
            self._tell(Ended(step, COMPENSATED, answer), causes)
        elif self._scenario.fails == step:
            self._tell(Ended(step, FAILED, self._scenario.failure), causes)
        else:
            told = Ended(step, SUCCEEDED, self._success(step))
            late = self._role.deadline.get(self._scenario.late)
            if late and late.of == step and step not in self._saga.outcomes:
                self._held.append(told)
                self._late_causes = causes
            else:
                self._tell(told, causes)

    def _success(self, step: str) -> str:
        chosen = self._scenario.choices.get(step)
        return chosen or next(iter(self._graph.steps[step].successes), "")

    def _all_causes(self, task: str, step: str, causes: tuple[int, ...]) -> tuple[int, ...]:
        """Give all events that a join was waiting for, of which the last has just come."""
        action = self._role.action[step]
        triggers = [action.trigger] if task == "action" else [undo.trigger for undo in action.undo]
        for trigger in triggers:
            for option in trigger.alternatives:
                if option <= self._saga.types:
                    numbers = {self._numbers[name] for name in option if name in self._numbers}
                    return tuple(sorted(numbers.union(causes)))
        return causes

    def _pass_deadline(self, number: int) -> None:
        if self._scenario.late in self._armed and self._held:
            self._armed.discard(self._scenario.late)
            self._tell(Due(self._scenario.late), (number,))

    def _come_late(self, number: int) -> None:
        """Let the reply come that the deadline did not wait for."""
        while self._held:
            self._tell(self._held.pop(), tuple({*self._late_causes, number}))

    def _append(
        self, step: str, outcome: Outcome, name: str, causes: tuple[int, ...], remark: str = ""
    ) -> None:
        number = len(self._run.log)
        past = 1 << number
        for cause in causes:
            past |= self._run.log[cause].past
        self._run.log.append(Happened(name, step, outcome, causes, remark, past))

    def _finish(self) -> None:
        saga = self._saga
        self._run.end = saga.end
        for action in self._role.actions:
            progress = saga.step(action.step)
            if progress.state == "pending" and action.trigger.touched(saga.types):
                self._run.waiting.append(action.step)

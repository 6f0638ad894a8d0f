"""Turns a break of a rollout into lines: the events of the run, and who was upgraded when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.events import short_name
from choreo.outcome import FAILED, SUCCEEDED, TIMED_OUT, Outcome
from choreo.protocol import Answer, Decision, Queue
from choreo.verify.engine.counterexample import Replay
from choreo.verify.engine.path import Cause
from choreo.verify.engine.run import Run, RunLine
from choreo.verify.engine.search import Read, Transition, Upgrade
from choreo.verify.rollout.mixture import PUT_OFF, Rollout, Upgraded
from choreo.verify.rollout.search import REFUSED, REPEATED, Break

UPGRADED = "upgraded"

_MOST_LINES = 16


class _Moment(NamedTuple):
    """A participant is upgraded after so many events were published; ``unread`` is the next it reads."""

    at: int
    participant: str
    unread: str


class _RolloutReplay(Replay):
    """A path on which participants are upgraded, and read event by event, as a break says."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(rollout.model(Upgraded()))
        self._rollout = rollout
        self._upgraded = Upgraded()
        self.moments: list[_Moment] = []

    def settle(self) -> None:
        """Carry out all decisions; events are read one by one."""
        while self._decisions:
            self._carry_out(*self._decisions.popleft())

    def take(self, transition: Transition) -> None:
        match transition.input:
            case Read():
                self._read_next()
                self.settle()
            case Upgrade(participant):
                events = self.run.explored
                unread = short_name(events[self.read].type) if self.read < len(events) else ""
                self.moments.append(_Moment(len(events), participant, unread))
                self._upgraded |= {participant}
                self._rollout.upgrade(self.saga, participant)
                self.model = self._rollout.model(self._upgraded)
            case _:
                super().take(transition)

    def _carry_out(self, decision: Decision, cause: Cause) -> None:
        match decision:
            case Queue("action", name) | Answer(name) if self._rollout.puts_off(name, self._upgraded):
                self.saga.steps[name] = PUT_OFF
                self.work("action", name, cause)
            case _:
                super()._carry_out(decision, cause)

    def append(self, step: str, outcome: Outcome, event: str, cause: Cause, remark: str = "") -> None:
        if event:
            super().append(step, outcome, event, cause, remark)


class RolloutRun(NamedTuple):
    """The run that shows a break: what goes wrong in it, and its lines."""

    title: str
    lines: tuple[RunLine, ...]
    run: Run


def run_of(rollout: Rollout, found: Break) -> RolloutRun:
    """Return the run that shows a break."""
    path = _RolloutReplay(rollout)
    for transition in found.transitions:
        path.take(transition)
    run = path.finish()
    return RolloutRun(run.scenario.title, tuple(_lines(run, _shown(run, found), path.moments, found)), run)


def _shown(run: Run, found: Break) -> list[int]:
    """Return the numbers of the events that are shown: all, or of very many those that led to the break."""
    events = run.events
    if len(events) <= _MOST_LINES:
        return list(range(1, len(events)))
    numbers = {number for number, event in enumerate(events) if event.outcome in (FAILED, TIMED_OUT)}
    numbers |= {run.index(found.signature.step, SUCCEEDED), len(events) - 1}
    if found.signature.how == REPEATED:
        numbers.add(run.index(found.because, SUCCEEDED))
    return run.cone(*sorted(numbers - {-1}))


def _lines(run: Run, cone: list[int], moments: list[_Moment], found: Break) -> Iterator[RunLine]:
    left = list(moments)
    for number in (*cone, len(run.events)):
        while left and left[0].at <= number:
            moment = left.pop(0)
            is_refused = found.signature.how == REFUSED and moment is moments[-1]
            yield _refused(moment, found) if is_refused else _upgraded(moment)
        if number < len(run.events):
            yield from run.lines((number,))


def _upgraded(moment: _Moment) -> RunLine:
    before = f"before it reads {moment.unread}" if moment.unread else ""
    return RunLine(moment.participant, UPGRADED, "", "", before)


def _refused(moment: _Moment, found: Break) -> RunLine:
    what = found.because.partition("\n")[2]
    return RunLine(
        moment.participant, "refused", "", "", f"<- it does not start: {found.signature.step}: {what}"
    )

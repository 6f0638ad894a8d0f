"""Causal runs: one for each scenario: what every step answers, and one thing that goes wrong.

Runs that begin alike are run once: where something may go otherwise, a path parts from the one on which it
does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from choreo.events import short_name
from choreo.outcome import CANCEL, SUCCEEDED
from choreo.protocol import Begin, Buried, Ended, Queue, Requeued
from choreo.verify.engine.budget import Meter
from choreo.verify.engine.model import Model
from choreo.verify.engine.path import Cause, Held, Path
from choreo.verify.engine.rest import Rest
from choreo.verify.engine.run import Run


def causal_runs(model: Model, troubles: int, meter: Meter) -> Iterator[Run]:
    """Give the runs of all scenarios with at most so many ``troubles``, the one without any first.

    It ends early when the ``meter`` says so.
    """
    waiting = _beginnings(model, troubles)
    while waiting and not meter.is_empty:
        path = waiting.pop()
        run = path.go()
        waiting += reversed(path.parted)
        meter.count(len(run.written) - path.shared)
        yield run


def _beginnings(model: Model, troubles: int) -> list[_ScenarioPath]:
    path = _ScenarioPath(model, troubles)
    early = path.fork()
    path.start()
    if not (model.graph.contract.aborts and troubles):
        return [path]
    early.cancel("cancelled before it starts", Cause())
    early.start()
    return [early, path]


class _ScenarioPath(Path):
    """A path from which others part, as long as something may still go wrong."""

    def __init__(self, model: Model, troubles: int) -> None:
        super().__init__(model)
        self.parted: list[_ScenarioPath] = []
        self._known: dict[Rest, tuple[Run, int, int]] = {}
        self.shared = 0
        self._left = troubles
        self._turns = model.turns
        self._usual: set[str] = set()
        self._is_prompt = False

    def fork(self) -> Self:
        twin = super().fork()
        twin.parted = []
        twin.shared = len(self.run.written)
        return twin

    def cancel(self, title: str, cause: Cause) -> None:
        """Let a cancellation come next."""
        self._goes_wrong(title)
        self.append(*self.model.cancelling, cause._replace(how="cancellation"))

    def on_action(self, step: str, cause: Cause) -> None:
        if self._turns == self.model.turns:
            self._usual.add(step)
        if self._may_go_wrong(step):
            self._fail(step, cause)
            self._bury(step, cause)
            for deadline in self.model.role.watching.get(step, ()):
                if deadline.after.satisfied(self.saga.types):
                    self._come_late(step, deadline.name, cause)
        first, *others = self.model.graph.steps[step].successes or ("",)
        for success in others if self._turns else ():
            path = self._part()
            path._turns -= 1
            known = path.run.scenario
            path.run.scenario = known._replace(choices=(*known.choices, (step, success)))
            path.tell(Ended(step, SUCCEEDED, success), cause)
        self.tell(Ended(step, SUCCEEDED, first), cause)

    def _may_go_wrong(self, step: str) -> bool:
        """Say whether trouble may begin there: where not all choices are run, in each place once."""
        if not self._left:
            return False
        turned = self._turns < self.model.turns
        return not (turned and self.model.leaves_choices_out and step in self._usual)

    @property
    def _may_be_cancelled(self) -> bool:
        if not self.model.graph.contract.aborts or self.saga.cancelled or self.saga.end:
            return False
        return all(event.step != CANCEL for event in self.run.written[self.read :])

    def on_read(self, cause: Cause) -> None:
        last = self.run.written[cause.events[0]].step
        if self._may_be_cancelled and self._may_go_wrong(last):
            self._part().cancel(f"cancelled after {last}", cause)

    def on_armed(self, name: str) -> None:
        step = self.model.role.deadline[name].of
        if self._may_go_wrong(step) and step not in self.saga.steps and not self.due:
            path = self._part()
            path._goes_wrong(f"{name} passes before {step} is called")
            path.due = name

    def on_expired(self) -> None:
        if self._is_prompt and self.held:
            self.release()

    def is_known(self) -> bool:
        position = len(self.run.written)
        run, there, left = self._known.setdefault(self.rest, (self.run, position, self._left))
        if run is self.run or left < self._left:
            return False
        self.run.join(run, there)
        return True

    def _part(self) -> Self:
        path = self.fork()
        self.parted.append(path)
        return path

    def _goes_wrong(self, title: str) -> None:
        known = self.run.scenario
        self._left -= 1
        self.run.scenario = known._replace(troubles=(*known.troubles, title))

    def _fail(self, step: str, cause: Cause) -> None:
        ways = self.model.failures(self.model.role.action[step])
        for told in ways:
            path = self._part()
            how = "raises" if told.how == "partial" else "fails"
            several = sum(each.how == told.how for each in ways) > 1
            path._goes_wrong(f"{step} {how}{f' with {short_name(told.type)}' if several else ''}")
            path.tell(told, cause._replace(how="raised") if told.how == "partial" else cause)

    def _bury(self, step: str, cause: Cause) -> None:
        """Let the step become a dead letter, which is requeued when nothing else moves."""
        path = self._part()
        path._goes_wrong(f"{step} is a dead letter for a while")
        path.tell(Begin(step), cause)
        path.tell(Buried(step), cause)
        path.held.append(Held(step, Requeued(step), cause._replace(how="requeued")))

    def _come_late(self, step: str, deadline: str, cause: Cause) -> None:
        """Let a deadline pass before the step begins; while it works; and long before it answers."""
        success = next(iter(self.model.graph.steps[step].successes), "")
        reply = Ended(step, SUCCEEDED, success)
        for how in ("is called late for", "answers just after", "answers long after"):
            path = self._part()
            path._goes_wrong(f"{step} {how} {deadline}")
            path._is_prompt = how == "answers just after"
            path.due = deadline
            if how == "is called late for":
                path.held.append(Held(step, Queue("action", step), cause))
            else:
                path.tell(Begin(step), cause)
                path.held.append(Held(step, reply, cause))

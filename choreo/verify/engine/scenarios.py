"""Explores the causal runs of a saga: one for each scenario, that is, for each way things may go wrong.

The common beginning of runs is explored once: where something may go wrong, a path on which it does branches
off from the path on which it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from choreo.events import short_name
from choreo.outcome import CANCEL, SUCCEEDED
from choreo.protocol import Begin, Buried, Ended, Queue, Requeued
from choreo.verify.engine.budget import Meter
from choreo.verify.engine.model import Model
from choreo.verify.engine.path import Cause, Delayed, Path, StateKey
from choreo.verify.engine.run import Run


def causal_runs(model: Model, troubles: int, meter: Meter) -> Iterator[Run]:
    """Return the runs of all scenarios with at most so many ``troubles``, the one without any first.

    It ends early where the ``meter`` has counted too many states, and raises where the time is over.
    """
    waiting = _initial_paths(model, troubles, meter)
    while waiting and not meter.is_empty:
        path = waiting.pop()
        run = path.explore()
        waiting += reversed(path.branches)
        meter.count(len(run.explored) - path.shared)
        yield run


def _initial_paths(model: Model, troubles: int, meter: Meter) -> list[_ScenarioPath]:
    path = _ScenarioPath(model, troubles, meter)
    early = path.fork()
    path.start()
    if not (model.graph.contract.aborts and troubles):
        return [path]
    early.cancel("cancelled before it starts", Cause())
    early.start()
    return [early, path]


class _ScenarioPath(Path):
    """A path from which others branch off, as long as something may still go wrong.

    ``shared`` is the number of events that it has in common with the path that it branched off from.
    """

    def __init__(self, model: Model, troubles: int, meter: Meter) -> None:
        super().__init__(model)
        self._meter = meter
        self.branches: list[_ScenarioPath] = []
        self.shared = 0
        self._visited: dict[StateKey, tuple[Run, int, int]] = {}
        self._troubles = troubles
        self._choices = model.most_choices
        self._default_steps: set[str] = set()
        self._replies_promptly = False

    def fork(self) -> Self:
        twin = super().fork()
        twin.branches = []
        twin.shared = len(self.run.explored)
        return twin

    def cancel(self, title: str, cause: Cause) -> None:
        """Append a cancellation."""
        self._add_trouble(title)
        self.append(*self.model.cancelling, cause._replace(how="cancellation"))

    def on_action(self, step: str, cause: Cause) -> None:
        self._meter.check()
        if self._choices == self.model.most_choices:
            self._default_steps.add(step)
        if self._may_go_wrong(step):
            self._fail(step, cause)
            self._bury(step, cause)
            for deadline in self.model.role.watching.get(step, ()):
                if deadline.after.satisfied(self.saga.types):
                    self._be_late(step, deadline.name, cause)
        first, *others = self.model.graph.steps[step].successes or ("",)
        for success in others if self._choices else ():
            path = self._branch()
            path._choices -= 1
            known = path.run.scenario
            path.run.scenario = known._replace(choices=(*known.choices, (step, success)))
            path.fold(Ended(step, SUCCEEDED, success), cause)
        self.fold(Ended(step, SUCCEEDED, first), cause)

    def _may_go_wrong(self, step: str) -> bool:
        """Whether a step may go wrong; where not all choices are run, each does on one path only."""
        if not self._troubles:
            return False
        has_chosen = self._choices < self.model.most_choices
        return not (has_chosen and self.model.leaves_choices_out and step in self._default_steps)

    @property
    def _may_be_cancelled(self) -> bool:
        if not self.model.graph.contract.aborts or self.saga.cancelled or self.saga.end:
            return False
        return all(event.step != CANCEL for event in self.run.explored[self.read :])

    def on_read(self, cause: Cause) -> None:
        self._meter.check()
        last = self.run.explored[cause.events[0]].step
        if self._may_be_cancelled and self._may_go_wrong(last):
            self._branch().cancel(f"cancelled after {last}", cause)

    def on_armed(self, name: str) -> None:
        step = self.model.role.deadline[name].of
        if self._may_go_wrong(step) and step not in self.saga.steps and not self.due:
            path = self._branch()
            path._add_trouble(f"{name} passes before {step} is called")
            path.due = name

    def on_expired(self) -> None:
        if self._replies_promptly and self.delayed:
            self.release()

    def joins_another(self) -> bool:
        self._meter.check()
        position = len(self.run.explored)
        run, there, troubles = self._visited.setdefault(self.state_key, (self.run, position, self._troubles))
        if run is self.run or troubles < self._troubles:
            return False
        self.run.join(run, there)
        return True

    def _branch(self) -> Self:
        path = self.fork()
        self.branches.append(path)
        return path

    def _add_trouble(self, title: str) -> None:
        known = self.run.scenario
        self._troubles -= 1
        self.run.scenario = known._replace(troubles=(*known.troubles, title))

    def _fail(self, step: str, cause: Cause) -> None:
        """Branch off where the step fails, once in each way."""
        failures = self.model.failures(self.model.role.action[step])
        for failure in failures:
            path = self._branch()
            how = "raises" if failure.how == "partial" else "fails"
            several = sum(each.how == failure.how for each in failures) > 1 and failure.type
            then = "then fails with" if failure.how == "partial" else "with"
            path._add_trouble(f"{step} {how}{f' {then} {short_name(failure.type)}' if several else ''}")
            path.fold(failure, cause._replace(how="raised") if failure.how == "partial" else cause)

    def _bury(self, step: str, cause: Cause) -> None:
        """Branch off where the step becomes a dead letter that is requeued when nothing else can happen."""
        path = self._branch()
        path._add_trouble(f"{step} is a dead letter for a while")
        path.fold(Begin(step), cause)
        path.fold(Buried(step), cause)
        path.delayed.append(Delayed(step, Requeued(step), cause._replace(how="requeued")))

    def _be_late(self, step: str, deadline: str, cause: Cause) -> None:
        """Branch off where a deadline passes before a step begins, while it runs, or long before it ends."""
        success = next(iter(self.model.graph.steps[step].successes), "")
        reply = Ended(step, SUCCEEDED, success)
        for how in ("is called late for", "answers just after", "answers long after"):
            path = self._branch()
            path._add_trouble(f"{step} {how} {deadline}")
            path._replies_promptly = how == "answers just after"
            path.due = deadline
            if how == "is called late for":
                path.delayed.append(Delayed(step, Queue("action", step), cause))
            else:
                path.fold(Begin(step), cause)
                path.delayed.append(Delayed(step, reply, cause))

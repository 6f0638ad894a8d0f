"""Turns the counterexamples of the search into runs: events with their causes, in the order of the topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from choreo.graph import SagaGraph
from choreo.outcome import SUCCEEDED
from choreo.protocol import Begin, Due, Ended
from choreo.verify.engine.budget import Meter
from choreo.verify.engine.model import Model
from choreo.verify.engine.path import Cause, Path
from choreo.verify.engine.run import Run, Scenario
from choreo.verify.engine.search import ExternalEvent, Search, Transition
from choreo.verify.engine.violations import Violation


def counterexamples(graph: SagaGraph, troubles: int, meter: Meter) -> Iterator[Violation]:
    """Return the violations that a search of the saga finds."""
    yield from violations_of(search_of(graph, troubles), meter)


def search_of(graph: SagaGraph, troubles: int) -> Search:
    """Return the search of a saga, without its observers, which publish nothing."""
    return Search(Model(replace(graph, observers=())), troubles)


def violations_of(search: Search, meter: Meter) -> Iterator[Violation]:
    """Return the violations that a search finds, as runs, with the numbers of what shows them."""
    for found in search.counterexamples(meter):
        run = run_of(search.model, found.transitions)
        numbers = {run.index(found.step, SUCCEEDED), len(run.events) - 1} - {-1}
        yield Violation(found.property, found.step, run, tuple(sorted(numbers)))


def run_of(model: Model, transitions: Iterable[Transition]) -> Run:
    """Return the run that takes these transitions."""
    path = Replay(model)
    for transition in transitions:
        path.take(transition)
    return path.finish()


class Replay(Path):
    """A path on which steps begin and end only by the transitions of a counterexample."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._queued: dict[tuple[str, str], Cause] = {}
        self._running: dict[str, Cause] = {}
        self._troubles: list[str] = []

    def work(self, task: str, name: str, cause: Cause) -> None:
        """Keep a task that is queued until a transition does it."""
        if task == "observer":
            super().work(task, name, cause)
        else:
            self._queued[task, name] = cause

    def take(self, transition: Transition) -> None:
        """Take one transition, and let all participants read the events that follow from it."""
        match transition:
            case Transition("start"):
                self.start()
            case Transition("begin", Begin(step)):
                self._begin(step)
            case Transition("compensate", Ended(step)):
                super().work("compensation", step, self._queued.pop(("compensation", step)))
            case Transition("end", Ended() as ended):
                self._end(ended)
            case Transition("due", Due(name) as due):
                self._troubles.append(f"{name} passes")
                self.fold(due, Cause((self.read - 1,), self.read))
            case Transition("cancel", ExternalEvent(step, outcome, event)):
                self._troubles.append("cancelled")
                self.append(step, outcome, event, Cause(begun=self.read, how="cancellation"))
            case Transition("import", ExternalEvent(step, outcome, event)):
                self.append(step, outcome, event, Cause(begun=self.read, how="outside"))
        self.settle()

    def _begin(self, step: str) -> None:
        cause = self._queued.pop(("action", step))
        trigger = self.model.role.action[step].trigger
        self._running[step] = self.with_join(trigger, cause)._replace(begun=self.read)
        self.fold(Begin(step), cause)

    def _end(self, ended: Ended) -> None:
        if ended.outcome != SUCCEEDED:
            self._troubles.append(f"{ended.step} {'raises' if ended.how == 'partial' else 'fails'}")
        cause = self._running.pop(ended.step)
        self.fold(ended, cause._replace(how="raised") if ended.how == "partial" else cause)

    def finish(self) -> Run:
        """Return the run, under what went wrong in it."""
        self.run.scenario = Scenario(tuple(self._troubles))
        return super().finish()

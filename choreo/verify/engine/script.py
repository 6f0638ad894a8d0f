"""From the moves that a search found to a run: what came because of what, in the order of the log."""

from __future__ import annotations

from collections.abc import Iterable

from choreo.outcome import CANCEL, COMPENSATED, SUCCEEDED
from choreo.protocol import Begin, Due, Ended
from choreo.verify.engine.model import Model
from choreo.verify.engine.path import Cause, Path
from choreo.verify.engine.run import Run, Scenario
from choreo.verify.engine.search import Move, Outside


def run_of(model: Model, moves: Iterable[Move]) -> Run:
    """Make the moves, one by one."""
    path = _Script(model)
    for move in moves:
        path.make(move)
    return path.finish()


class _Script(Path):
    """A path on which nothing begins or ends but what the script says."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._queued: dict[tuple[str, str], Cause] = {}
        self._running: dict[str, Cause] = {}
        self._troubles: list[str] = []

    def work(self, task: str, name: str, cause: Cause) -> None:
        if task == "observer":
            super().work(task, name, cause)
        else:
            self._queued[task, name] = cause

    def make(self, move: Move) -> None:
        """Make one move, and let everybody read what comes of it."""
        match move.told:
            case Begin(step):
                self._begin(step)
            case Ended():
                (self._end if move.what == "end" else self._other)(move)
            case Due(name):
                self._troubles.append(f"{name} passes")
                self.tell(move.told, Cause((self.read - 1,), self.read))
            case _:
                self._other(move)
        self.settle()

    def _begin(self, step: str) -> None:
        cause = self._queued.pop(("action", step))
        self._running[step] = self.because(self.model.role.action[step].trigger, cause)._replace(
            begun=self.read
        )
        self.tell(Begin(step), cause)

    def _end(self, move: Move) -> None:
        told = move.told
        assert isinstance(told, Ended)
        if told.outcome != SUCCEEDED:
            self._troubles.append(f"{told.step} {'raises' if told.how == 'partial' else 'fails'}")
        cause = self._running.pop(told.step)
        self.tell(told, cause._replace(how="raised") if told.how == "partial" else cause)

    def _other(self, move: Move) -> None:
        if move.what == "start":
            self.start()
        elif isinstance(move.told, Ended) and move.told.outcome == COMPENSATED:
            super().work("compensation", move.told.step, self._queued.pop(("compensation", move.told.step)))
        elif isinstance(move.told, Outside):
            step, outcome, event = move.told
            if step == CANCEL:
                self._troubles.append("cancelled")
            how = "cancellation" if step == CANCEL else "outside"
            self.append(step, outcome, event, Cause(begun=self.read, how=how))

    def finish(self) -> Run:
        self.run.scenario = Scenario(tuple(self._troubles))
        return super().finish()

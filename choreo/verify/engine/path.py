"""``Path``: a run under way. Whatever the protocol decides is done at once, before anything else is read.

So as much as possible has been done by the time something goes wrong.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Self

from choreo.manifest import HandlerEntry
from choreo.outcome import COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT, Outcome
from choreo.protocol import (
    Answer,
    Arm,
    Begin,
    Bury,
    Decision,
    Drop,
    Due,
    Ended,
    Expire,
    Input,
    Instance,
    Observed,
    Publish,
    Queue,
    Trigger,
    fold_into,
)
from choreo.protocol import (
    Run as Runs,
)
from choreo.verify.engine.model import Model
from choreo.verify.engine.rest import Rest, rest_of
from choreo.verify.engine.run import Happened, Run, Scenario


class Cause(NamedTuple):
    """Why something is done: the events that led to it, how much was read when it began, how it is done."""

    events: tuple[int, ...] = ()
    begun: int = 0
    how: str = "handler"


class Held(NamedTuple):
    """A step that is kept waiting: what it will be told, or the decision that it has not begun on yet."""

    step: str
    then: Input | Queue
    cause: Cause


def _is_queued(decision: Decision) -> bool:
    return isinstance(decision, Queue)


class Path:
    """A run of a saga in which nothing goes wrong; who knows of troubles overrides the ``on_`` methods."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.run = Run(Scenario())
        self.saga = Instance()
        self.read = 0
        self.held: list[Held] = []
        self.due = ""
        self._todo: deque[tuple[Decision, Cause]] = deque()
        self._numbers: dict[str, int] = {}
        self._imported = 0

    def fork(self) -> Self:
        """Give a path that is here now, and goes its own way."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        run = self.run
        twin.run = Run(run.scenario, run.written.copy(), dead=run.dead.copy(), valid=run.valid.copy())
        twin.saga = self.saga.copy()
        twin.held = self.held.copy()
        twin._todo = self._todo.copy()
        twin._numbers = self._numbers.copy()
        return twin

    def start(self) -> None:
        """Let the saga begin."""
        starts = self.model.graph.contract.starts
        cause = Cause(how="start")
        if self.model.role.owns_start:
            self.tell(Ended(START, SUCCEEDED, starts), cause)
        else:
            self.append(START, SUCCEEDED, starts, cause)

    def go(self) -> Run:
        """Go on until nothing moves any more, or all that comes is known."""
        while self._goes_on():
            pass
        return self.run if self.run.joined else self.finish()

    def finish(self) -> Run:
        """Give the run, and what is left in it."""
        run, saga = self.run, self.saga
        run.end, run.aborted = saga.end, saga.aborted
        for action in self.model.role.actions:
            progress = saga.step(action.step)
            if progress.state == "pending" and action.trigger.touched(saga.types):
                run.waiting.append(action.step)
        return run

    def settle(self) -> None:
        """Do what is decided, and read what was written, until there is no more of either."""
        while self._todo or self.read < len(self.run.written):
            if self._todo:
                self._obey(*self._todo.popleft())
            else:
                self._read_next()

    def _goes_on(self) -> bool:
        while self._todo:
            self._obey(*self._todo.popleft())
        if self.due:
            self._pass_deadline()
        elif not self.held and self.is_known():
            return False
        elif self.read < len(self.run.written):
            self._read_next()
        elif self.held:
            self.release()
        else:
            return self._import()
        return True

    def _read_next(self) -> None:
        number, saga = self.read, self.saga
        event = self.run.written[number]
        known = len(saga.outcomes) + len(saga.compensated)
        self.read = number + 1
        cause = Cause((number,), self.read)
        self.tell(self.model.envelope(event.step, event.outcome, event.type), cause)
        if len(saga.outcomes) + len(saga.compensated) > known:
            self.run.valid.add(number)
            self._numbers.setdefault(event.type, number)
            self.on_read(cause)

    def _pass_deadline(self) -> None:
        name, self.due = self.due, ""
        self.tell(Due(name), Cause((self.read - 1,), self.read))

    def release(self) -> None:
        """Let what was held longest go on."""
        step, then, cause = self.held.pop(0)
        if isinstance(then, Queue):
            self.work(then.task, step, cause._replace(begun=self.read))
        else:
            self.tell(then, cause)

    def _import(self) -> bool:
        """Let the next event from outside come, now that everything waits; say whether there was one."""
        steps = self.model.imported
        if self.saga.end or self._imported == len(steps):
            return False
        step = steps[self._imported]
        self._imported += 1
        self.append(step.name, SUCCEEDED, step.successes[0], Cause(how="outside"))
        return True

    def tell(self, told: Input, cause: Cause) -> None:
        """Fold an input; what is decided is done before anything that was decided earlier.

        What is said at once is said before what is queued is done, as the worker does it.
        """
        decisions = sorted(fold_into(self.model.role, self.saga, told), key=_is_queued)
        self._todo.extendleft((decision, cause) for decision in reversed(decisions))

    def _obey(self, decision: Decision, cause: Cause) -> None:
        match decision:
            case Queue(task, name):
                self.work(task, name, cause)
            case Publish(step, outcome, name):
                self.append(step, outcome, name, cause)
            case Answer(step, outcome, name, reason):
                how = "raised" if cause.how == "raised" and outcome == FAILED else "runtime"
                self.append(step, outcome, name, cause._replace(how=how), reason)
            case Expire(name):
                deadline = self.model.role.deadline[name]
                self.append(deadline.of, TIMED_OUT, deadline.answer, cause._replace(how="deadline"))
                self.on_expired()
            case Arm(name):
                self.on_armed(name)
            case Drop(_, name):
                self.held = [each for each in self.held if each.step != name]
            case Bury(_, name, _):
                self.run.dead.append(name)

    def work(self, task: str, name: str, cause: Cause) -> None:
        """Do what was queued."""
        if task == "observer":
            self.tell(Observed(name), cause)
        elif task == "compensation":
            undo = self.model.graph.steps[name].compensation_after(self.saga.step(name).result)
            answer = next(iter(undo.emits.successes), "") if undo else ""
            self.tell(Ended(name, COMPENSATED, answer), self._called(name, undo, cause))
        elif task == "action" and (cause.how != "requeued" or self._may_begin(name, cause)):
            self.on_action(name, self.because(self.model.role.action[name].trigger, cause))

    def _may_begin(self, step: str, cause: Cause) -> bool:
        """Let the protocol say whether a requeued step still runs: its saga may be over by now."""
        decisions = fold_into(self.model.role, self.saga, Begin(step))
        self._todo.extendleft((decision, cause) for decision in reversed(decisions))
        return any(isinstance(decision, Runs) for decision in decisions)

    def append(self, step: str, outcome: Outcome, event: str, cause: Cause, remark: str = "") -> None:
        """Write an event to the log."""
        log = self.run.written
        past = 1 << len(log)
        for number in cause.events:
            past |= log[number].past
        log.append(
            Happened(event, step, outcome, cause.events, remark, past, cause.begun, self.read, cause.how)
        )

    def because(self, trigger: Trigger, cause: Cause) -> Cause:
        """Give all events that something was waiting for, of which the last has just come."""
        whole = cause
        for option in trigger.alternatives:
            if option <= self.saga.types:
                numbers = {self._numbers[name] for name in option if name in self._numbers}
                whole = cause._replace(events=tuple(sorted(numbers.union(cause.events))))
                if not numbers.isdisjoint(cause.events):
                    break
        return whole

    def _called(self, step: str, undo: HandlerEntry | None, cause: Cause) -> Cause:
        """Give all events that called a compensation: its trigger's, its timeout, or the first failure."""
        cause = cause._replace(begun=self.read, how="raised" if cause.how == "raised" else "handler")
        if self.saga.outcomes.get(step) == TIMED_OUT:
            event = next(e.type for e in self.run.written if (e.step, e.outcome) == (step, TIMED_OUT))
        elif undo and undo.trigger:
            return self.because(Trigger(undo.trigger), cause)
        else:
            event = next((e.type for e in self.run.written if e.step == self.saga.failing), "")
        numbers = {self._numbers[event]} if event in self._numbers else set()
        return cause._replace(events=tuple(sorted(numbers.union(cause.events))))

    @property
    def rest(self) -> Rest:
        """All that what comes depends on."""
        return rest_of(self.model, self.saga, self.run.written[self.read :], self._imported)

    # What may go otherwise

    def is_known(self) -> bool:
        """Say whether another path has been here: then this one need not go on."""
        return False

    def on_action(self, step: str, cause: Cause) -> None:
        """Let an action answer: with its first success event, here."""
        success = next(iter(self.model.graph.steps[step].successes), "")
        self.tell(Ended(step, SUCCEEDED, success), cause)

    def on_read(self, cause: Cause) -> None:
        """An event that counts was read."""

    def on_armed(self, name: str) -> None:
        """A deadline was armed."""

    def on_expired(self) -> None:
        """A deadline has just passed."""

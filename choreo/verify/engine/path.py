"""``Path``: a run that is being explored.

All decisions of the protocol are carried out before the next event is read, so as much as possible has been
done by the time something goes wrong.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Self

from choreo.manifest import HandlerEntry
from choreo.outcome import FAILED, START, SUCCEEDED, TIMED_OUT, Outcome
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
    Moved,
    Observed,
    Progress,
    Publish,
    Queue,
    Trigger,
    fold_into,
)
from choreo.protocol import (
    Run as RunHandler,
)
from choreo.verify.engine.model import Model
from choreo.verify.engine.run import Event, Run, Scenario

StateKey = tuple[object, ...]
"""All that the rest of a run depends on: two paths with equal keys continue alike."""


class Cause(NamedTuple):
    """Why something is done: the numbers of the events that led to it, how many events had been read when it
    began, and how it is done."""

    events: tuple[int, ...] = ()
    begun: int = 0
    how: str = "handler"


class Delayed(NamedTuple):
    """A step that is delayed: the input that comes later, or the decision that is carried out later."""

    step: str
    then: Input | Queue
    cause: Cause


_NAMED_AT = {Moved: 0, Queue: 1, Drop: 1, RunHandler: 1, Bury: 1}
"""Where the decisions that may tell of a step's progress name it."""

_CARRIED_OUT = (Queue, Publish, Answer, Expire, Arm, Drop, Bury)
"""The decisions on which anything follows in a run."""


def _is_queued(decision: Decision) -> bool:
    return isinstance(decision, Queue)


class Path:
    """A run of a saga in which nothing goes wrong; subclasses override the ``on_`` methods."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.run = Run(Scenario())
        self.saga = Instance()
        self.read = 0
        self.delayed: list[Delayed] = []
        self.due = ""
        self._decisions: deque[tuple[Decision, Cause]] = deque()
        self._numbers: dict[str, int] = {}
        self._imported = 0
        self._come = self._read = 0
        self._steps = self._done = 0

    def fork(self) -> Self:
        """Return a copy of the path, which continues independently."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        run = self.run
        twin.run = Run(run.scenario, run.explored.copy(), dead=run.dead.copy(), valid=run.valid.copy())
        twin.saga = self.saga.copy()
        twin.delayed = self.delayed.copy()
        twin._decisions = self._decisions.copy()
        twin._numbers = self._numbers.copy()
        return twin

    def start(self) -> None:
        """Start the saga."""
        starts = self.model.graph.contract.starts
        cause = Cause(how="start")
        if self.model.role.owns_start:
            self.fold(Ended(START, SUCCEEDED, starts), cause)
        else:
            self.append(START, SUCCEEDED, starts, cause)

    def explore(self) -> Run:
        """Return the run once nothing more can happen, or once it has reached the state of another run."""
        while self._goes_on():
            pass
        return self.run if self.run.joined else self.finish()

    def finish(self) -> Run:
        """Return the run, with its end and the steps that wait in it."""
        run, saga = self.run, self.saga
        run.end, run.aborted = saga.end, saga.aborted
        for action in self.model.role.actions:
            progress = saga.step(action.step)
            if progress.state == "pending" and action.trigger.touched(saga.types):
                run.waiting.append(action.step)
        return run

    def settle(self) -> None:
        """Carry out all decisions and read all events, until there are no more of either."""
        while self._decisions or self.read < len(self.run.explored):
            if self._decisions:
                self._carry_out(*self._decisions.popleft())
            else:
                self._read_next()

    def _goes_on(self) -> bool:
        while self._decisions:
            self._carry_out(*self._decisions.popleft())
        if self.due:
            self._pass_deadline()
        elif not self.delayed and self.joins_another():
            return False
        elif self.read < len(self.run.explored):
            self._read_next()
        elif self.delayed:
            self.release()
        else:
            return self._import() or self._waits_for_deadline()
        return True

    def _read_next(self) -> None:
        number, saga = self.read, self.saga
        event = self.run.explored[number]
        known = len(saga.outcomes) + len(saga.compensated)
        self.read = number + 1
        cause = Cause((number,), self.read)
        self.fold(self.model.envelope(event.step, event.outcome, event.type), cause)
        bit = self.model.bits.get(event.type, 0)
        self._read |= bit
        self._come |= bit if event.type in saga.types else 0
        if len(saga.outcomes) + len(saga.compensated) > known:
            self.run.valid.add(number)
            self._numbers.setdefault(event.type, number)
            self.on_read(cause)

    def _pass_deadline(self) -> None:
        name, self.due = self.due, ""
        self.fold(Due(name), Cause((self.read - 1,), self.read))

    def release(self) -> None:
        """Let the step that has been delayed longest continue."""
        step, then, cause = self.delayed.pop(0)
        if isinstance(then, Queue):
            self.work(then.task, step, cause._replace(begun=self.read))
        else:
            self.fold(then, cause)

    def _import(self) -> bool:
        """Append the next event from outside; return whether there was one."""
        steps = self.model.imported
        if self.saga.end or self._imported == len(steps):
            return False
        step = steps[self._imported]
        self._imported += 1
        self.append(step.name, SUCCEEDED, step.successes[0], Cause(how="outside"))
        return True

    def _waits_for_deadline(self) -> bool:
        """Let the first deadline pass that a cancelled saga still waits for; return whether there was one."""
        saga = self.saga
        armed = sorted(name for name, state in saga.deadlines.items() if state == "armed")
        if not saga.cancelled or saga.end or not armed or self._is_late:
            return False
        self.due = armed[0]
        return True

    @property
    def _is_late(self) -> bool:
        return any(event.outcome == TIMED_OUT for event in self.run.explored)

    def fold(self, input: Input, cause: Cause) -> None:
        """Fold an input; its decisions are carried out before any that were made earlier.

        As in the worker, events are published before what is queued is done.
        """
        decisions = fold_into(self.model.role, self.saga, input)
        decisions.sort(key=_is_queued)
        named = {getattr(input, "step", ""), getattr(input, "name", "")}
        for decision in decisions:
            if (at := _NAMED_AT.get(type(decision))) is not None:
                named.add(decision[at])
        for name in named & self.saga.steps.keys():
            self._progress(name, self.saga.steps[name])
        for decision in reversed(decisions):
            if isinstance(decision, _CARRIED_OUT):
                self._decisions.appendleft((decision, cause))

    def _progress(self, name: str, progress: Progress) -> None:
        self._steps = self.model.with_progress(self._steps, name, progress)
        completed = progress if progress.state == "completed" else None
        self._done = self.model.with_progress(self._done, name, completed)

    def _carry_out(self, decision: Decision, cause: Cause) -> None:
        match decision:
            case Queue(task, name):
                self.work(task, name, cause)
            case Publish():
                self.append(*self.model.role.outcome_of(decision), cause)
            case Answer():
                raised = cause.how == "raised" and decision.outcome == FAILED
                cause = cause._replace(how="raised" if raised else "runtime")
                self.append(*self.model.role.outcome_of(decision), cause, decision.reason)
            case Expire():
                self.append(*self.model.role.outcome_of(decision), cause._replace(how="deadline"))
                self.on_expired()
            case Arm(name):
                self.on_armed(name)
            case Drop(_, name):
                self.delayed = [each for each in self.delayed if each.step != name]
            case Bury(_, name, _):
                self.run.dead.append(name)

    def work(self, task: str, name: str, cause: Cause) -> None:
        """Run the handler of a task that is queued."""
        if task == "observer":
            self.fold(Observed(name), cause)
        elif task == "compensation":
            result = self.saga.step(name).result
            handler = self.model.graph.steps[name].compensation_after(result)
            self.fold(self.model.compensated(name, result), self._cause_of_compensation(name, handler, cause))
        elif task == "action" and (cause.how != "requeued" or self._may_begin(name, cause)):
            self.on_action(name, self.with_join(self.model.role.action[name].trigger, cause))

    def _may_begin(self, step: str, cause: Cause) -> bool:
        """Whether the protocol lets a requeued step begin: its saga may have ended by now."""
        decisions = fold_into(self.model.role, self.saga, Begin(step))
        self._decisions.extendleft((decision, cause) for decision in reversed(decisions))
        return any(isinstance(decision, RunHandler) for decision in decisions)

    def append(self, step: str, outcome: Outcome, event: str, cause: Cause, remark: str = "") -> None:
        """Append an event to the run."""
        events = self.run.explored
        past = 1 << len(events)
        for number in cause.events:
            past |= events[number].past
        events.append(
            Event(event, step, outcome, cause.events, remark, past, cause.begun, self.read, cause.how)
        )

    def with_join(self, trigger: Trigger, cause: Cause) -> Cause:
        """Return a cause with all events of a join, of which the last has just come."""
        last = {self.run.explored[number].type for number in cause.events}
        whole = trigger.alternative(self.saga.types, lambda events: (events.isdisjoint(last), len(events)))
        numbers = {self._numbers[name] for name in whole if name in self._numbers}
        return cause._replace(events=tuple(sorted(numbers.union(cause.events))))

    def _cause_of_compensation(self, step: str, handler: HandlerEntry | None, cause: Cause) -> Cause:
        """Return a cause with all events that call a compensation: of its trigger, its timeout, or the first
        failure."""
        cause = cause._replace(begun=self.read, how="raised" if cause.how == "raised" else "handler")
        if self.saga.outcomes.get(step) == TIMED_OUT:
            event = next(e.type for e in self.run.explored if (e.step, e.outcome) == (step, TIMED_OUT))
        elif handler and handler.trigger:
            return self.with_join(handler.trigger, cause)
        else:
            event = next((e.type for e in self.run.explored if e.step == self.saga.failing), "")
        numbers = {self._numbers[event]} if event in self._numbers else set()
        return cause._replace(events=tuple(sorted(numbers.union(cause.events))))

    @property
    def state_key(self) -> StateKey:
        """All that the rest of the run depends on, once every decision is carried out.

        In a rollback no step begins any more, so what came to nothing doesn't matter: only what is still to
        be compensated does, and the events in its triggers. So all rollbacks of a chain share their
        states, from any step on.
        """
        saga, imported = self.saga, self._imported
        unread = self.run.explored[self.read :]
        types = tuple(event.type for event in unread)
        if not self._rolls_back(unread):
            known = (self._come, self._read, self._steps, frozenset(saga.deadlines.items()))
            return (*known, saga.end, saga.cancelled, types, imported)
        calls = self.model.calling.get(self._done)
        if calls is None:
            done = (step for step, each in saga.steps.items() if each.state == "completed")
            calls = self.model.calling[self._done] = self.model.bits_of_calls(done)
        return (self._done, calls & self._come, types, saga.end, saga.pivoted, imported)

    def _rolls_back(self, unread: list[Event]) -> bool:
        if not self.saga.failing or self.model.goes_on_in_rollback:
            return False
        return all(event.outcome != SUCCEEDED for event in unread)

    # What may go otherwise

    def joins_another(self) -> bool:
        """Whether another path has been in this state, so that this one need not continue."""
        return False

    def on_action(self, step: str, cause: Cause) -> None:
        """Let an action end, with its first success event."""
        success = next(iter(self.model.graph.steps[step].successes), "")
        self.fold(Ended(step, SUCCEEDED, success), cause)

    def on_read(self, cause: Cause) -> None:
        """An event that counts was read."""

    def on_armed(self, name: str) -> None:
        """A deadline was armed."""

    def on_expired(self) -> None:
        """A deadline has just passed."""

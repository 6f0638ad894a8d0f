"""The decisions of the protocol. Each is carried out in the transaction of the input that caused it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from choreo.outcome import Outcome, StepState

Task = Literal["action", "compensation", "observer", "deadline"]


class Moved(NamedTuple):
    """An own step went from one state to the next: a row of the saga log."""

    step: str
    old: StepState
    new: StepState
    note: str = ""


class Ignored(NamedTuple):
    """The event changes nothing: seen before (``duplicate``), or ``void`` by rules R3 and R8."""

    why: Literal["duplicate", "void"]


class Queue(NamedTuple):
    """Queue a handler: an action, a compensation, an observer or a deadline is due now."""

    task: Task
    name: str


class Run(NamedTuple):
    """Run the handler: the answer to a `Begin` of a step that may run."""

    task: Task
    step: str


class Drop(NamedTuple):
    """Take a step that was queued or is backing off out of the queue: it is not attempted any more."""

    task: Task
    name: str


class Publish(NamedTuple):
    """Publish the event that the handler returned, as this outcome of the step."""

    step: str
    outcome: Outcome
    type: str


class Answer(NamedTuple):
    """Publish an answer that no handler wrote, built by the runtime."""

    step: str
    outcome: Outcome
    type: str
    reason: str


class Arm(NamedTuple):
    """Put a deadline on the schedule, counted from the event's time."""

    deadline: str


class Disarm(NamedTuple):
    """Take a deadline off the schedule."""

    deadline: str


class Expire(NamedTuple):
    """A deadline has passed: run its handler and publish what it returns as the step's ``timed_out``."""

    deadline: str


class Bury(NamedTuple):
    """Keep a dead letter instead of acting."""

    task: Task
    name: str
    reason: str


class Unowned(NamedTuple):
    """The topic holds an outcome of an own step that this participant never decided: the store is wrong."""

    step: str


Decision = Moved | Ignored | Queue | Run | Drop | Publish | Answer | Arm | Disarm | Expire | Bury | Unowned

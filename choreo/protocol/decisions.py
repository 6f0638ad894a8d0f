"""The decisions of the protocol. Each is carried out in the transaction of the input that caused it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from choreo.outcome import Outcome, StepState

Task = Literal["action", "compensation", "observer", "deadline", "outcome", "event", "saga"]
"""What is done, or buried; ``outcome``: an outcome of an own step that this store never produced; ``event``:
an event with the id of another one; ``saga``: what the events of a saga of an unknown version call for."""


FOREIGN_OUTCOME = "foreign-outcome"
"""The reason of the dead letter that keeps a saga in quarantine."""

REUSED_ID = "reused-id"
"""The reason of the dead letter of an event that has the id of another event of its saga."""


class Moved(NamedTuple):
    """An own step went from one state to the next: a row of the saga log."""

    step: str
    old: StepState
    new: StepState
    note: str = ""


class Ignored(NamedTuple):
    """The event changes nothing: it was folded before (``duplicate``), or is ``void`` by R3 or R8."""

    why: Literal["duplicate", "void"]


class Queue(NamedTuple):
    """Queue a handler: an action, a compensation, an observer or a deadline is due now."""

    task: Task
    name: str


class Run(NamedTuple):
    """Run the handler of a step that has begun (`Begin`) and may run."""

    task: Task
    step: str


class Drop(NamedTuple):
    """Remove a step that is queued or backing off from the schedule: it is not attempted any more."""

    task: Task
    name: str


class Publish(NamedTuple):
    """Publish the event that the handler returned, as this outcome of the step."""

    step: str
    outcome: Outcome
    type: str


class Answer(NamedTuple):
    """Publish an answer that the runtime builds, as no handler returned one."""

    step: str
    outcome: Outcome
    type: str
    reason: str


class Arm(NamedTuple):
    """Schedule a deadline, counted from the event's time."""

    deadline: str


class Disarm(NamedTuple):
    """Remove a deadline from the schedule."""

    deadline: str


class Expire(NamedTuple):
    """A deadline has passed: run its handler, and publish its event as the step's ``timed_out`` outcome."""

    deadline: str


class Bury(NamedTuple):
    """Keep a dead letter of a handler instead of running it."""

    task: Task
    name: str
    reason: str


HELD = "held"
"""The note of the row of an event of which what it calls for waits."""


class Held(NamedTuple):
    """The event counts, and what it calls for waits until the version of its saga is known."""


class Unowned(NamedTuple):
    """An outcome of an own step counts that this store never produced: the saga is in quarantine."""

    step: str


Decision = (
    Moved | Ignored | Held | Queue | Run | Drop | Publish | Answer | Arm | Disarm | Expire | Bury | Unowned
)

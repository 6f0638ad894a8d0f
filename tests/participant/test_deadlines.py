"""What a deadline is refused for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Context, DeclarationError, Participant, Saga, event

MINUTE = timedelta(minutes=1)


@event(namespace="late")
class Asked:
    name: str


@event(namespace="late")
class Done:
    name: str


@event(namespace="late")
class Failed:
    name: str
    reason: str


@event(namespace="late")
class Worked:
    name: str


@event(namespace="late")
class NotWorked:
    name: str
    reason: str


@event(namespace="late")
class Undone:
    name: str


@event(namespace="late")
class Late:
    name: str


saga = Saga("late", starts=Asked, completes=Done, fails=Failed)


def worker(kind: Any = "compensatable") -> Participant:
    """Make a participant with one action."""
    participant = Participant("worker", sagas=[saga])

    def work(event: Asked, ctx: Context) -> Worked:
        return Worked(event.name)

    options = {} if kind == "retriable" else {"fails": NotWorked}
    participant.action(kind=kind, **options)(work)
    return participant


def is_late(event: Asked, ctx: Context) -> Late:
    """A deadline as it should be."""
    return Late(event.name)


def is_two(event: Asked, ctx: Context) -> Late | Undone:
    """A deadline that can't decide."""
    return Late(event.name)


@pytest.mark.parametrize(
    ("options", "function", "message", "hint"),
    [
        ({"within": MINUTE}, is_late, "of= is missing", "which step it watches"),
        ({"of": "other.step"}, is_late, "needs a positive time", "within=timedelta"),
        ({"of": "other.step", "within": -MINUTE}, is_late, "needs a positive time", "within=timedelta"),
        ({"of": "other.step", "within": 60}, is_late, "is not a timedelta", "timedelta(minutes=5)"),
        ({"of": "wrok", "within": MINUTE}, is_late, "no such action", "did you mean 'work'"),
        ({"of": "worker.wrok", "within": MINUTE}, is_late, "no such action", "its actions"),
        ({"of": "other.1st", "within": MINUTE}, is_late, "not the name of a step", "payments.charge"),
        ({"of": "other.step", "within": MINUTE}, is_two, "one event", "annotate that one"),
        ({"of": "other.step", "wthin": MINUTE}, is_late, "unknown option", "did you mean"),
    ],
)
def test_a_deadline_that_could_not_work_is_refused(
    options: dict[str, Any], function: Callable[..., Any], message: str, hint: str
) -> None:
    """With the place, what is wrong, and a hint."""
    with pytest.raises(DeclarationError) as refused:
        worker().deadline(**options)(function)
    assert message in str(refused.value)
    assert hint in refused.value.hint
    assert "test_deadlines.py:" in str(refused.value)


@pytest.mark.parametrize("kind", ["pivot", "retriable"])
def test_nobody_watches_what_cannot_be_undone(kind: str) -> None:
    """A pivot has only its own timeout, a retriable step none."""
    with pytest.raises(DeclarationError, match=f"is {kind}: nobody may time it out"):
        worker(kind).deadline(of="work", within=MINUTE)(is_late)


@pytest.mark.parametrize("deadline_first", [True, False])
def test_a_compensation_that_a_deadline_calls_admits_aborted(deadline_first: bool) -> None:
    """No event of another step calls it then, whichever is declared first."""

    def undo(event: NotWorked2, worked: Worked, ctx: Context) -> Undone:
        return Undone(worked.name)

    participant = worker()
    declare = [
        lambda: participant.deadline(of="work", within=MINUTE)(is_late),
        lambda: participant.compensation(of="work")(undo),
    ]
    first, second = declare if deadline_first else declare[::-1]
    first()
    with pytest.raises(DeclarationError, match="no event fills parameter 'event'"):
        second()


def test_a_deadline_of_an_own_step_and_a_compensation_that_admits_it() -> None:
    """The role has the deadline, by the step's name."""
    participant = worker()
    participant.deadline(of="work", within=MINUTE)(is_late)

    @participant.compensation(of="work")
    def undo(event: NotWorked2 | Aborted, worked: Worked, ctx: Context) -> Undone:
        return Undone(worked.name)

    (deadline,) = participant.roles()["late"].deadlines
    assert (deadline.name, deadline.of, deadline.answer) == ("worker.is_late", "worker.work", "late.Late")
    assert deadline.after.types == {"late.Asked"}


@event(namespace="late")
class NotWorked2:
    name: str
    reason: str

"""The saga of the fault matrix: its events.

asker    JobAsked  ..........  give_up   JobFailed
doer     work      Worked      unwork    WorkUndone   (and `late`, the deadline of checker.check)
checker  check     Checked     uncheck   CheckUndone
asker    finish    JobDone
"""

from __future__ import annotations

from choreo import event


@event(namespace="faults")
class JobAsked:
    name: str
    check: str = "passes"


@event(namespace="faults")
class Worked:
    name: str
    check: str = "passes"


@event(namespace="faults")
class WorkFailed:
    name: str
    reason: str


@event(namespace="faults")
class WorkUndone:
    name: str


@event(namespace="faults")
class Checked:
    name: str


@event(namespace="faults")
class CheckFailed:
    name: str
    reason: str


@event(namespace="faults")
class CheckTimedOut:
    name: str


@event(namespace="faults")
class CheckUndone:
    name: str


@event(namespace="faults")
class JobDone:
    name: str


@event(namespace="faults")
class JobFailed:
    name: str
    reason: str

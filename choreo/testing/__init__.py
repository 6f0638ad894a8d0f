"""The users' test kit: sagas in memory, on virtual time, with everything that can go wrong.

The pytest plugin gives the fixture ``saga_harness``. The names below are loaded when they are asked for; no
module of the kit may have the name of one of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from choreo.testing.budget import Budget
    from choreo.testing.choices import Schedule, Scripted, Seeded
    from choreo.testing.exploration import explore
    from choreo.testing.harness import Harness
    from choreo.testing.invariants import check
    from choreo.testing.machine import saga_machine
    from choreo.testing.matrix import failure_matrix
    from choreo.testing.recorded import Recorded, replay
    from choreo.testing.simulation import Simulation
    from choreo.testing.strategies import events, schedules
    from choreo.testing.verification import verify
    from choreo.testing.violation import Violation

_HOMES = {
    "Budget": "budget",
    "Harness": "harness",
    "Recorded": "recorded",
    "Schedule": "choices",
    "Scripted": "choices",
    "Seeded": "choices",
    "Simulation": "simulation",
    "Violation": "violation",
    "check": "invariants",
    "events": "strategies",
    "explore": "exploration",
    "failure_matrix": "matrix",
    "replay": "recorded",
    "saga_machine": "machine",
    "schedules": "strategies",
    "verify": "verification",
}
"""In which module of the kit each name lives."""

__all__ = [
    "Budget",
    "Harness",
    "Recorded",
    "Schedule",
    "Scripted",
    "Seeded",
    "Simulation",
    "Violation",
    "check",
    "events",
    "explore",
    "failure_matrix",
    "replay",
    "saga_machine",
    "schedules",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"choreo.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'choreo.testing' has no attribute {name!r}")

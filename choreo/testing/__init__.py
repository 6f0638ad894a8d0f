"""The test kit for services: sagas in memory, on virtual time, with every fault that can occur.

The pytest plugin provides the fixture ``saga_harness``. The names below are imported on first use, so no
module of the kit may have the name of one of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from choreo.testing.exploration import explore
    from choreo.testing.harness import Harness
    from choreo.testing.invariants import check
    from choreo.testing.matrix import failure_matrix
    from choreo.testing.moves import Budget
    from choreo.testing.recorded import Recorded, replay
    from choreo.testing.schedule import Schedule, Scripted, Seeded
    from choreo.testing.simulation import Simulation, Violation
    from choreo.testing.strategies import events, saga_machine, schedules
    from choreo.testing.verification import verify

_MODULES = {
    "Budget": "moves",
    "Harness": "harness",
    "Recorded": "recorded",
    "Schedule": "schedule",
    "Scripted": "schedule",
    "Seeded": "schedule",
    "Simulation": "simulation",
    "Violation": "simulation",
    "check": "invariants",
    "events": "strategies",
    "explore": "exploration",
    "failure_matrix": "matrix",
    "replay": "recorded",
    "saga_machine": "strategies",
    "schedules": "strategies",
    "verify": "verification",
}
"""The module of the kit that defines each name."""

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
    if name in _MODULES:
        return getattr(import_module(f"choreo.testing.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'choreo.testing' has no attribute {name!r}")

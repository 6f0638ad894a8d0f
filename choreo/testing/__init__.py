"""The users' test kit: sagas in memory, on virtual time, with everything that can go wrong.

The pytest plugin gives the fixture ``saga_harness``. The names below are loaded when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from choreo.testing.exploration import explore
    from choreo.testing.harness import Harness
    from choreo.testing.invariants import check
    from choreo.testing.matrix import failure_matrix
    from choreo.testing.recorded import Recorded, replay
    from choreo.testing.simulation import Budget, Simulation
    from choreo.testing.violation import Violation

_HOMES = {
    "Budget": "simulation",
    "Harness": "harness",
    "Recorded": "recorded",
    "Simulation": "simulation",
    "Violation": "violation",
    "check": "invariants",
    "explore": "exploration",
    "failure_matrix": "matrix",
    "replay": "recorded",
}
"""In which module of the kit each name lives."""

__all__ = [
    "Budget",
    "Harness",
    "Recorded",
    "Simulation",
    "Violation",
    "check",
    "explore",
    "failure_matrix",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"choreo.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'choreo.testing' has no attribute {name!r}")

"""``Around``: what a simulation does around the handlers of one participant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from choreo.errors import Permanent
from choreo.participant import Context, Handler

if TYPE_CHECKING:
    from choreo.testing.simulation import Simulation


class Around:
    """Lets faults strike, and chance; implements `choreo.testing.effects.Hooks`."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self._name = name

    def before(self, handler: Handler, context: Context) -> None:
        """Let faults strike."""
        for fault in self._simulation.faults:
            if fault.target.name == handler.name:
                fault.before(self._simulation.seats[self._name])

    def after(self, handler: Handler, context: Context) -> Any:
        """Let faults strike, or chance."""
        waits = None
        for fault in self._simulation.faults:
            if fault.target.name == handler.name:
                waits = fault.after(self._simulation.seats[self._name]) or waits
        if self._simulation.may_fail(handler):
            raise Permanent("the test lets it fail, by choice")
        return waits

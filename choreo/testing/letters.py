"""Dead letters in a simulation: mended and requeued, as ``choreo dlq`` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from choreo.records import DeadLetter
from choreo.worker.dead_letters import settle, times_requeued

if TYPE_CHECKING:
    from choreo.testing.seat import Seat
    from choreo.testing.simulation import Simulation


MAX_REQUEUES = 5
"""How often the same work is requeued, by a test as by ``choreo dlq``."""


def open_letters(simulation: Simulation) -> list[tuple[Seat, DeadLetter]]:
    """Give the dead letters that wait for somebody, of all participants."""
    return [
        (seat, letter)
        for seat in simulation.seats.values()
        for letter in seat.store.dead_letters()
        if letter.state == "open"
    ]


def settle_all(simulation: Simulation) -> bool:
    """Requeue every open dead letter, its event mended; say whether there was one."""
    found = [
        (seat, letter)
        for seat, letter in open_letters(simulation)
        if times_requeued(seat.store.dead_letters(), letter) < MAX_REQUEUES
    ]
    for seat, letter in found:
        for fault in simulation.faults:
            whole = fault.mends(letter)
            if whole is not None:
                with seat.store.turn():
                    seat.store.edit_dead_letter(letter.id, whole)
        settle(seat.store, letter, "requeued", "mended by the test", simulation.clock.now())
        seat.fragile.was_touched = True
        simulation.trace.append(f"{seat.name}: dead letter {letter.id} ({letter.reason}) is requeued")
    return bool(found)

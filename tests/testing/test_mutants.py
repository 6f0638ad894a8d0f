"""Mutants: with one rule of choreo switched off, the kit finds what goes wrong; with all on, nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from choreo.envelope import Envelope
from choreo.protocol import Instance, Role, Trigger, events, steps
from choreo.records import Partition
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing import Violation, failure_matrix
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from examples.scenarios import orders, travel
from examples.travel.agency import request_trip
from examples.travel.contract import TripRequested
from tests.testing.airline import airline_in_memory

fold = import_module("choreo.protocol.fold")


@failure_matrix(*orders.scenario.participants)
def order() -> None:
    place_order(OrderCreated("o-1", "ada", "apple", 2, 500, "12 Elm Street"))


@failure_matrix(*travel.scenario.participants)
def trip() -> None:
    request_trip(TripRequested("trip-1", "ada", "Grand", "CH 1", "compact"))


def fence(patch: pytest.MonkeyPatch) -> None:
    """R4: nobody is refused."""
    patch.setattr(Instance, "aborted", property(lambda saga: False))


def answer(patch: pytest.MonkeyPatch) -> None:
    """R5: who is refused, barred or gives up says nothing."""
    patch.setattr(steps, "answer", lambda saga, action, out, reason: None)


def dedupe(patch: pytest.MonkeyPatch) -> None:
    """R2: an event that was seen before is looked at again."""

    def forget(role: Role, saga: Instance, event: Envelope, out: list[Any]) -> None:
        saga.seen.pop(event.id, None)
        events.fold_event(role, saga, event, out)

    patch.setitem(fold._FOLD_OF, Envelope, forget)


def first_outcome(patch: pytest.MonkeyPatch) -> None:
    """R3: a later outcome of a step counts, too."""
    patch.setattr(events, "_counts", lambda role, saga, event: not saga.end)


def join(patch: pytest.MonkeyPatch) -> None:
    """A join doesn't wait for all of its events."""
    patch.setattr(Trigger, "satisfied", Trigger.touched)


def reverse_order(patch: pytest.MonkeyPatch) -> None:
    """R7: any failure calls every compensation."""
    patch.setattr(steps, "is_called", lambda saga, action, undo: bool(saga.failing))


def compare_and_set(patch: pytest.MonkeyPatch) -> None:
    """A position is moved, wherever it stands."""

    def advance(store: SQLiteStore, partition: Partition, expected: int, position: int) -> None:
        update = "UPDATE positions SET next_offset = ? WHERE topic = ? AND partition = ?"
        store._change(update, position, *partition)

    patch.setattr(SQLiteStore, "advance", advance)


def outbox_marking(patch: pytest.MonkeyPatch) -> None:
    """What the log has acknowledged stays in the outbox."""
    patch.setattr(SQLiteStore, "acknowledge", lambda store, seqs: None)


Mutant = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[Mutant, tuple[Any, str]] = {
    fence: (trip, "it never ends"),
    answer: (order, "it never ends"),
    dedupe: (order, "recorded . events? twice|ignores"),
    first_outcome: (order, "acts on shop.InventoryReserved of inventory.reserve_inventory, which is void"),
    join: (trip, "the saga has no event for parameter"),
    reverse_order: (trip, "has never answered|undone before"),
    compare_and_set: (order, "recorded . events? twice|ignores|took effect 2 times"),
    outbox_marking: (order, "still has . events? to publish"),
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_matrix_finds_a_rule_that_is_switched_off(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The complaint says which promise is broken."""
    matrix, complaint = MUTANTS[mutant]
    mutant(monkeypatch)
    with pytest.raises(Violation, match=complaint):
        run_all(matrix)


def run_all(matrix: Any) -> None:
    """Run the cells of a matrix one after the other."""
    for cell in matrix.pytestmark[0].args[1]:
        with airline_in_memory():
            matrix(choreo_cell=cell)

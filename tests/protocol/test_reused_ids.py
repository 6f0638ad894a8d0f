"""Forged records that have the id of another event of their saga."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from choreo.envelope import Envelope
from choreo.protocol import Action, Bury, Compensation, Ignored, Instance, Trigger, fold
from choreo.protocol.decisions import REUSED_ID
from tests.protocol.test_rules import START_EVENT, event, role

SHIP = Action(
    "ship", Trigger.of("Paid"), failure="ShipFailed", compensations=(Compensation(Trigger(), "Back"),)
)
REAL = event("pay", "succeeded", "Paid")
CHANGES = [
    {"step": step, "outcome": outcome, "type": name}
    for step, outcome, name in product(("pay", "nobody.nothing"), ("succeeded", "failed"), ("Paid", "Ping"))
    if (step, outcome, name) != (REAL.step, REAL.outcome, REAL.type)
]


def folded(*events: Envelope) -> tuple[Instance, list[list[object]]]:
    saga, decided = Instance(), []
    for each in events:
        saga, decisions = fold(role(SHIP), saga, each)
        decided.append(list(decisions))
    return saga, decided


def letters(decisions: list[object]) -> int:
    return sum(isinstance(each, Bury) and each.reason.startswith(REUSED_ID) for each in decisions)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_forged_event_is_never_taken_for_the_real_one(changes: dict[str, str]) -> None:
    """In whatever order they come: both are folded, the second makes a letter, repetitions change nothing."""
    forged = REAL._replace(**changes)  # type: ignore[arg-type]
    apart = forged._replace(id="an id of its own")
    for first, second in permutations((REAL, forged)):
        saga, (_, _, second_time, again) = folded(START_EVENT, first, second, first)
        assert letters(second_time) == 1
        assert again == [Ignored("duplicate")]
        honest, _ = folded(START_EVENT, *(apart if each is forged else each for each in (first, second)))
        assert (saga.outcomes, saga.types, saga.steps) == (honest.outcomes, honest.types, honest.steps)
        assert folded(START_EVENT, first, second, second)[1][3] == [Ignored("duplicate")]

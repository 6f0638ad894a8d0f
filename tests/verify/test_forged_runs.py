"""Rules that check the protocol, on forged runs that the protocol makes impossible."""

from __future__ import annotations

from functools import cache

import pytest

from choreo.graph import choreography_of
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, Outcome
from choreo.project.manifests import manifest_from
from choreo.verify.case import Case
from choreo.verify.engine.run import Event, Run, Scenario
from choreo.verify.rules import CHECKS
from tests.verify.corpus import parts

RULES = {rule.id: check for rule, check in CHECKS}
CHAIN = (
    ("start", SUCCEEDED, "OrderCreated"),
    ("stock.reserve", SUCCEEDED, "Reserved"),
    ("payments.charge", SUCCEEDED, "Charged"),
)
"""How every run begins."""


@cache
def case() -> Case:
    participants = (parts.orders, parts.stock, parts.payments, parts.shipping, parts.mail)
    return Case(choreography_of(map(manifest_from, participants)), _graph(participants))


def _graph(participants: tuple[object, ...]) -> object:
    return choreography_of(map(manifest_from, participants)).sagas[0]


def found(*events: tuple[str, Outcome, str], end: str) -> dict[str, str]:
    """Return what the rules find in a run with these events, each caused by the one before."""
    log = [
        Event(f"shop.{name}", step, outcome, (number - 1,) if number else (), past=2 ** (number + 1) - 1)
        for number, (step, outcome, name) in enumerate(events)
    ]
    forged = case()
    run = Run(Scenario(("forged",)), log, end, valid=set(range(len(log))))
    for name in ("runs", "whole_runs", "violations"):
        vars(forged).pop(name, None)
    vars(forged)["runs"] = (run,)
    return {
        rule: finding.steps[0]
        for rule in ("CHO111", "CHO205", "CHO206", "CHO207")
        for finding in RULES[rule](forged)
    }


RUNS = {
    "a refund of what was not charged": (
        "CHO205",
        "payments.charge",
        "failed",
        (*CHAIN[:2], ("payments.charge", COMPENSATED, "Refunded")),
    ),
    "a charge after it was refused": (
        "CHO206",
        "payments.charge",
        "failed",
        (*CHAIN[:2], ("payments.charge", FAILED, "Declined"), CHAIN[2]),
    ),
    "two charges": ("CHO207", "payments.charge", "", (*CHAIN, CHAIN[2])),
    "two refunds": (
        "CHO207",
        "payments.charge",
        "failed",
        (*CHAIN, *[("payments.charge", COMPENSATED, "Refunded")] * 2),
    ),
    "fulfilled, and given back": (
        "CHO111",
        "mail.confirm",
        "completed",
        (*CHAIN, ("mail.confirm", SUCCEEDED, "OrderFulfilled"), ("payments.charge", COMPENSATED, "Refunded")),
    ),
    "fulfilled, and failed": (
        "CHO111",
        "mail.confirm",
        "completed",
        (*CHAIN, ("mail.confirm", SUCCEEDED, "OrderFulfilled"), ("start", COMPENSATED, "OrderFailed")),
    ),
}


@pytest.mark.parametrize(("rule", "step", "end", "events"), RUNS.values(), ids=RUNS)
def test_a_run_that_cannot_be_is_reported(
    rule: str, step: str, end: str, events: tuple[tuple[str, Outcome, str], ...]
) -> None:
    """So that a defect of the protocol would be seen."""
    assert found(*events, end=end) == {rule: step}


def test_runs_that_can_be_are_not() -> None:
    """One that goes well, and one that rolls back."""
    good = (*CHAIN, ("shipping.ship", SUCCEEDED, "Shipped"), ("mail.confirm", SUCCEEDED, "OrderFulfilled"))
    bad = (
        *CHAIN,
        ("shipping.ship", FAILED, "NotShipped"),
        ("payments.charge", COMPENSATED, "Refunded"),
        ("stock.reserve", COMPENSATED, "Released"),
        ("start", COMPENSATED, "OrderFailed"),
    )

    assert found(*good, end="completed") == {}
    assert found(*bad, end="failed") == {}

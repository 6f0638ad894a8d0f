"""``choreo.testing.verify``: proves the whole event graph in one line of a test."""

from __future__ import annotations

from pathlib import Path
from time import process_time

from choreo.graph import choreography_of
from choreo.participant import Participant
from choreo.project.manifests import compare, manifest_from
from choreo.verify import Budget
from choreo.verify import verify as examine
from choreo.verify.report.text import text


def verify(
    *participants: Participant, strict: bool = False, deep: bool = False, schemas: Path | str = "schemas"
) -> None:
    """Prove the choreography of these participants, as `choreo verify` does.

    ``strict`` makes warnings fail too; ``deep`` permits two faults in one run; ``schemas`` is the folder of
    schema files, whose earlier versions must be readable. Raises `AssertionError`, with the findings as text,
    for any finding, or when a limit was reached before everything was checked.

    >>> from examples.orders.inventory import inventory
    >>> from examples.orders.notifications import notifications
    >>> from examples.orders.orders import orders
    >>> from examples.orders.payments import payments
    >>> from examples.orders.shipping import shipping
    >>> verify(orders, inventory, payments, shipping, notifications)
    """
    base = Path.cwd()
    manifests = [manifest_from(each, base, Path(schemas)) for each in participants]
    verdict = examine(
        choreography_of(manifests), compare=compare, budget=Budget(2 if deep else 1), clock=process_time
    )
    failed = verdict.errors or verdict.scope.unfinished or (strict and verdict.findings)
    if failed:
        raise AssertionError(f"the choreography is not right:\n\n{text(verdict)}")

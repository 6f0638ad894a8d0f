"""``choreo deadlines extend`` and ``revoke``: change when a deadline of one saga passes, or take it away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from choreo.cli import output
from choreo.cli.dlq.settle import accounted
from choreo.cli.options import Duration, SagaId, Time
from choreo.cli.sources import now
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.deadlines import deadline_named
from choreo.operations.stores import open_stores
from choreo.render.wording import iso_time, span
from choreo.worker.deadlines import Change, change

F = TypeVar("F", bound=Callable[..., Any])


def of_saga(function: F) -> F:
    """Declare the argument and the options that name a saga."""
    saga_type = click.option(
        "--type", "saga_type", default="", metavar="NAME", help="Its type, where several have the id."
    )
    participant = click.option(
        "--participant", default="", metavar="NAME", help="Only deadlines that this participant declares."
    )
    return click.argument("saga_id", type=SagaId())(stores(participant(saga_type(function))))


_named = click.argument("deadline")
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")


@click.command(short_help="Give a deadline of a saga more time.")
@of_saga
@_named
@click.option(
    "--for", "more", type=Duration(), default=0, metavar="SPAN", help="How much longer, such as 1h."
)
@click.option("--until", type=Time(), metavar="TIME", help="Until when, such as 2026-01-31T12:00:00Z.")
@accounted(required=True)
@_dry_run
def extend(
    saga_id: str,
    deadline: str,
    stores: Sequence[str],
    participant: str,
    saga_type: str,
    more: int,
    until: datetime | None,
    because: str,
    by: str,
    dry_run: bool,
) -> None:
    """Give DEADLINE of one saga more time: it passes so much later than it would now, or at a given time.

    DEADLINE is its name, with or without its participant's. It can be extended until it has passed, more than
    once. A deadline that has passed, or whose step has ended, is refused.

    \b
    Examples:
      choreo deadlines extend order-42 reserve_is_late --for 1h --because "they called: it is late"
      choreo deadlines extend order-42 orders.reserve_is_late --until 2026-01-31T12:00Z --because "as agreed"
    """
    if bool(more) == (until is not None):
        raise ConfigurationError("how much more time?", hint="give --for 1h, or --until 2026-01-31T12:00:00Z")
    wanted = Change(by, because, more, round(until.timestamp() * 1000) if until else 0)
    _change(saga_id, deadline, stores, participant, saga_type, wanted, dry_run=dry_run)


@click.command(short_help="Take a deadline of a saga away.")
@of_saga
@_named
@accounted(required=True)
@_dry_run
def revoke(
    saga_id: str,
    deadline: str,
    stores: Sequence[str],
    participant: str,
    saga_type: str,
    because: str,
    by: str,
    dry_run: bool,
) -> None:
    """Take DEADLINE of one saga away: its step may take any time, as far as this deadline is concerned.

    Other deadlines of the step, and its own timeout, go on. A revoked deadline does not come back.

    \b
    Example:
      choreo deadlines revoke order-42 reserve_is_late --because "the warehouse moves, ticket 4711"
    """
    _change(saga_id, deadline, stores, participant, saga_type, Change(by, because), dry_run=dry_run)


def _change(
    saga_id: str,
    name: str,
    named: Sequence[str],
    participant: str,
    saga_type: str,
    wanted: Change,
    *,
    dry_run: bool,
) -> None:
    with open_stores(named, reading=dry_run) as opened:
        found = deadline_named(opened, saga_id, name, participant, saga_type)
        done = change(found.opened.store, found.key, found.name, wanted, now(), dry_run=dry_run)
    what = f"{done.name} of saga {saga_id}: {'would be ' if dry_run else ''}{wanted.done}"
    if wanted.is_revocation:
        output.line(f"{what}: {done.step} has no time limit by it any more")
    else:
        output.line(
            f"{what} by {span(done.after - done.before)}: {done.step} has until {iso_time(done.after)}"
        )

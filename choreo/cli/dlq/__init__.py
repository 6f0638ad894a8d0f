"""``choreo dlq``: the group of the commands that list, show and settle dead letters."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="dlq ", short_help="List and settle dead letters.")
def dlq() -> None:
    """List and settle dead letters: work that a participant could not do, and that its saga may wait for.

    These commands work on a participant's store, whether its worker runs or not. A request is written to the
    store in one transaction; the worker carries it out in its next turn, or when it starts. Only `choreo
    dlq prune` deletes any.

    \b
    Examples:
      choreo dlq list
      choreo dlq show 12
      choreo dlq requeue 12
      choreo dlq requeue --all --reason gave-up --step payments.refund
      choreo dlq resolve 13 event.json --because "charged by hand, ticket 4711"
      choreo dlq discard 14 --because "refunded by hand, ticket 4712"
    """

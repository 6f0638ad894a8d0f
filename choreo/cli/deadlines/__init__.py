"""``choreo deadlines``: the group of the commands that list, extend and revoke the deadlines of one saga."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="deadlines ", short_help="List, extend and revoke the deadlines of a saga.")
def deadlines() -> None:
    """List, extend and revoke the deadlines of one saga: of a step that is late, and known to come.

    A deadline is in the store of the participant that declares it. These commands work on that store, whether
    its worker runs or not, in one transaction; the saga log keeps who did it, and why.

    \b
    Examples:
      choreo deadlines list order-42
      choreo deadlines extend order-42 orders.reserve_is_late --for 1h --because "they called: it is late"
      choreo deadlines revoke order-42 orders.reserve_is_late --because "the warehouse moves, ticket 4711"
    """

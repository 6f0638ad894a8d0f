"""``choreo releases``: the group of the commands about what a store's workers ran with."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="releases ", short_help="List releases, and have done what is new in one.")
def releases() -> None:
    """List the releases that a participant's store has lived through, and have done what is new in one.

    A release is what a worker declares: the store keeps each that differs from the one before. A step, a
    compensation, a deadline or an observer that is new acts on what is folded from then on.

    \b
    Examples:
      choreo releases list --store orders.db
      choreo releases apply payments.check --store payments.db --dry-run
    """

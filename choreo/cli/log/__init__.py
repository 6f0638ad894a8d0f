"""``choreo log``: the group of the commands that check, export, erase and prune the saga log."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="log ", short_help="Check, export, erase and prune the saga log.")
def log() -> None:
    """Check, export, erase and prune the saga log of participants.

    These commands work on participants' stores, whether their workers run or not, in short transactions.

    \b
    Examples:
      choreo log verify
      choreo log heads > heads.jsonl
      choreo log verify --heads heads.jsonl
      choreo log erase order-42 order-57
      choreo log export --store orders.db --output orders.avro
      choreo log prune --older-than 90d --dry-run
    """

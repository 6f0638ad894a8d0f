"""``choreo log``: the group of the commands that check, export, erase and prune the saga log."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="log ", short_help="Keep the saga log: check, export, erase, prune.")
def log() -> None:
    """Keep the saga log: check that it was not changed, and remove from it what must not stay.

    Works on participants' stores, whether their workers run or not: one short transaction after another.

    \b
    Examples:
      choreo log verify
      choreo log heads > heads.jsonl
      choreo log verify --heads heads.jsonl
      choreo log erase order-42 order-57
      choreo log export --store orders.db --output orders.avro
      choreo log prune --older-than 90d --dry-run
    """

"""``choreo log``: keeping the saga log."""

from __future__ import annotations

import click

from choreo.cli.log.erase import erase
from choreo.cli.log.export import export
from choreo.cli.log.heads import heads
from choreo.cli.log.importing import import_log
from choreo.cli.log.prune import prune
from choreo.cli.log.verify import verify


@click.group(short_help="Keep the saga log: check, export, erase, prune.")
def log() -> None:
    """Keep the saga log: check that nobody changed it, take out of it what must not stay.

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


for command in (verify, heads, export, import_log, erase, prune):
    log.add_command(command)

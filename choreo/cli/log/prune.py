"""``choreo log prune``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from choreo.cli import output
from choreo.cli.duration import Duration
from choreo.cli.log.progress import progress
from choreo.cli.log.scrubbing import scrub, vacuum
from choreo.cli.stores import Opened, open_stores, stores

if TYPE_CHECKING:
    from choreo.audit.retention import Removal


@click.command(short_help="Take old sagas that ended out of the log.")
@click.option(
    "--older-than",
    type=Duration(),
    required=True,
    metavar="SPAN",
    help="How long nothing must have happened in a saga: 90d.",
)
@stores
@vacuum
@click.option("--dry-run", is_flag=True, help="Say what would be taken out, and take out nothing.")
@click.pass_context
def prune(
    context: click.Context, /, older_than: int, stores: Sequence[str], whole: bool, dry_run: bool
) -> None:
    """Take sagas that ended long ago out of the log, but for one row each, which says how they ended.

    So a duplicate that comes late, or an event that nobody waits for any more, still finds its saga ended,
    and starts nothing; nor can its id start another saga. What it held can't be replayed any more: export
    it first. A saga that something is due for, or of which a dead letter is open, is left. Dead letters
    stay.

    \b
    Examples:
      choreo log prune --older-than 90d --dry-run
      choreo log prune --older-than 1000d --vacuum
    """
    from choreo.audit.retention import prune as prune_sagas

    now = time.time_ns() // 1_000_000
    with open_stores(stores) as opened:
        for each in opened:
            done = prune_sagas(each.store, now - older_than, now, dry_run=dry_run)
            _sum_up(each, progress(done, each.path), dry_run)
        gone = dry_run or scrub(opened, whole=whole)
    context.exit(0 if gone else 1)


def _sum_up(opened: Opened, removals: Iterable[Removal], dry_run: bool) -> None:
    counts: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for each in removals:
        counts.update(sagas=not each.kept, rows=each.removed)
        left.update([each.kept] if each.kept else [])
    what = f"{output.counted(counts['sagas'], 'saga')} of {output.counted(counts['rows'], 'row')}"
    click.echo(f"{opened.participant}: {what} {'would be ' if dry_run else ''}pruned")
    for why, count in left.items():
        click.echo(f"{opened.participant}: {output.counted(count, 'saga')} left: {why}")

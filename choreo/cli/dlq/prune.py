"""``choreo dlq prune``: removes dead letters that were settled long ago."""

from __future__ import annotations

from collections.abc import Sequence

import click

from choreo.audit.retention import prune_letters
from choreo.cli import output
from choreo.cli.log.erase import agreed, scrub, yes_option
from choreo.cli.options import Duration
from choreo.cli.sources import now
from choreo.cli.stores import stores
from choreo.operations.stores import open_stores
from choreo.render.wording import span


@click.command(short_help="Remove dead letters settled long ago.")
@click.option(
    "--older-than",
    type=Duration(),
    required=True,
    metavar="SPAN",
    help="The time since a dead letter was settled, such as 90d.",
)
@stores
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.pass_context
def prune(
    context: click.Context, /, older_than: int, stores: Sequence[str], yes: bool, dry_run: bool
) -> None:
    """Remove dead letters that were requeued or discarded long ago, for good.

    Open ones stay, and so do those of sagas that have not ended or for which something is due: an edited
    event may still be needed.

    \b
    Examples:
      choreo dlq prune --older-than 90d --dry-run
      choreo dlq prune --older-than 90d --yes
    """
    with open_stores(stores, reading=dry_run) as opened:
        what = f"remove dead letters that were settled more than {span(older_than)} ago"
        if not (dry_run or yes or agreed(what, opened)):
            context.exit(1)
        for each in opened:
            count = prune_letters(each.store, now() - older_than, dry_run=dry_run)
            done = "would be removed" if dry_run else "removed"
            output.line(f"{each.participant}: {output.counted(count, 'dead letter')} {done}")
        gone = dry_run or scrub(opened, whole=False)
    context.exit(0 if gone else 1)

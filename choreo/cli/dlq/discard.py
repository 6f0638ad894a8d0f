"""``choreo dlq discard``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from choreo.cli.dlq.asking import ask_for_all
from choreo.cli.dlq.selection import Filter, chosen, filtered
from choreo.cli.stores import open_stores, stores
from choreo.errors import ConfigurationError

_LONGEST = 500


@click.command(short_help="Settle dead letters by hand.")
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
@stores
@click.option("--all", "everything", is_flag=True, help="All that are open, or that the filters leave.")
@filtered
@click.option(
    "--because",
    required=True,
    metavar="TEXT",
    help="Why; it is kept, and published with the event that answers.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.pass_context
def discard(
    context: click.Context,
    /,
    numbers: tuple[int, ...],
    stores: Sequence[str],
    everything: bool,
    because: str,
    dry_run: bool,
    **wanted: str,
) -> None:
    """Settle dead letters by hand: a saga goes on as if the work had been done, or had failed.

    A compensation counts as done: its event is published, so do by hand first what it would have undone. An
    action counts as failed: its failure is published, and the saga rolls back. A retriable step can't
    fail; its letter opens again. An observer skips the event.

    \b
    Examples:
      choreo dlq discard 13 --because "refunded by hand, ticket 4711"
      choreo dlq discard --all --saga order-42 --because "test data" --dry-run
    """
    if not because.strip() or len(because) > _LONGEST or not because.isprintable():
        raise ConfigurationError(
            f"the reason has 1 to {_LONGEST} printable characters", hint='--because "refunded by hand"'
        )
    with open_stores(stores) as opened:
        letters = chosen(opened, numbers, everything, Filter(**wanted))
        left = ask_for_all(letters, "discarded", because, dry_run)
    if left:
        context.exit(1)

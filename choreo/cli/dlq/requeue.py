"""``choreo dlq requeue``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from choreo.cli.dlq.asking import ask_for_all
from choreo.cli.dlq.selection import Filter, Found, chosen, filtered
from choreo.cli.stores import open_stores, stores


@click.command(short_help="Try dead letters again.")
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
@stores
@click.option("--all", "everything", is_flag=True, help="All that are open, or that the filters leave.")
@filtered
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many times the same work may be requeued.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.pass_context
def requeue(
    context: click.Context,
    /,
    numbers: tuple[int, ...],
    stores: Sequence[str],
    everything: bool,
    limit: int,
    dry_run: bool,
    **wanted: str,
) -> None:
    """Try dead letters again, once their cause is mended.

    The state that the saga has then decides: a step whose saga was rolled back meanwhile is not executed,
    and answers. What fails again is a new dead letter. Exits with 1 where a letter was left alone.

    \b
    Examples:
      choreo dlq requeue 12 13
      choreo dlq requeue --all --reason gave-up --dry-run
    """
    with open_stores(stores) as opened:
        letters = chosen(opened, numbers, everything, Filter(**wanted))
        left = ask_for_all(letters, "requeued", "", dry_run, lambda found: _objection(found, limit))
    if left:
        context.exit(1)


def _objection(found: Found, limit: int) -> str:
    from choreo.worker.dead_letters import times_requeued

    if not found.letter.saga_type:
        return "it belongs to no saga, so there is nothing to try again"
    times = times_requeued(found.opened.store.dead_letters(), found.letter)
    return f"requeued {times} times already; edit it, or raise --limit" if times >= limit else ""

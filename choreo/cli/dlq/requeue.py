"""``choreo dlq requeue``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from choreo.cli.dlq.asking import ask_for_all
from choreo.cli.dlq.selection import Filter, Found, chosen, filtered
from choreo.cli.stores import open_stores, stores

if TYPE_CHECKING:
    from choreo.ports import DeadLetter


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
    if not found.letter.saga_type:
        return "it belongs to no saga, so there is nothing to try again"
    times = _times(found)
    return f"requeued {times} times already; edit it, or raise --limit" if times >= limit else ""


def _times(found: Found) -> int:
    """Count how often the same work has been requeued."""
    letters = found.opened.store.dead_letters()
    return sum(each.state == "requeued" and _work(each) == _work(found.letter) for each in letters)


def _work(letter: DeadLetter) -> tuple[str | int, ...]:
    who = (letter.saga_id, letter.saga_type, letter.task, letter.name, letter.event_id)
    return who if letter.event_id else (*who, letter.topic, letter.partition, letter.offset)

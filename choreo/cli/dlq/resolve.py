"""``choreo dlq resolve``: ends the work of a dead letter with an event of somebody who did it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from choreo.cli import options, output
from choreo.cli.dlq.selection import filtered
from choreo.cli.dlq.settle import accounted, settled, text_in
from choreo.cli.sources import now
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.bodies import given_body
from choreo.operations.letters import Filter, chosen
from choreo.operations.resolving import following, objection_to_no_event, type_of, ways_of
from choreo.operations.settling import settle
from choreo.operations.stores import open_stores
from choreo.worker.dead_letters import Result


@click.command(short_help="Say that the work of a dead letter was done by hand.")
@click.argument("number", type=options.LETTER, required=False)
@click.argument("file", type=click.File(encoding="utf-8"), required=False, metavar="[FILE]")
@stores
@click.option("--all", "everything", is_flag=True, help="All open ones that the filters select.")
@filtered
@options.schemas
@click.option(
    "--as",
    "as_",
    default="",
    metavar="NAME",
    help="The type of the event, with or without its namespace. Default: the one with which the work ends "
    "that was done, if there is only one.",
)
@accounted(required=True)
@click.option("--dry-run", is_flag=True, help="Check all, show what would follow, and change nothing.")
@click.pass_context
def resolve(
    context: click.Context,
    /,
    number: int | None,
    file: IO[str] | None,
    stores: Sequence[str],
    everything: bool,
    schemas: str | None,
    as_: str,
    because: str,
    by: str,
    dry_run: bool,
    **wanted: Any,
) -> None:
    """Say that the work of a dead letter was done by hand: the saga goes on, with FILE as its event.

    FILE holds the event as JSON, as `choreo dlq show NUMBER --event` prints one; - is standard input. It must
    be of a type that the step declares, and fit its current schema. The event is published as if the handler
    had returned it; a compensation is confirmed by its event. With `--as` and its failure event, an action
    has failed, and has left nothing behind. An observer has no event: without FILE, the dead letter is done,
    or all of --all that have none.

    \b
    Examples:
      choreo dlq resolve 12 event.json --because "charged in the bank's portal, ticket 4711"
      choreo dlq resolve 12 none.json --as PaymentFailed --because "the card is blocked" --dry-run
      choreo dlq resolve --all --step reporting.project --because "the report was written anew"
    """
    if everything and (number is not None or file is not None or as_):
        raise ConfigurationError(
            "one event can't be the result of several dead letters", hint="resolve them one by one"
        )
    with open_stores(stores, reading=dry_run) as opened:
        letters = chosen(opened, [] if number is None else [number], everything, Filter(**wanted))
        if everything:
            left = settled(letters, "resolved", because, by, dry_run, objection_to_no_event)
            context.exit(1 if left else 0)
        (found,) = letters
        known = ways_of(found, because)
        name = type_of(found, known, as_, has_event=file is not None)
        result = None
        if file is not None:
            result = Result(name, given_body(name, text_in(file), Path(schemas or "schemas")))
        if not dry_run and settle(found, "resolved", because, now(), by=by, result=result):
            raise ConfigurationError(
                f"{found.title} was settled meanwhile", hint="see `choreo dlq list --all`"
            )
    output.line(f"{found.title}: {'would be ' if dry_run else ''}resolved: {found.what}")
    for line in following(known[name]) if dry_run else ():
        output.line(f"  {line}")

"""``choreo dlq edit``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click

from choreo.cli import settings
from choreo.cli.dlq.selection import Filter, Found, chosen, participant
from choreo.cli.stores import open_stores, stores
from choreo.errors import ConfigurationError


@click.command(short_help="Give a dead letter's handler another event.")
@click.argument("number", type=int)
@click.argument("file", type=click.File(encoding="utf-8"), default="-", metavar="[FILE]")
@stores
@participant
@settings.schemas
@click.option("--dry-run", is_flag=True, help="Check the event, and keep nothing.")
def edit(
    number: int, file: IO[str], stores: Sequence[str], participant: str, schemas: str | None, dry_run: bool
) -> None:
    """Give a dead letter's handler another event, once it is requeued.

    FILE holds the event as JSON, as `choreo dlq show NUMBER --event` prints it; - is standard input. It must
    fit the event's current schema. The log and the original stay as they are, and other handlers of
    that event see the original.

    \b
    Examples:
      choreo dlq show 12 --event > event.json
      choreo dlq edit 12 event.json
      choreo dlq requeue 12
    """
    from choreo.avro.json_encoding import MAX_TEXT, body_of

    with open_stores(stores) as opened:
        (found,) = chosen(opened, [number], False, Filter(participant=participant))
        _refuse_without_event(found)
        body = body_of(found.letter.event_type, file.read(MAX_TEXT + 1), Path(schemas or "schemas"))
        if dry_run:
            click.echo(f"{found.title}: a good {found.letter.event_type}; nothing was kept")
            return
        store = found.opened.store
        with store.turn():
            kept = store.edit_dead_letter(number, body)
    if not kept:
        raise ConfigurationError(f"{found.title} was settled meanwhile", hint="see `choreo dlq list --all`")
    click.echo(f"{found.title}: edited; now `choreo dlq requeue {number}`")


def _refuse_without_event(found: Found) -> None:
    if not found.letter.saga_type or not found.letter.event_type:
        raise ConfigurationError(
            f"{found.title}: no handler would get another event", hint="it can only be discarded"
        )

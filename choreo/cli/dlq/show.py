"""``choreo dlq show``: prints one dead letter with its reason, its headers and its event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from choreo.cli import options, output
from choreo.cli.dlq.selection import participant
from choreo.cli.stores import stores
from choreo.operations.bodies import bodies_of, event_text
from choreo.operations.letters import as_json, letter_of
from choreo.operations.stores import open_stores


@click.command(short_help="Show one dead letter with its event.")
@click.argument("number", type=options.LETTER)
@stores
@participant
@options.schemas
@click.option(
    "--event", "event_only", is_flag=True, help="Print only the event, as `choreo dlq edit` reads it."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show(
    number: int, stores: Sequence[str], participant: str, schemas: str | None, event_only: bool, form: str
) -> None:
    """Show one dead letter: its reason, its event as it was received and as it was edited, and its result.

    \b
    Examples:
      choreo dlq show 12
      choreo dlq show 12 --event > event.json
    """
    folder = Path(schemas or "schemas")
    with open_stores(stores, reading=True) as opened:
        found = letter_of(opened, number, participant)
    if event_only:
        output.json_text(event_text(found.letter, folder))
        return
    shown = as_json(found) | bodies_of(found.letter, folder)
    if form == "json":
        output.data(shown)
        return
    width = max(len(name) for name in shown)
    for name, value in shown.items():
        if value not in ("", None, False):
            written = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
            output.line(f"{name:{width}}  {written}")

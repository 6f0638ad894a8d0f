"""``choreo dlq show``: prints one dead letter with its reason, its headers and its event."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from choreo.avro.json_encoding import text_of
from choreo.cli import options, output
from choreo.cli.dlq.list import as_json
from choreo.cli.dlq.selection import Found, letter_of, participant
from choreo.cli.stores import open_stores, stores
from choreo.errors import ChoreoError, StoreError


@click.command(short_help="Show one dead letter with its event.")
@click.argument("number", type=int)
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
    """Show one dead letter: its reason, its event as it was received, and as it was edited.

    \b
    Examples:
      choreo dlq show 12
      choreo dlq show 12 --event > event.json
    """
    folder = Path(schemas or "schemas")
    with open_stores(stores, reading=True) as opened:
        found = letter_of(opened, number, participant)
    if event_only:
        output.json_text(_text(found, folder))
        return
    shown = as_json(found) | _bodies(found, folder)
    if form == "json":
        output.data(shown)
        return
    width = max(len(name) for name in shown)
    for name, value in shown.items():
        if value not in ("", None, False):
            written = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
            output.line(f"{name:{width}}  {written}")


def _text(found: Found, folder: Path) -> str:
    letter = found.letter
    return text_of(letter.event_type, letter.value if letter.edited is None else letter.edited, folder)


def _bodies(found: Found, folder: Path) -> dict[str, Any]:
    """Return the event decoded by its schema or, where that fails, its bytes in base64."""
    letter = found.letter
    shown: dict[str, Any] = {"headers": _headers(letter.headers)}
    for name, body in (("event", letter.value), ("edited_event", letter.edited)):
        if body is None:
            continue
        try:
            shown[name] = json.loads(text_of(letter.event_type, body, folder))
        except ChoreoError as error:
            shown[f"{name}_base64"] = b64encode(body).decode()
            shown[f"{name}_unreadable"] = str(error)
    return shown


def _headers(written: str) -> list[list[str | None]]:
    """Return the headers, their values as text."""

    def text(value: str | None) -> str | None:
        return None if value is None else b64decode(value).decode("utf-8", "backslashreplace")

    try:
        return [[name, text(value)] for name, value in json.loads(written)]
    except (ValueError, TypeError):
        raise StoreError("its headers can't be read", hint="is the store damaged?") from None

"""``choreo dlq list``: prints the dead letters of participants' stores, grouped by cause, or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from choreo.cli import output
from choreo.cli.dlq.selection import Filter, Found, filtered, letters_in
from choreo.cli.sources import now
from choreo.cli.stores import open_stores, stores
from choreo.render.wording import iso_time, span

_SHOWN = 5
"""How many letters of a group are named one by one; JSON has them all."""


@click.command("list", short_help="List dead letters, by cause.")
@stores
@filtered
@click.option("--all", "closed", is_flag=True, help="List settled dead letters, too.")
@click.option("--check", is_flag=True, help="Exit with 1 if an open dead letter is listed, for scripts.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def list_letters(
    context: click.Context,
    /,
    stores: Sequence[str],
    closed: bool,
    check: bool,
    form: str,
    **wanted: str,
) -> None:
    """List open dead letters, grouped by their cause.

    \b
    Examples:
      choreo dlq list
      choreo dlq list --store /var/lib/orders.db --reason gave-up
      choreo dlq list --check > letters.txt || mail -s "dead letters" ops@shop.example < letters.txt
      choreo dlq list --all --format json | jq '.[].saga_id'
    """
    with open_stores(stores, reading=True) as opened:
        letters = letters_in(opened, Filter(**wanted), closed=closed)
    if form == "json":
        output.data([as_json(found) for found in letters])
    elif not letters:
        output.line("no dead letters")
    else:
        for group in _grouped(letters):
            _show(group)
    if check and any(found.letter.state == "open" for found in letters):
        context.exit(1)


def as_json(found: Found) -> dict[str, Any]:
    """Return a letter as JSON data, without its body."""
    letter = found.letter
    return {
        "number": letter.id,
        "participant": found.opened.participant,
        "store": found.opened.path,
        "state": letter.state,
        "reason": letter.reason,
        "detail": letter.detail,
        "task": letter.task,
        "step": letter.name,
        "saga_id": letter.saga_id,
        "saga_type": letter.saga_type,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "attempts": letter.attempt,
        "recorded_at": iso_time(letter.recorded_at),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "edited": letter.edited is not None,
        "because": letter.comment,
        "closed_at": iso_time(letter.closed_at) if letter.closed_at else None,
    }


def _grouped(letters: Iterable[Found]) -> list[list[Found]]:
    groups: dict[tuple[str, ...], list[Found]] = {}
    for found in letters:
        letter = found.letter
        cause = (letter.state, found.opened.participant, letter.reason, letter.task, letter.name)
        groups.setdefault(cause, []).append(found)
    return sorted(groups.values(), key=len, reverse=True)


def _show(group: Sequence[Found]) -> None:
    first = group[0].letter
    owner = group[0].opened.participant or "nobody yet"
    what = f"{first.task} {first.name}" if first.name else f"records of {first.topic}"
    state = "" if first.state == "open" else f", {first.state}"
    head = output.style(f"{first.reason}", fg="red" if first.state == "open" else None, bold=True)
    oldest = span(max(now() - min(found.letter.recorded_at for found in group), 0))
    output.line(f"{head}  {what} ({owner}): {len(group)}{state}, oldest {oldest} ago")
    for found in group[:_SHOWN]:
        letter = found.letter
        where = letter.saga_id or f"{letter.topic}[{letter.partition}]@{letter.offset}"
        output.line(f"  #{letter.id}  {where}  {letter.detail}")
    if len(group) > _SHOWN:
        output.line(f"  … and {len(group) - _SHOWN} more")

"""``choreo dlq list``: prints the dead letters of participants' stores, grouped by cause, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from textwrap import indent
from typing import Any

import click

from choreo.cli import output
from choreo.cli.dlq.selection import filtered
from choreo.cli.sources import now
from choreo.cli.stores import stores
from choreo.operations.letters import Filter, Found, Group, as_json, by_cause, letters_in
from choreo.operations.stores import Opened, open_stores
from choreo.render.wording import span


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
    **wanted: Any,
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
        open_letters = _print_json(letters) if form == "json" else _print_groups(letters)
    if check and open_letters:
        context.exit(1)


def _print_json(letters: Iterable[Found[Opened]]) -> int:
    """Write letters as JSON, one by one however many there are; return how many are open."""
    count, before = 0, "["
    for found in letters:
        count += found.letter.state == "open"
        text = indent(json.dumps(as_json(found), indent=2), "  ")  # in ASCII: other line ends would count
        output.json_text(f"{before}\n{text}", end="")
        before = ","
    output.json_text("[]" if before == "[" else "\n]")
    return count


def _print_groups(letters: Iterable[Found[Opened]]) -> int:
    """Write letters by cause; return how many are open."""
    groups = by_cause(letters)
    if not groups:
        output.line("no dead letters")
    for group in groups:
        _show(group)
    return sum(group.count for group in groups if group.first[0].letter.state == "open")


def _show(group: Group[Opened]) -> None:
    first = group.first[0].letter
    owner = group.first[0].opened.participant or "nobody yet"
    what = f"{first.task} {first.name}" if first.name else f"records of {first.topic}"
    state = "" if first.state == "open" else f", {first.state}"
    head = output.style(f"{first.reason}", fg="red" if first.state == "open" else None, bold=True)
    oldest = span(max(now() - group.oldest, 0))
    output.line(f"{head}  {what} ({owner}): {group.count}{state}, oldest {oldest} ago")
    for found in group.first:
        letter = found.letter
        where = letter.saga_id or f"{letter.topic}[{letter.partition}]@{letter.offset}"
        output.line(f"  #{letter.id}  {where}  {letter.detail}")
    if group.more:
        output.line(f"  … and {group.more} more")

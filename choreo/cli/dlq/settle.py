"""``choreo dlq requeue``, ``discard`` and ``edit``: ask the worker to try or to give up dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Literal

import click

from choreo.avro.json_encoding import MAX_TEXT, body_of
from choreo.cli import options, output
from choreo.cli.dlq.selection import Filter, Found, chosen, filtered, participant
from choreo.cli.stores import open_stores, stores
from choreo.errors import ConfigurationError
from choreo.worker.dead_letters import settle, times_requeued
from choreo.worker.unpublishable import PUBLICATION

Objection = Callable[[Found], str]
"""Returns why a letter can't be settled; empty where it can."""

_LONGEST = 500
"""Characters of a comment at most."""


@click.command(short_help="Try dead letters again.")
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
@stores
@click.option("--all", "everything", is_flag=True, help="All open ones that the filters select.")
@filtered
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many times the same work may be requeued.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
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
    """Try dead letters again, once their cause is fixed.

    The state of the saga at that time decides: a step whose saga was rolled back meanwhile is not executed,
    and its failure is published. Work that fails again becomes a new dead letter. Exits with 1 if a dead
    letter could not be requeued.

    \b
    Examples:
      choreo dlq requeue 12 13
      choreo dlq requeue --all --reason gave-up --dry-run
    """
    with open_stores(stores, reading=dry_run) as opened:
        letters = chosen(opened, numbers, everything, Filter(**wanted))
        left = _settle_all(letters, "requeued", "", dry_run, lambda found: _objection(found, limit))
    if left:
        context.exit(1)


def _objection(found: Found, limit: int) -> str:
    if not found.letter.saga_type:
        return "it belongs to no saga, so there is nothing to try again"
    times = times_requeued(found.opened.store.letters_of(*found.letter[3:5]), found.letter)
    return f"requeued {times} times already; edit it, or raise --limit" if times >= limit else ""


@click.command(short_help="Settle dead letters by hand.")
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
@stores
@click.option("--all", "everything", is_flag=True, help="All open ones that the filters select.")
@filtered
@click.option(
    "--because",
    required=True,
    metavar="TEXT",
    help="The reason; it is stored, and published with the event that the discard causes.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
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
    """Settle dead letters by hand: the saga goes on as if the work had been done, or had failed.

    A compensation counts as done: its event is published, so first undo by hand what it should have undone.
    An action counts as failed: its failure is published, and the saga rolls back. A retriable step can't
    fail; its dead letter opens again, as does that of an event that its saga's topic refused. An observer
    skips the event.

    \b
    Examples:
      choreo dlq discard 13 --because "refunded by hand, ticket 4711"
      choreo dlq discard --all --saga order-42 --because "test data" --dry-run
    """
    if not because.strip() or len(because) > _LONGEST or not because.isprintable():
        raise ConfigurationError(
            f"the reason has 1 to {_LONGEST} printable characters", hint='--because "refunded by hand"'
        )
    with open_stores(stores, reading=dry_run) as opened:
        letters = chosen(opened, numbers, everything, Filter(**wanted))
        left = _settle_all(letters, "discarded", because, dry_run)
    if left:
        context.exit(1)


@click.command(short_help="Replace the event of a dead letter's handler.")
@click.argument("number", type=int)
@click.argument("file", type=click.File(encoding="utf-8"), default="-", metavar="[FILE]")
@stores
@participant
@options.schemas
@click.option("--dry-run", is_flag=True, help="Check the event, and change nothing.")
def edit(
    number: int, file: IO[str], stores: Sequence[str], participant: str, schemas: str | None, dry_run: bool
) -> None:
    """Replace the event that a dead letter's handler receives once it is requeued.

    FILE holds the event as JSON, as `choreo dlq show NUMBER --event` prints it; - is standard input. It must
    fit the event's current schema. The topic and the saga log keep the original, and other handlers of
    the event receive the original.

    \b
    Examples:
      choreo dlq show 12 --event > event.json
      choreo dlq edit 12 event.json
      choreo dlq requeue 12
    """
    with open_stores(stores) as opened:
        (found,) = chosen(opened, [number], False, Filter(participant=participant))
        _refuse_without_event(found)
        body = body_of(found.letter.event_type, file.read(MAX_TEXT + 1), Path(schemas or "schemas"))
        if dry_run:
            output.line(f"{found.title}: a good {found.letter.event_type}; nothing was kept")
            return
        store = found.opened.store
        with store.turn():
            kept = store.edit_dead_letter(number, body)
    if not kept:
        raise ConfigurationError(f"{found.title} was settled meanwhile", hint="see `choreo dlq list --all`")
    output.line(f"{found.title}: edited; now `choreo dlq requeue {number}`")


def _refuse_without_event(found: Found) -> None:
    if found.letter.task == PUBLICATION:
        raise ConfigurationError(
            f"{found.title}: its event was decided already, and only waits to be published",
            hint="let its topic take it, then requeue it",
        )
    if not found.letter.saga_type or not found.letter.event_type:
        raise ConfigurationError(
            f"{found.title}: no handler would get another event", hint="it can only be discarded"
        )


def _settle_all(
    letters: Sequence[Found],
    how: Literal["requeued", "discarded"],
    comment: str,
    dry_run: bool,
    objection: Objection = lambda found: "",
) -> int:
    """Request the settling of letters, print the result of each, and return how many were left alone."""
    left = 0
    for found in letters:
        why = objection(found) or ("" if dry_run else _settle(found, how, comment))
        left += bool(why)
        if why:
            output.notice(f"{found.title}: left alone: {why}")
        else:
            output.line(f"{found.title}: {'would be ' if dry_run else ''}{how}: {_what(found)}")
    if not letters:
        output.line("no dead letters")
    return left


def _settle(found: Found, how: Literal["requeued", "discarded"], comment: str) -> str:
    done = settle(found.opened.store, found.letter, how, comment, time.time_ns() // 1_000_000)
    return "" if done else "it was settled meanwhile"


def _what(found: Found) -> str:
    letter = found.letter
    if not letter.saga_id:
        return f"the record at {letter.topic}[{letter.partition}]@{letter.offset}"
    return f"{letter.task} {letter.name} of saga {letter.saga_id}"

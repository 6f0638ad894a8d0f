"""``choreo dlq requeue``, ``discard`` and ``edit``: ask the worker to try or to give up dead letters."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from choreo.avro.json_encoding import MAX_TEXT
from choreo.cli import options, output
from choreo.cli.dlq.selection import filtered, participant
from choreo.cli.sources import now
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.bodies import given_body
from choreo.operations.letters import Filter, Found, chosen
from choreo.operations.settling import (
    REQUEUES,
    Objection,
    no_objection,
    objection_to_requeue,
    refuse_comment,
    refuse_name,
    refuse_without_event,
    settle,
)
from choreo.operations.settling import edit as keep
from choreo.operations.stores import Opened, open_stores
from choreo.worker.dead_letters import How

F = TypeVar("F", bound=Callable[..., Any])


def _reason(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if text or parameter.required:
        refuse_comment(text)
    return text


def _name(context: click.Context, parameter: click.Parameter, text: str) -> str:
    refuse_name(text)
    return text


def _user() -> str:
    """Return the name of the user that runs this process, empty where it has none that can be kept."""
    try:
        name = getpass.getuser()
        refuse_name(name)
    except (KeyError, OSError, ConfigurationError):  # KeyError: the system does not know the user
        return ""
    return name


def accounted(more: str = "", *, required: bool) -> Callable[[F], F]:
    """Declare the options for the reason, about which ``more`` is said, and for who gives it."""

    def declared(function: F) -> F:
        who = click.option(
            "--by",
            default=_user,
            callback=_name,
            metavar="WHO",
            help="Who says so; it is stored. Default: the user that runs the command.",
        )
        why = click.option(
            "--because",
            **({"required": True} if required else {"default": ""}),
            callback=_reason,
            metavar="TEXT",
            help=f"The reason; it is stored{more}.",
        )
        return why(who(function))

    return declared


@click.command(short_help="Try dead letters again.")
@click.argument("numbers", type=options.LETTER, nargs=-1, metavar="[NUMBER]...")
@stores
@click.option("--all", "everything", is_flag=True, help="All open ones that the filters select.")
@filtered
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=REQUEUES,
    show_default=True,
    metavar="N",
    help="How many times the same work may be requeued.",
)
@accounted(required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.pass_context
def requeue(
    context: click.Context,
    /,
    numbers: tuple[int, ...],
    stores: Sequence[str],
    everything: bool,
    limit: int,
    because: str,
    by: str,
    dry_run: bool,
    **wanted: Any,
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
        left = settled(letters, "requeued", because, by, dry_run, objection_to_requeue(limit))
    if left:
        context.exit(1)


@click.command(short_help="Settle dead letters by hand.")
@click.argument("numbers", type=options.LETTER, nargs=-1, metavar="[NUMBER]...")
@stores
@click.option("--all", "everything", is_flag=True, help="All open ones that the filters select.")
@filtered
@accounted(", and published with the event that the discard causes", required=True)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.pass_context
def discard(
    context: click.Context,
    /,
    numbers: tuple[int, ...],
    stores: Sequence[str],
    everything: bool,
    because: str,
    by: str,
    dry_run: bool,
    **wanted: Any,
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
    with open_stores(stores, reading=dry_run) as opened:
        letters = chosen(opened, numbers, everything, Filter(**wanted))
        left = settled(letters, "discarded", because, by, dry_run)
    if left:
        context.exit(1)


@click.command(short_help="Replace the event of a dead letter's handler.")
@click.argument("number", type=options.LETTER)
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
        refuse_without_event(found)
        body = given_body(found.letter.event_type, text_in(file), Path(schemas or "schemas"))
        if dry_run:
            output.line(f"{found.title}: a good {found.letter.event_type}; nothing was kept")
            return
        keep(found, body)
    output.line(f"{found.title}: edited; now `choreo dlq requeue {number}`")


def text_in(file: IO[str]) -> str:
    """Return the text of an event. Raises `ConfigurationError` where it is none."""
    try:
        return file.read(MAX_TEXT + 1)
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{file.name} is not a text in UTF-8", hint="an event is written as JSON"
        ) from None


def settled(
    letters: Sequence[Found[Opened]],
    how: How,
    comment: str,
    by: str,
    dry_run: bool,
    objection: Objection = no_objection,
) -> int:
    """Request the settling of letters, print the result of each, and return how many were left alone."""
    left = 0
    for found in letters:
        why = objection(found) or ("" if dry_run else settle(found, how, comment, now(), by=by))
        left += bool(why)
        if why:
            output.notice(f"{found.title}: left alone: {why}")
        else:
            output.line(f"{found.title}: {'would be ' if dry_run else ''}{how}: {found.what}")
    if not letters:
        output.line("no dead letters")
    return left

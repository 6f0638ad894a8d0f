"""``choreo log erase`` and ``choreo log prune``: remove payloads or old sagas from the saga log for good."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import IO

import click

from choreo.audit.retention import Removal
from choreo.audit.retention import erase as erase_payloads
from choreo.audit.retention import prune as prune_sagas
from choreo.cli import output
from choreo.cli.options import Duration, SagaId
from choreo.cli.output import progress
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.stores import Opened, open_stores
from choreo.render.wording import span

UNKNOWN = "there is no such saga"
_SHOWN = 5
"""How many sagas a question names."""

_vacuum = click.option(
    "--vacuum",
    "whole",
    is_flag=True,
    help="Rewrite each database file (SQLite's VACUUM): it shrinks, and keeps no trace of deleted rows. No "
    "other process can write meanwhile.",
)
"""The option to write the whole database file again."""

yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")
"""The option that answers the question whether to do it."""


@click.command(short_help="Erase the payloads of some sagas.")
@click.argument("saga_ids", type=SagaId(), metavar="[SAGA_ID]...", nargs=-1)
@click.option(
    "--file", type=click.File(encoding="utf-8"), metavar="FILE", help="Saga ids, one a line; - is stdin."
)
@stores
@_vacuum
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and erase nothing.")
@click.pass_context
def erase(
    context: click.Context,
    /,
    saga_ids: tuple[str, ...],
    file: IO[str] | None,
    stores: Sequence[str],
    whole: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Erase the payloads of sagas, such as those of one person, from the saga log and the dead letters.

    Dead letters of records that could not be read are of no saga: those with the saga's id as key are erased.

    The command names the stores and asks first, unless --yes is given.
    It can't be undone: the bytes are overwritten on the disk. Everything else stays, and the chain still
    holds, as it links digests; the salts are erased, so a digest does not reveal its payload. A saga is left
    alone while its events are needed: if it has not ended, if work is due or an event is unpublished, or if
    a dead letter is open. Exits with 1 if a saga was left alone. The topic keeps its records according to its
    retention, and the service's own tables are not changed.

    \b
    Examples:
      choreo log erase order-42 order-57 --store orders.db
      choreo log erase --file ada.txt --dry-run
    """
    wanted = _wanted(saga_ids, file)
    known: set[str] = set()
    left = 0
    with open_stores(stores, reading=dry_run) as opened:
        if not (dry_run or yes or agreed(f"erase the payloads of {_named(wanted)}", opened)):
            context.exit(1)
        for each in opened:
            counts: Counter[str] = Counter()
            for done in erase_payloads(each.store, progress(wanted, each.path), dry_run=dry_run):
                saga_id = done.saga.saga_id
                known.add(saga_id)
                left += bool(done.kept)
                if done.kept:
                    output.notice(f"{each.participant}: saga {saga_id}: left alone: {done.kept}")
                counts.update(sagas=not done.kept, payloads=done.removed)
            _show_erased(each, counts, dry_run)
        unknown = [saga_id for saga_id in wanted if saga_id not in known]
        for saga_id in unknown:
            output.notice(f"saga {saga_id}: left alone: {UNKNOWN}")
        gone = dry_run or scrub(opened, whole=whole)
    context.exit(1 if left or unknown or not gone else 0)


def _named(saga_ids: Sequence[str]) -> str:
    """Return the ids of sagas, the first ones where there are many."""
    more = f" and {len(saga_ids) - _SHOWN} more" if len(saga_ids) > _SHOWN else ""
    return f"{', '.join(saga_ids[:_SHOWN])}{more}"


def agreed(what: str, stores: Iterable[Opened]) -> bool:
    """Name the stores, and ask whether to go on."""
    named = ", ".join(f"{each.path} ({each.participant or 'nobody yet'})" for each in stores)
    agreed = output.confirm(f"{what}, for good, in {named}?")
    if not agreed:
        output.notice("nothing was changed")
    return agreed


def _wanted(saga_ids: Sequence[str], file: IO[str] | None) -> list[str]:
    named = [*saga_ids, *(line.strip() for line in file or ())]
    wanted = list(dict.fromkeys(saga_id for saga_id in named if saga_id))
    if not wanted:
        raise ConfigurationError("which sagas?", hint="name them, or give --file with one a line")
    return wanted


def _show_erased(opened: Opened, counts: Counter[str], dry_run: bool) -> None:
    what = f"{output.counted(counts['payloads'], 'payload')} of {output.counted(counts['sagas'], 'saga')}"
    output.line(f"{opened.participant}: {what} {'would be ' if dry_run else ''}erased")


@click.command(short_help="Remove sagas that ended long ago.")
@click.option(
    "--older-than",
    type=Duration(),
    required=True,
    metavar="SPAN",
    help="The time since the last row of a saga, such as 90d.",
)
@stores
@_vacuum
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.pass_context
def prune(
    context: click.Context,
    /,
    older_than: int,
    stores: Sequence[str],
    whole: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Remove sagas that ended long ago from the saga log, except for one row each that says how they ended.

    By that row a late event or a duplicate finds its saga ended and starts nothing, and the id can't start
    another saga. The command names the stores and asks first, unless --yes is given. A pruned saga can't be
    replayed: export it first. A saga is left alone if work is due for it or if a dead letter of it is open.
    Dead letters are not removed.

    \b
    Examples:
      choreo log prune --older-than 90d --dry-run
      choreo log prune --older-than 1000d --vacuum --yes
    """
    now = time.time_ns() // 1_000_000
    with open_stores(stores, reading=dry_run) as opened:
        if not (dry_run or yes or agreed(f"remove sagas whose end is older than {span(older_than)}", opened)):
            context.exit(1)
        for each in opened:
            done = prune_sagas(each.store, now - older_than, now, dry_run=dry_run)
            _show_pruned(each, progress(done, each.path), dry_run)
        gone = dry_run or scrub(opened, whole=whole)
    context.exit(0 if gone else 1)


def _show_pruned(opened: Opened, removals: Iterable[Removal], dry_run: bool) -> None:
    counts: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for each in removals:
        counts.update(sagas=not each.kept, rows=each.removed)
        left.update([each.kept] if each.kept else [])
    what = f"{output.counted(counts['sagas'], 'saga')} of {output.counted(counts['rows'], 'row')}"
    output.line(f"{opened.participant}: {what} {'would be ' if dry_run else ''}pruned")
    for why, count in left.items():
        output.line(f"{opened.participant}: {output.counted(count, 'saga')} left: {why}")


def scrub(stores: Iterable[Opened], *, whole: bool) -> bool:
    """Overwrite the removed bytes of each store; return whether that could be done in all of them."""
    done = True
    for each in stores:
        if not each.store.saga_log.scrub(whole=whole):
            done = False
            output.notice(f"{each.path}: what was removed is still being read: run the same command again")
    return done

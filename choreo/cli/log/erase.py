"""``choreo log erase``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import IO

import click

from choreo.cli import output
from choreo.cli.log.progress import progress
from choreo.cli.log.scrubbing import scrub, vacuum
from choreo.cli.stores import Opened, open_stores, stores
from choreo.errors import ConfigurationError

UNKNOWN = "there is no such saga"


@click.command(short_help="Erase the payloads of some sagas.")
@click.argument("saga_ids", metavar="[SAGA_ID]...", nargs=-1)
@click.option(
    "--file", type=click.File(encoding="utf-8"), metavar="FILE", help="Saga ids, one a line; - is stdin."
)
@stores
@vacuum
@click.option("--dry-run", is_flag=True, help="Say what would be erased, and erase nothing.")
@click.pass_context
def erase(
    context: click.Context,
    /,
    saga_ids: tuple[str, ...],
    file: IO[str] | None,
    stores: Sequence[str],
    whole: bool,
    dry_run: bool,
) -> None:
    """Erase the payloads of sagas, such as those of one person, from the saga log and the dead letters.

    For good: the bytes are overwritten on the disk. Everything else stays, and the chain still holds, as it
    was made over digests; without its salt, a digest tells nobody what the payload was. A saga whose events
    are still needed is left alone: it has not ended, something is due or unpublished, a dead letter is open.
    Exits with 1 where one was left alone. The topic keeps its records as long as its retention says, and
    your own tables are yours to clean.

    \b
    Examples:
      choreo log erase order-42 order-57
      choreo log erase --file ada.txt --dry-run
    """
    from choreo.audit.retention import erase as erase_payloads

    wanted = _wanted(saga_ids, file)
    known: set[str] = set()
    left = 0
    with open_stores(stores) as opened:
        for each in opened:
            counts: Counter[str] = Counter()
            for done in erase_payloads(each.store, progress(wanted, each.path), dry_run=dry_run):
                if done.kept == UNKNOWN:
                    continue
                known.add(done.saga_id)
                left += bool(done.kept)
                if done.kept:
                    output.notice(f"{each.participant}: saga {done.saga_id}: left alone: {done.kept}")
                counts.update(sagas=not done.kept, payloads=done.removed)
            _sum_up(each, counts, dry_run)
        unknown = [saga_id for saga_id in wanted if saga_id not in known]
        for saga_id in unknown:
            output.notice(f"saga {saga_id}: left alone: {UNKNOWN}")
        gone = dry_run or scrub(opened, whole=whole)
    context.exit(1 if left or unknown or not gone else 0)


def _wanted(saga_ids: Sequence[str], file: IO[str] | None) -> list[str]:
    named = [*saga_ids, *(line.strip() for line in file or ())]
    wanted = list(dict.fromkeys(saga_id for saga_id in named if saga_id))
    if not wanted:
        raise ConfigurationError("which sagas?", hint="name them, or give --file with one a line")
    return wanted


def _sum_up(opened: Opened, counts: Counter[str], dry_run: bool) -> None:
    what = f"{output.counted(counts['payloads'], 'payload')} of {output.counted(counts['sagas'], 'saga')}"
    click.echo(f"{opened.participant}: {what} {'would be ' if dry_run else ''}erased")

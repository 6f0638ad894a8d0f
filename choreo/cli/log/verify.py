"""``choreo log verify`` and ``choreo log heads``: check the chains of the saga log, and print their heads."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import IO

import click

from choreo.audit.heads import heads_of, read_heads, write_heads
from choreo.audit.verification import Finding, Verification, all_sagas
from choreo.cli import output
from choreo.cli.options import SagaId
from choreo.cli.output import progress
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.stores import Opened, open_stores


@click.command(short_help="Check that the log was not changed.")
@click.argument("saga_ids", type=SagaId(), metavar="[SAGA_ID]...", nargs=-1)
@stores
@click.option(
    "--heads",
    "heads",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="The heads that `choreo log heads` wrote before, to find removed sagas and rows removed at the end.",
)
@click.pass_context
def verify(
    context: click.Context, /, saga_ids: tuple[str, ...], stores: Sequence[str], heads: IO[str] | None
) -> None:
    """Check the chains of all sagas, or of some, and name the first row at which a chain is broken.

    A row that was changed, removed, inserted, reordered or moved to another saga breaks its saga's chain.
    Only --heads shows that the last rows of a saga were removed, or that a whole saga was removed or
    rewritten; so keep heads where those who can write the store can't write. Exits with 1 for any finding.

    \b
    Examples:
      choreo log verify
      choreo log verify --store /var/lib/orders.db --heads /mnt/audit/heads-2026-11.jsonl
    """
    found = 0
    with open_stores(stores, reading=True) as opened:
        _refuse_unknown(opened, saga_ids)
        checks = {each: Verification(each.store.saga_log) for each in opened}
        for each, check in checks.items():
            found += _show(each, _chains(each, check, saga_ids))
        if heads is not None:
            found += _check_heads(checks, heads)
        for each, check in checks.items():
            _sum_up(each, check)
    output.line(output.counted(found, "finding") if found else "no findings")
    context.exit(1 if found else 0)


def _refuse_unknown(opened: Sequence[Opened], saga_ids: Iterable[str]) -> None:
    for saga_id in saga_ids:
        if not any(each.store.saga_log.with_id(saga_id) for each in opened):
            raise ConfigurationError(
                f"there is no saga {saga_id} in {', '.join(each.path for each in opened)}",
                hint="was it removed? --heads shows it",
            )


def _chains(opened: Opened, check: Verification, wanted: Sequence[str]) -> Iterable[Finding | None]:
    log = opened.store.saga_log
    sagas = (saga for saga_id in wanted for saga in log.with_id(saga_id)) if wanted else all_sagas(log)
    for saga in progress(sagas, opened.path):
        yield check.check(saga)


def _check_heads(checks: dict[Opened, Verification], file: IO[str]) -> int:
    by_id = {each.store.store_id: each for each in checks}
    found = 0
    for head in progress(read_heads(file), "heads"):
        opened = by_id.get(head.store_id)
        if opened is None:
            raise ConfigurationError(
                f"{file.name} has heads of another store, {head.store_id}",
                hint="name it, too: --store, once for each",
            )
        found += _show(opened, [checks[opened].check_head(head)])
    return found


def _show(opened: Opened, findings: Iterable[Finding | None]) -> int:
    count = 0
    for finding in findings:
        if finding is not None:
            count += 1
            output.line(output.style(f"{opened.participant or opened.path}: {finding}", fg="red"))
    return count


def _sum_up(opened: Opened, check: Verification) -> None:
    counted = output.counted
    parts = [f"{counted(check.sagas, 'saga')}, {counted(check.rows, 'row')} checked"]
    if check.heads:
        parts.append(f"{counted(check.heads, 'head')} compared")
    if check.older:
        parts.append(f"{counted(check.older, 'row')} older than the chain: nothing vouches for them")
    if check.pruned:
        parts.append(f"{counted(check.pruned, 'saga')} pruned")
    if check.passed:
        parts.append(f"{counted(check.passed, 'head')} of these not comparable any more")
    output.line(f"{opened.participant or opened.path}: {'; '.join(parts)}")


@click.command(short_help="Write the last link of every saga.")
@stores
def heads(stores: Sequence[str]) -> None:
    """Write the last link of every saga, as JSON lines, on standard output.

    Keep them where those who can write the stores can't write: `choreo log verify --heads FILE` then shows
    what was removed or rewritten since. The last line holds their number, so an incomplete file is refused.

    \b
    Examples:
      choreo log heads > heads.jsonl
      choreo log heads --store /var/lib/orders.db | ssh audit 'cat > orders-heads.jsonl'
    """
    with open_stores(stores, reading=True) as opened:
        found = [
            heads_of(each.store.saga_log, each.store.store_id, all_sagas(each.store.saga_log))
            for each in opened
        ]
        write_heads(progress(chain.from_iterable(found), "heads"), sys.stdout)

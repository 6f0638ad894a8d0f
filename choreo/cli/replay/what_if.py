"""``choreo replay what-if``: runs today's handlers on recorded events and prints what they would change."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from choreo.avro import AvroCodec
from choreo.cli import options, output
from choreo.cli.replay.subject import Subject, as_json, subject_of, target
from choreo.errors import ConfigurationError, ReplayError
from choreo.replay.databases import copy_of, empty_store, trial
from choreo.replay.what_if import WhatIf

_SHOWN = 50
"""How many differences are written one by one; JSON has them all."""


@click.command("what-if", short_help="Run today's handlers on recorded events.")
@target
@click.argument("saga_ids", type=options.SagaId(), metavar="[SAGA_ID]...", nargs=-1)
@options.store
@click.option("--all", "everything", is_flag=True, help="Every saga in the store.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="TIME",
    help="With --all: only those that began since then (local time).",
)
@click.option("--type", "saga_type", default="", metavar="NAME", help="Only sagas of this type.")
@click.option(
    "--base",
    metavar="SNAPSHOT",
    help="An earlier copy of the store, a file or an address; it is not changed.",
)
@options.schemas
@as_json
@click.option("--dry-run", is_flag=True, help="Changes nothing here: it never writes.")
@click.pass_context
def what_if(
    context: click.Context,
    /,
    target: str,
    saga_ids: tuple[str, ...],
    store: str,
    everything: bool,
    since: datetime | None,
    saga_type: str,
    base: str | None,
    schemas: str | None,
    form: str,
    **_given: Any,
) -> None:
    """Run the handlers of today's code on the recorded events, and compare what they return.

    Use it as a regression test before a deploy. Nothing is published or written, and effects of a handler
    outside of the process are refused and reported. Calls (async def, blocking=True) are not made: their
    recorded results are used. Handlers that use ctx.db run on a temporary copy of --base, to which everything
    that the store did since that snapshot is applied in order; without --base they are only counted.
    Exits with 1 for any difference.

    \b
    Examples:
      choreo replay what-if shop.orders:orders o-1
      choreo replay what-if shop.orders:orders --all --since 2026-01-31 --base monday.db
    """
    if bool(saga_ids) == everything:
        raise ConfigurationError("which sagas?", hint="name them, or give --all, which --since can narrow")
    # What a participant's code prints is not the command's output.
    with redirect_stdout(sys.stderr), subject_of(target, store, reading=True) as subject:
        wanted = _wanted(subject, saga_ids, since, saga_type)
        whatif = _tried(subject, wanted, saga_type, base, schemas)
    if form == "json":
        output.data(_report(whatif, len(wanted)))
    else:
        _show(whatif, len(wanted))
    context.exit(1 if whatif.changes else 0)


def _wanted(subject: Subject, saga_ids: Sequence[str], since: datetime | None, saga_type: str) -> list[str]:
    """Return the ids of the sagas to try. Raises `ReplayError` for one that the store doesn't know."""
    if not saga_ids:
        return [each for each in subject.sagas() if since is None or _begun(subject, each) >= since]
    for saga_id in saga_ids:
        if not subject.store.history(saga_id, saga_type):
            name = subject.participant.name
            raise ReplayError(f"{name} knows no saga {saga_id}", hint="see `choreo sagas`")
    return list(dict.fromkeys(saga_ids))


def _begun(subject: Subject, saga_id: str) -> datetime:
    """Return the time of the first row that the participant recorded of a saga."""
    return datetime.fromtimestamp(subject.store.history(saga_id)[0].recorded_at / 1000)


def _tried(
    subject: Subject, wanted: list[str], saga_type: str, base: str | None, schemas: str | None
) -> WhatIf:
    """Run the handlers on the sagas, with a progress bar on a terminal."""
    participant, store = subject.participant, subject.store
    codec = AvroCodec(participant.events, [Path(schemas or "schemas")])
    with copy_of(base, store) if base else empty_store() as scratch, trial(scratch.store):
        whatif = WhatIf(
            *(participant, codec, store, scratch.store),
            has_base=bool(base),
            wanted=frozenset(wanted),
            saga_type=saga_type,
        )
        if base and participant.prepare:
            participant.prepare(scratch.store.db)
        if base:
            with output.bar("what if", store.saga_log.last_id) as bar:
                for number in whatif.take_all(scratch.last):
                    bar.update(number - bar.pos)
        else:
            with output.bar("what if", len(wanted)) as bar:
                for saga_id in wanted:
                    whatif.take_saga(saga_id)
                    bar.update(1)
    return whatif


def _report(whatif: WhatIf, sagas: int) -> dict[str, Any]:
    return {
        "sagas": sagas,
        "counts": dict(whatif.counts),
        "changes": [each._asdict() for each in whatif.changes],
        "older": whatif.older,
        "nondeterministic": {name: list(places) for name, places in whatif.nondeterministic.items()},
    }


def _show(whatif: WhatIf, sagas: int) -> None:
    for each in whatif.changes[:_SHOWN]:
        where = f"saga {each.saga_id}, row {each.row}" if each.row else f"saga {each.saga_id}"
        output.line(output.style(f"{where}: {each.step}", bold=True))
        output.line(output.style(f"  - {each.recorded}", fg="red"))
        output.line(output.style(f"  + {each.now}", fg="green"))
    if len(whatif.changes) > _SHOWN:
        output.line(f"… and {len(whatif.changes) - _SHOWN} more (--format json has them all)")
    for name, places in whatif.nondeterministic.items():
        output.line(f"nondeterministic: {name} calls {', '.join(places)}")
    for saga_id, rows in list(whatif.older.items())[:_SHOWN]:
        output.line(
            f"saga {saga_id}: {_many(rows, 'row')} of an earlier release: compared by what was declared then"
        )
    counts = ", ".join(f"{count} {what}" for what, count in sorted(whatif.counts.items())) or "no handler ran"
    output.line(f"{_many(sagas, 'saga')}: {counts}; {_many(len(whatif.changes), 'difference')}")


def _many(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"

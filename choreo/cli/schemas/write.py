"""``choreo schemas write``."""

from __future__ import annotations

from pathlib import Path

import click

from choreo.cli import settings
from choreo.project.modules import events_of


@click.command(short_help="Write the schema files of events.")
@click.argument("targets", metavar="[MODULE[:PARTICIPANT]]...", nargs=-1)
@settings.schemas
@click.option(
    "--allow-incompatible",
    is_flag=True,
    help="Write a version even if it could not live on one topic with an older one.",
)
def write(targets: tuple[str, ...], schemas: str | None, allow_incompatible: bool) -> None:
    """Write the schema files of events, and keep every version in the folder's history.

    MODULE's events are the @event classes found in it and those of its participants. Without MODULE,
    they are those of modules = [...] in [tool.choreo].

    \b
    Examples:
      choreo schemas write shop.contract
      choreo schemas write shop.orders:orders --schemas build/schemas
    """
    events = events_of(targets)
    from choreo.avro import write_schemas

    changed = write_schemas(events, Path(schemas or "schemas"), allow_incompatible=allow_incompatible)
    for path in changed:
        click.echo(f"wrote {path}")
    click.echo(f"{len(events)} events, {len(changed)} files changed")

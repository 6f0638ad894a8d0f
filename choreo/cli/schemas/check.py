"""``choreo schemas check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from choreo.cli import settings
from choreo.project.modules import events_of

if TYPE_CHECKING:
    from choreo.avro import Finding


@click.command(short_help="Check that schema files and events agree.")
@click.argument("targets", metavar="[MODULE[:PARTICIPANT]]...", nargs=-1)
@settings.schemas
@click.pass_context
def check(context: click.Context, targets: tuple[str, ...], schemas: str | None) -> None:
    """Check that schema files and event classes agree, and that all versions can live on one topic.

    Exits with 1 and lists what is wrong, without changing anything.

    \b
    Examples:
      choreo schemas check
      choreo schemas check shop.contract --schemas build/schemas
    """
    events = events_of(targets)
    from choreo.avro import check_schemas

    findings = check_schemas(events, Path(schemas or "schemas"))
    for finding in findings:
        click.echo(_line(finding))
    click.echo(f"{len(events)} events, {len(findings)} findings")
    if findings:
        context.exit(1)


def _line(finding: Finding) -> str:
    path = str(finding.path)
    text = finding.message if finding.message.startswith(path) else f"{path}: {finding.message}"
    return f"{text} (hint: {finding.hint})" if finding.hint else text

"""``choreo schemas``: writes the Avro schemas of events to files, and checks that files and classes agree."""

from __future__ import annotations

from pathlib import Path

import click

from choreo.avro import Finding, check_schemas, other_schemas, write_schemas
from choreo.cli import options, output
from choreo.project.modules import events_of


@click.group(short_help="Write and check the Avro schemas of events.")
def schemas() -> None:
    """Write the Avro schemas of event classes, and check that files and classes agree.

    \b
    Examples:
      choreo schemas write shop.contract
      choreo schemas check
    """


@schemas.command(short_help="Write the schema files of events.")
@click.argument("targets", metavar="[MODULE[:PARTICIPANT]]...", nargs=-1)
@options.schemas
@click.option(
    "--allow-incompatible",
    is_flag=True,
    help="Write a version even if it could not live on one topic with an older one.",
)
def write(targets: tuple[str, ...], schemas: str | None, allow_incompatible: bool) -> None:
    """Write the schema files of events, and keep every earlier version in the folder.

    MODULE's events are the @event classes found in it and those of its participants. Without MODULE,
    they are those of modules = [...] in [tool.choreo].

    \b
    Examples:
      choreo schemas write shop.contract
      choreo schemas write shop.orders:orders --schemas build/schemas
    """
    events = events_of(targets)
    changed = write_schemas(events, Path(schemas or "schemas"), allow_incompatible=allow_incompatible)
    for path in changed:
        output.line(f"wrote {path}")
    output.line(f"{len(events)} events, {len(changed)} files changed")


@schemas.command(short_help="Check that schema files and events agree.")
@click.argument("targets", metavar="[MODULE[:PARTICIPANT]]...", nargs=-1)
@options.schemas
@click.pass_context
def check(context: click.Context, targets: tuple[str, ...], schemas: str | None) -> None:
    """Check that schema files and event classes agree, and that all versions can live on one topic.

    Lists every disagreement and exits with 1 if there is one. Changes nothing. Files of events that MODULE
    doesn't declare are counted, and not checked: several services may share the folder.

    \b
    Examples:
      choreo schemas check
      choreo schemas check shop.contract --schemas build/schemas
    """
    events, folder = events_of(targets), Path(schemas or "schemas")
    findings = check_schemas(events, folder)
    for finding in findings:
        output.line(_line(finding))
    others = other_schemas(events, folder)
    if others:
        several = "a file is" if len(others) == 1 else f"{len(others)} files are"
        output.line(f"{folder}: {several} of events that are not declared here, and not checked")
    output.line(f"{len(events)} events, {len(findings)} findings")
    if findings:
        context.exit(1)


def _line(finding: Finding) -> str:
    path = str(finding.path)
    text = finding.message if finding.message.startswith(path) else f"{path}: {finding.message}"
    return f"{text} (hint: {finding.hint})" if finding.hint else text

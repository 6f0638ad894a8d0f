"""``choreo manifest``."""

from __future__ import annotations

from pathlib import Path

import click

from choreo.cli.choreographies import SUFFIX, declared, manifest_from
from choreo.errors import ConfigurationError


@click.command(short_help="Write what participants declare, as data.")
@click.argument("targets", metavar="MODULE[:PARTICIPANT]...", nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a file each, rather than to stdout.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a file is not up to date.")
@click.pass_context
def manifest(context: click.Context, targets: tuple[str, ...], output: Path | None, check: bool) -> None:
    """Write the manifests of participants: what they declare, as JSON that `choreo verify` reads.

    Commit it beside the code: so other repositories can verify the whole choreography without importing any
    of it.

    \b
    Examples:
      choreo manifest shop.orders:orders
      choreo manifest shop.orders shop.payments --output manifests
      choreo manifest shop.orders --output manifests --check
    """
    from choreo.manifest import write_manifest

    if check and output is None:
        raise ConfigurationError("--check compares with files", hint="name their folder with --output")
    stale = 0
    for participant in (each for target in targets for each in declared(target)):
        text = write_manifest(manifest_from(participant))
        if output is None:
            click.echo(text, nl=False)
            continue
        path = output / f"{participant.name}{SUFFIX}"
        if check:
            is_stale = not path.is_file() or path.read_text() != text
            stale += is_stale
            click.echo(f"{path}: {'not up to date' if is_stale else 'up to date'}")
            continue
        output.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        click.echo(f"wrote {path}")
    if stale:
        context.exit(1)

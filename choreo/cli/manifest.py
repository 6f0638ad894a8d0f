"""``choreo manifest``: writes what participants declare to JSON files, or checks that these are current."""

from __future__ import annotations

from pathlib import Path

import click

from choreo.cli import output
from choreo.errors import ConfigurationError
from choreo.manifest import is_current, write_manifest
from choreo.project.choreography import SUFFIX, manifests_declared
from choreo.project.documents import read_document, write_document
from choreo.project.manifests import manifest_from


@click.command(short_help="Write the manifests of participants as JSON.")
@click.argument("targets", metavar="MODULE[:PARTICIPANT]...", nargs=-1, required=True)
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write one file for each participant, instead of to stdout.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a file is not up to date.")
@click.pass_context
def manifest(context: click.Context, targets: tuple[str, ...], folder: Path | None, check: bool) -> None:
    """Write the manifests of participants: what they declare, as JSON that `choreo verify` reads.

    Commit them beside the code, so that other repositories can verify the whole choreography without
    importing its code. --check doesn't mind that lines of code have moved: nothing depends on their numbers.

    \b
    Examples:
      choreo manifest shop.orders:orders
      choreo manifest shop.orders shop.payments --output manifests
      choreo manifest shop.orders --output manifests --check
    """
    if check and folder is None:
        raise ConfigurationError("--check compares with files", hint="name their folder with --output")
    texts = {each.participant: write_manifest(each) for each in manifests_declared(targets, manifest_from)}
    if folder is None:
        for text in texts.values():
            output.json_text(text.rstrip("\n"))
        return
    files = {folder / f"{name}{SUFFIX}": text for name, text in texts.items()}
    if check:
        context.exit(_compare(files))
    for path, text in files.items():
        write_document(path, text)
        output.line(f"wrote {path}")


def _compare(files: dict[Path, str]) -> int:
    """Print for each file whether it is up to date, and return the exit code."""
    stale = 0
    for path, text in files.items():
        fits = path.is_file() and is_current(read_document(path), text)
        stale += not fits
        output.line(f"{path}: {'up to date' if fits else 'not up to date'}")
    return 1 if stale else 0

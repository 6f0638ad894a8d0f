"""``choreo log import``."""

from __future__ import annotations

from pathlib import Path

import click

from choreo.cli.log.progress import progress


@click.command("import", short_help="Make a store of an export, to replay from.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--store", "path", type=Path, required=True, metavar="PATH", help="The store to make.")
@click.option("--dry-run", is_flag=True, help="Read and check it, and make nothing.")
def import_log(file: Path, path: Path, dry_run: bool) -> None:
    """Make a store of an export, to look into, to verify and to replay from.

    It holds the saga log and nothing else, and no worker runs on it. It is made when the whole export was
    read and all chains hold; nothing is there before, and nothing that was there is touched.

    \b
    Examples:
      choreo log import orders.avro --store archive/orders.db
      choreo log verify --store archive/orders.db
    """
    from choreo.audit.restore import check_export, import_export

    with file.open("rb") as opened:
        if dry_run:
            origin = check_export(opened, lambda rows: progress(rows, str(file)))
        else:
            origin = import_export(opened, path, lambda rows: progress(rows, str(file)))
    click.echo(f"{path}: the saga log of {origin.participant}{' would be there' if dry_run else ''}")

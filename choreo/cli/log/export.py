"""``choreo log export`` and ``choreo log import``: write a saga log to a file, and make a store of one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from choreo.audit.export import records_of
from choreo.audit.formats import whole_file, write_avro, write_json_lines
from choreo.audit.restore import check_export, import_export, origin_of
from choreo.audit.verification import saga_ids as all_ids
from choreo.cli import output
from choreo.cli.options import SagaId
from choreo.cli.output import progress
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.operations.stores import open_stores
from choreo.store.opening import is_address


@click.command(short_help="Write sagas, with their payloads, to a file.")
@click.argument("saga_ids", type=SagaId(), metavar="[SAGA_ID]...", nargs=-1)
@stores
@click.option(
    "--output",
    "path",
    type=Path,
    metavar="FILE",
    help="The file to write; - is standard output. Default: standard output, as JSON lines.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "avro"]),
    help="JSON lines, or an Avro object container file. Default: by the extension of FILE.",
)
def export(saga_ids: tuple[str, ...], stores: Sequence[str], path: Path | None, form: str | None) -> None:
    """Write all sagas of one participant, or some, with their payloads and their chains, to a file.

    Use it for an archive, for another machine or for a test: see `choreo log import` and
    choreo.testing.replay. FILE appears only once it is complete; an incomplete export is refused when it is
    read.

    \b
    Examples:
      choreo log export --store orders.db --output orders.avro
      choreo log export order-42 > tests/recorded/order-42.jsonl
    """
    path = None if path == Path("-") else path
    is_avro = form == "avro" or (form is None and path is not None and path.suffix == ".avro")
    write = write_avro if is_avro else write_json_lines
    with open_stores(stores, reading=True) as opened:
        if len(opened) > 1:
            raise ConfigurationError(
                f"which store? {', '.join(each.path for each in opened)}", hint="name one: --store PATH"
            )
        store, log = opened[0].store, opened[0].store.saga_log
        if not log.with_id("-"):
            saga_ids = tuple(each for each in saga_ids if each != "-")
        for saga_id in saga_ids:
            if not log.with_id(saga_id):
                raise ConfigurationError(
                    f"there is no saga {saga_id} in {opened[0].path}", hint="see `choreo sagas`"
                )
        wanted = list(dict.fromkeys(saga_ids)) or all_ids(log)
        origin = origin_of(opened[0].participant, store)
        records = records_of(origin, log, progress(wanted, opened[0].path))
        if path is None:
            write(records, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with whole_file(path) as file:
            write(records, file)
    output.notice(f"{path}: written")


@click.command("import", short_help="Make a store from an export.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--store", "place", required=True, metavar="PATH", help="The store to make, a file.")
@click.option("--dry-run", is_flag=True, help="Read and check the export, and make no store.")
def import_log(file: Path, place: str, dry_run: bool) -> None:
    """Make a store from an export, to inspect it, to verify it and to replay from it.

    The store holds only the saga log, and no worker runs on it. It appears only once the whole export has
    been read and all chains hold; an existing file is never changed.

    \b
    Examples:
      choreo log import orders.avro --store archive/orders.db
      choreo log verify --store archive/orders.db
    """
    if is_address(place):
        raise ConfigurationError(
            "an export is imported into a file, not into PostgreSQL",
            hint="name one: --store archive/orders.db; every command reads it",
        )
    path = Path(place)
    with file.open("rb") as opened:
        if dry_run:
            origin = check_export(opened, lambda rows: progress(rows, str(file)))
        else:
            origin = import_export(opened, path, lambda rows: progress(rows, str(file)))
    output.line(f"{path}: the saga log of {origin.participant}{' would be there' if dry_run else ''}")

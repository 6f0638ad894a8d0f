"""``choreo log export``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from choreo.cli import output
from choreo.cli.log.progress import progress
from choreo.cli.stores import open_stores, stores
from choreo.errors import ConfigurationError


@click.command(short_help="Write sagas to a file, whole.")
@click.argument("saga_ids", metavar="[SAGA_ID]...", nargs=-1)
@stores
@click.option("--output", "path", type=Path, metavar="FILE", help="Default: standard output, as JSON lines.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "avro"]),
    help="JSON lines, or an Avro object container file. Default: what FILE ends with.",
)
def export(saga_ids: tuple[str, ...], stores: Sequence[str], path: Path | None, form: str | None) -> None:
    """Write all sagas of one participant, or some, with their payloads and their chains.

    For the archive, for another machine, for a test: see `choreo log import` and choreo.testing.replay.
    FILE is there when it is whole, not before; half of what went through a pipe is refused when it is read.

    \b
    Examples:
      choreo log export --store orders.db --output orders.avro
      choreo log export order-42 > tests/recorded/order-42.jsonl
    """
    from choreo.audit.export import Origin, records_of
    from choreo.audit.formats import whole_file, write_avro, write_json_lines
    from choreo.audit.verification import saga_ids as all_sagas

    is_avro = form == "avro" or (form is None and path is not None and path.suffix == ".avro")
    write = write_avro if is_avro else write_json_lines
    with open_stores(stores) as opened:
        if len(opened) > 1:
            raise ConfigurationError(
                f"which store? {', '.join(each.path for each in opened)}", hint="name one: --store PATH"
            )
        store, log = opened[0].store, opened[0].store.saga_log
        for saga_id in saga_ids:
            if not log.chain(saga_id):
                raise ConfigurationError(
                    f"there is no saga {saga_id} in {opened[0].path}", hint="see `choreo sagas`"
                )
        wanted = list(dict.fromkeys(saga_ids)) or all_sagas(log)
        origin = Origin(opened[0].participant, store.store_id, log.unchained)
        records = records_of(origin, log, progress(wanted, opened[0].path))
        if path is None:
            write(records, sys.stdout.buffer)
            return
        with whole_file(path) as file:
            write(records, file)
    output.notice(f"{path}: written")

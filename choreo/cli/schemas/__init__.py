"""``choreo schemas``: the Avro schemas of events, as files that are committed."""

from __future__ import annotations

import click

from choreo.cli.schemas.check import check
from choreo.cli.schemas.write import write


@click.group(short_help="Write and check the Avro schemas of events.")
def schemas() -> None:
    """Write the Avro schemas of event classes, and check that files and classes agree.

    \b
    Examples:
      choreo schemas write shop.contract
      choreo schemas check
    """


schemas.add_command(write)
schemas.add_command(check)

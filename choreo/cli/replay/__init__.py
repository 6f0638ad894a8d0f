"""``choreo replay``: the group of the commands that check, resume, rerun and rebuild from the saga log."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="replay ", short_help="Replay sagas from a participant's log.")
def replay() -> None:
    """Replay sagas from a participant's log: check it, and go on from it.

    Works on the store of one participant, whether its worker runs or not; MODULE:PARTICIPANT says whose,
    as for `choreo run`. Every way has a --dry-run, or changes nothing anyhow.

    \b
    Examples:
      choreo replay fold shop.orders:orders o-1          is the store what its log says?
      choreo replay resume shop.orders:orders o-1        do again what was lost
      choreo replay what-if shop.orders:orders --all     would today's code do the same?
      choreo replay rebuild shop.orders:orders           the database is lost
    """

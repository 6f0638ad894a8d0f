"""``choreo replay``: the group of the commands that check, resume, rerun and rebuild from the saga log."""

from __future__ import annotations

import click

from choreo.cli.commands import Group


@click.group(cls=Group, prefix="replay ", short_help="Replay sagas from a participant's log.")
def replay() -> None:
    """Replay sagas from a participant's saga log: check the store, resume sagas, try new code, rebuild.

    These commands work on the store of one participant, MODULE:PARTICIPANT as for `choreo run`, whether its
    worker runs or not. Each has the option --dry-run, with which nothing is changed.

    \b
    Examples:
      choreo replay fold shop.orders:orders o-1          is the store what its log says?
      choreo replay resume shop.orders:orders o-1        put back what the store has lost
      choreo replay what-if shop.orders:orders --all     would today's code do the same?
      choreo replay rebuild shop.orders:orders           the database is lost
    """

"""Making sure that what was taken out of stores is gone from the disk."""

from __future__ import annotations

from collections.abc import Iterable

import click

from choreo.cli import output
from choreo.cli.stores import Opened

vacuum = click.option(
    "--vacuum",
    "whole",
    is_flag=True,
    help="Write each database anew: it shrinks, and what was deleted before choreo overwrote it is gone, "
    "too. Nobody else can write meanwhile.",
)
"""The option to write the whole file anew."""


def scrub(stores: Iterable[Opened], *, whole: bool) -> bool:
    """Do it for each store; say of which it can't be done yet, and give whether it was done for all."""
    done = True
    for each in stores:
        if not each.store.saga_log.scrub(whole=whole):
            done = False
            output.notice(f"{each.path}: somebody still reads what was taken out: ask again, the same")
    return done

"""``choreo log heads``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain

import click

from choreo.cli.log.progress import progress
from choreo.cli.stores import open_stores, stores


@click.command(short_help="Write the last link of every saga.")
@stores
def heads(stores: Sequence[str]) -> None:
    """Write the last link of every saga, as JSON lines, on standard output.

    Keep them where those who can write the stores can't: `choreo log verify --heads FILE` then shows what
    was cut or written anew since. The last line says how many there are, so that half a file is refused.

    \b
    Examples:
      choreo log heads > heads.jsonl
      choreo log heads --store /var/lib/orders.db | ssh audit 'cat > orders-heads.jsonl'
    """
    from choreo.audit.heads import heads_of, write_heads
    from choreo.audit.verification import saga_ids

    with open_stores(stores) as opened:
        found = [
            heads_of(each.store.saga_log, each.store.store_id, saga_ids(each.store.saga_log))
            for each in opened
        ]
        write_heads(progress(chain.from_iterable(found), "heads"), sys.stdout)

"""``choreo store``: the group of the commands about a participant's store as a whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from choreo.cli import options, output
from choreo.cli.commands import Group
from choreo.errors import ConfigurationError
from choreo.kafka.claim import claim_group
from choreo.participant import Participant
from choreo.project.modules import load_participant
from choreo.store.sqlite.store import SQLiteStore


@click.group(cls=Group, prefix="store ", short_help="Replace the store of a participant.")
def store() -> None:
    """Replace the store of a participant by another one.

    \b
    Example:
      choreo store claim shop.orders:orders --bootstrap localhost:9092 --store /var/lib/orders.db
    """


@click.command(short_help="Give a participant's consumer group to a store.")
@click.argument("target", metavar="MODULE:PARTICIPANT")
@options.store
@options.cluster
@click.pass_context
def claim(context: click.Context, /, target: str, store: str, **_cluster: Any) -> None:
    """Give a participant's consumer group to this store, in place of the one that it had.

    The first store that works for a participant has its group, and `choreo run` refuses every other one:
    two stores would divide the participant's sagas between them. Say with this command that the earlier
    store is replaced for good: it is refused from then on. A restored copy of the same store needs no such
    word, nor does one that `choreo replay rebuild` has made. The participant's worker must be stopped; for up
    to a minute after its end the command waits until the broker forgets it.

    \b
    Example:
      choreo store claim shop.orders:orders --bootstrap localhost:9092 --store /var/lib/orders.db
    """
    participant = load_participant(target)
    cluster = options.chosen_cluster(context)
    path = Path(store.replace("{participant}", participant.name))
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}", hint="which store is meant? --store PATH")
    with closing(SQLiteStore(path)) as opened:
        store_id = opened.store_id
    before = give_group(participant, store_id, cluster)
    if before == store_id:
        output.line(f"{participant.name}: the consumer group is this store's already ({path}, {store_id})")
        return
    instead = f" in place of {before}" if before else ""
    output.line(f"{participant.name}: the consumer group is now that of {path} ({store_id}){instead}")


def give_group(participant: Participant, store_id: str, cluster: options.Cluster) -> str:
    """Let a store have a participant's consumer group; return the one that had it. Raises `LogError`."""
    with output.quiet("choreo.kafka"):
        return claim_group(
            cluster.bootstrap,
            participant.name,
            participant.topics,
            store_id,
            cluster.kafka,
            on_wait=lambda: output.notice(f"waiting until the last worker of {participant.name} is gone"),
        )

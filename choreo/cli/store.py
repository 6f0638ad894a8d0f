"""``choreo store``: the group of the commands about a participant's store as a whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from choreo.cli import options, output
from choreo.cli.commands import Group
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError
from choreo.kafka.claim import claim_group
from choreo.operations.stores import open_stores
from choreo.participant import Participant
from choreo.project.modules import load_participant
from choreo.store import opening
from choreo.store.copying import copy_store


@click.group(cls=Group, prefix="store ", short_help="Make, check and replace the store of a participant.")
def store() -> None:
    """Make the tables of a participant's store, check them, and replace a store by another one.

    \b
    Examples:
      choreo store migrate --store postgresql://shop@db.example/shop
      choreo store copy orders.db postgresql://shop@db.example/shop
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
    path = store.replace("{participant}", participant.name)
    with open_stores([path]) as (opened,):
        path, store_id = opened.path, opened.store.store_id
    before = give_group(participant, store_id, cluster)
    if before == store_id:
        output.line(f"{participant.name}: the consumer group is this store's already ({path}, {store_id})")
        return
    instead = f" in place of {before}" if before else ""
    output.line(f"{participant.name}: the consumer group is now that of {path} ({store_id}){instead}")


@click.command(short_help="Make a store's tables, or bring them up to date.")
@stores
def migrate(stores: tuple[str, ...]) -> None:
    """Make the tables of stores, or bring them up to date.

    In PostgreSQL they stand in the schema "choreo" of the database, beside the service's own. Only this
    command makes them, or the service's own migrations by `choreo store ddl`: a worker or a web process needs
    no right to. Workers may run meanwhile.

    \b
    Example:
      choreo store migrate --store postgresql://shop@db.example/shop
    """
    for place in stores:
        done = opening.migrate(place)
        what = f"made with {', '.join(done)}" if done else "up to date"
        output.line(f"{opening.shown(place)}: {what}")


@click.command(short_help="Print the statements that make the tables in PostgreSQL.")
def ddl() -> None:
    """Print the SQL that makes the tables of a store in PostgreSQL, for a migration of the service's own.

    As one script, for psql, for op.execute() of Alembic or migrations.RunSQL() of Django.

    \b
    Example:
      choreo store ddl > migrations/0007_choreo.sql
    """
    output.page(opening.ddl())


@click.command(short_help="Check that stores can be used.")
@stores
def check(stores: tuple[str, ...]) -> None:
    """Check that stores can be opened by this choreo, with the role and the rights that it is given here.

    The exit code is 2 where one can't, and the error says why.

    \b
    Example:
      choreo store check --store postgresql://shop@db.example/shop
    """
    with open_stores(stores) as opened:
        for each in opened:
            output.line(f"{each.path}: store {each.store.store_id} of {each.participant or 'nobody yet'}")


@click.command(short_help="Copy a store into a new one.")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def copy(source: str, target: str) -> None:
    """Copy a participant's store, a file or the address of a database, into a new one, of either kind.

    Everything of choreo's is copied in one transaction, ids and chains included, so that the copy goes on
    where the store stopped; the service's own tables are yours to move. Stop the worker, and what else writes
    to the store, before: the copy is of this moment. In PostgreSQL the tables must be there, and empty
    (`choreo store migrate`). Afterwards `choreo log verify` checks both.

    \b
    Examples:
      choreo store copy /var/lib/orders.db postgresql://shop@db.example/shop
      choreo log verify --store /var/lib/orders.db --store postgresql://shop@db.example/shop
    """
    if opening.is_address(target) or not Path(target).exists():
        with open_stores([source]) as (opened,), closing(opening.open_store(target)) as new:
            done = copy_store(opened.store, new)
    else:
        raise ConfigurationError(f"there is a file {target} already", hint="copy into a new one")
    said = (
        f"{output.counted(done.rows, 'row')} of the saga log, {done.unpublished} of the outbox, "
        f"{done.scheduled} of the schedule, {output.counted(done.letters, 'dead letter')}"
    )
    output.line(f"{opening.shown(target)}: a copy of {opened.path}: {said}")


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

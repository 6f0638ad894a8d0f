"""``choreo topics``: creates the topics of a participant's sagas on a Kafka cluster."""

from __future__ import annotations

from typing import Any

import click

from choreo.cli import options, output
from choreo.errors import LogError
from choreo.kafka import create_topics
from choreo.project.modules import load_participant

_HINT = "is the address right and the broker running? An embedded broker makes topics by itself"


@click.group(short_help="Create the topics of sagas.")
def topics() -> None:
    """Create the topics of sagas.

    \b
    Example:
      choreo topics create shop.orders:orders --bootstrap localhost:9092
    """


@topics.command(short_help="Create the topics of participants' sagas.")
@click.argument("targets", metavar="MODULE:PARTICIPANT...", nargs=-1, required=True)
@options.cluster
@options.partitions
@options.replication
@click.pass_context
def create(
    context: click.Context, /, targets: tuple[str, ...], partitions: int, replication: int, **_cluster: Any
) -> None:
    """Create the topics of the participants' sagas; an existing topic is not changed.

    \b
    Example:
      choreo topics create shop.orders:orders shop.stock:stock \\
          --bootstrap localhost:9092 --partitions 12 --replication 3
    """
    wanted = list(dict.fromkeys(saga.topic for target in targets for saga in load_participant(target).sagas))
    cluster = options.chosen_cluster(context)
    output.set_up_logging("warning")
    try:
        created = create_topics(cluster.bootstrap, wanted, partitions, replication, cluster.kafka)
    except LogError as error:
        raise LogError(error.message, hint=error.hint or _HINT) from None
    for topic in wanted:
        output.line(f"{topic}: created" if topic in created else f"{topic}: exists already")

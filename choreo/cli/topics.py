"""``choreo topics``: creates the topics of participants on a Kafka cluster, and compares those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from choreo.cli import options, output
from choreo.errors import LogError
from choreo.kafka import create_topics, describe_topics
from choreo.participant.topics import TopicNeed, topic_needs
from choreo.ports.topics import Difference, differences
from choreo.project.modules import load_participant

if TYPE_CHECKING:
    from choreo.ports import TopicState

_HINT = "is the address right and the broker running? An embedded broker makes topics by itself"

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(short_help="Create and check the topics of sagas.")
def topics() -> None:
    """Create the topics of sagas, and check those that exist.

    \b
    Examples:
      choreo topics create shop.orders:orders --bootstrap localhost:9092
      choreo topics check shop.orders:orders --bootstrap localhost:9092
    """


@topics.command(short_help="Create the topics of participants' sagas.")
@click.argument("targets", metavar="MODULE:PARTICIPANT...", nargs=-1, required=True)
@options.cluster
@options.partitions
@options.replication
@_as_json
@click.pass_context
def create(
    context: click.Context,
    /,
    targets: tuple[str, ...],
    partitions: int,
    replication: int,
    as_json: bool,
    **_cluster: Any,
) -> None:
    """Create the topics of the participants' sagas, and those to which they export events.

    The settings are those that sagas need: the broker stamps the records (LogAppendTime), events stay for the
    longest step or deadline and a week, none is compacted away, and of three replicas two must have an event.
    A topic that exists is not changed; what is different there is printed.

    \b
    Example:
      choreo topics create shop.orders:orders shop.stock:stock \\
          --bootstrap localhost:9092 --partitions 12 --replication 3
    """
    needs = topic_needs(load_participant(target) for target in targets)
    cluster = options.chosen_cluster(context)
    output.set_up_logging("warning")
    ours = [need for need in needs if need.use != "import"]
    try:
        created = create_topics(cluster.bootstrap, ours, partitions, replication, cluster.kafka)
        left = [need for need in needs if need.topic not in created]
        found = _compared(cluster, left)
    except LogError as error:
        raise LogError(error.message, hint=error.hint or _HINT) from None
    for need, (state, different) in zip(left, found, strict=True):
        if need.use == "saga" and state.partitions not in (0, partitions):
            different.append(_partitions(state, partitions))
    results: dict[str, tuple[str, Sequence[Difference]]] = dict.fromkeys(created, ("created", ()))
    for state, different in found:
        results[state.topic] = ("exists already" if state.partitions else "missing", different)
    _print([need.topic for need in needs], results, as_json)


@topics.command(short_help="Compare topics with what sagas need.")
@click.argument("targets", metavar="MODULE:PARTICIPANT...", nargs=-1, required=True)
@options.cluster
@_as_json
@click.pass_context
def check(context: click.Context, /, targets: tuple[str, ...], as_json: bool, **_cluster: Any) -> None:
    """Compare the topics of the participants with what their sagas need; nothing is changed.

    A worker looks at the same things when it starts and while it runs: it refuses a topic that loses events,
    and warns of anything else. Exits with 1 where something is different.

    \b
    Example:
      choreo topics check shop.orders:orders shop.stock:stock --bootstrap localhost:9092
    """
    needs = topic_needs(load_participant(target) for target in targets)
    cluster = options.chosen_cluster(context)
    output.set_up_logging("warning")
    try:
        found = _compared(cluster, needs)
    except LogError as error:
        raise LogError(error.message, hint=error.hint or _HINT) from None
    results = {state.topic: (_verdict(state, different), different) for state, different in found}
    _print([need.topic for need in needs], results, as_json)
    if any(different for _, different in found):
        context.exit(1)


def _compared(
    cluster: options.Cluster, needs: Sequence[TopicNeed]
) -> list[tuple[TopicState, list[Difference]]]:
    if not needs:
        return []
    states = describe_topics(cluster.bootstrap, [need.topic for need in needs], cluster.kafka)
    return [(state, differences(state, need)) for state, need in zip(states, needs, strict=True)]


def _verdict(state: TopicState, different: Sequence[Difference]) -> str:
    if not state.partitions:
        return "missing"
    return "different" if different else "good"


def _partitions(state: TopicState, wanted: int) -> Difference:
    why = "it is left so, since adding partitions breaks the order of sagas in flight"
    return Difference(state.topic, "number of partitions", str(state.partitions), str(wanted), why)


def _print(
    topics: Iterable[str], results: Mapping[str, tuple[str, Sequence[Difference]]], as_json: bool
) -> None:
    if as_json:
        written = [
            {
                "topic": topic,
                "result": results[topic][0].split()[0],
                "differences": [each._asdict() for each in results[topic][1]],
            }
            for topic in topics
        ]
        output.data({"topics": written})
        return
    for topic in topics:
        result, different = results[topic]
        output.line(f"{topic}: {result}")
        for each in different:
            output.line(f"  {each.setting} is {each.found}, not {each.wanted}: {each.why}")

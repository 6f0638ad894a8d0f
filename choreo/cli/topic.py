"""The sagas' topics, read from their beginning to their end, for the commands that tell of sagas."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from choreo.cli import logs
from choreo.cli.settings import Cluster
from choreo.errors import ConfigurationError, HeadersError

if TYPE_CHECKING:
    from choreo.graph import SagaGraph
    from choreo.records import Record
    from choreo.timeline.source import MemorySource
    from choreo.timeline.topic import TopicEvent


def topics_of(cluster: Cluster, graphs: Mapping[str, SagaGraph]) -> MemorySource:
    """Read the topics of the sagas whose graphs are known.

    Raises `ConfigurationError` where none is: the topic alone doesn't say which event ends a saga.
    """
    if not graphs:
        raise ConfigurationError(
            "nothing says which sagas there are, on which topics",
            hint="name modules or manifests: --graph shop, or modules in [tool.choreo]",
        )
    from choreo.graph import role_of_all
    from choreo.kafka.topic_reader import TopicReader
    from choreo.timeline.topic import topic_source

    contracts = {name: role_of_all(graph).contract for name, graph in graphs.items()}
    names = sorted({graph.contract.topic for graph in graphs.values()})
    with logs.quiet("choreo.kafka"), TopicReader(cluster.bootstrap, names, cluster.kafka) as reader:
        total = sum(each.high - each.low for each in reader.partitions)
        with _progress(reader.records(), total) as records:
            return topic_source(contracts, _events(records))


def _events(records: Iterable[Record]) -> Iterator[TopicEvent]:
    """Give the records that are events; what nobody could read is no part of any timeline."""
    from choreo.cloudevents import read
    from choreo.timeline.events import Place
    from choreo.timeline.topic import TopicEvent

    for record in records:
        try:
            envelope = read(record)
        except HeadersError:
            continue
        yield TopicEvent(envelope, Place(record.topic, record.partition, record.offset), record.timestamp)


def _progress(records: Iterable[Record], total: int) -> Any:
    """Show how far the reading has come, where somebody watches."""
    if not sys.stderr.isatty():
        return nullcontext(records)
    return click.progressbar(records, length=total, label="reading", file=sys.stderr, show_pos=True)

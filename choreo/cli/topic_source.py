"""Reads the sagas' topics from beginning to end, for ``--topic``; kept apart, as it imports Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from choreo.cli.options import Cluster
from choreo.cli.output import progress, quiet
from choreo.cloudevents import read
from choreo.errors import ConfigurationError, HeadersError
from choreo.graph import SagaGraph, role_of_all
from choreo.kafka.topic_reader import TopicReader
from choreo.records import Record, record_time
from choreo.timeline.events import Place
from choreo.timeline.source import MemorySource
from choreo.timeline.topic import TopicEvent, topic_source


def topics_of(cluster: Cluster, graphs: Mapping[str, SagaGraph]) -> MemorySource:
    """Return a source of the sagas whose graphs are known, read from their topics.

    Raises `ConfigurationError` where no graph is known: the topic alone doesn't say which event ends a saga.
    """
    if not graphs:
        raise ConfigurationError(
            "it is not known which sagas there are, on which topics",
            hint="name modules or manifests: --graph shop, or modules in [tool.choreo]",
        )
    contracts = {name: role_of_all(graph).contract for name, graph in graphs.items()}
    names = sorted({graph.contract.topic for graph in graphs.values()})
    with quiet("choreo.kafka"), TopicReader(cluster.bootstrap, names, cluster.kafka) as reader:
        total = sum(each.high - each.low for each in reader.partitions)
        return topic_source(contracts, _events(progress(reader.records(), "reading", total)))


def event_ids(cluster: Cluster, names: Sequence[str], saga_ids: Sequence[str]) -> frozenset[str]:
    """Return the ids of the events that topics hold of some sagas."""
    keys = frozenset(each.encode() for each in saga_ids)
    with quiet("choreo.kafka"), TopicReader(cluster.bootstrap, names, cluster.kafka) as reader:
        return frozenset(
            event.envelope.id for event in _events(each for each in reader.records() if each.key in keys)
        )


def _events(records: Iterable[Record]) -> Iterator[TopicEvent]:
    """Yield the events; a record whose headers can't be read is not an event of a saga."""
    for record in records:
        try:
            envelope = read(record)
        except HeadersError:
            continue
        time = record_time(record.timestamp, envelope.time)
        yield TopicEvent(envelope, Place(record.topic, record.partition, record.offset), time)

"""Reads the sagas' topics from beginning to end, for ``--topic``; kept apart, as it imports Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from choreo.cli.options import Cluster
from choreo.cli.output import progress, quiet
from choreo.cloudevents import read
from choreo.errors import ConfigurationError, HeadersError
from choreo.graph import SagaGraph, role_of_all
from choreo.kafka.topic_reader import TopicReader
from choreo.records import Entry, Partition, Record, record_time
from choreo.timeline.events import Place
from choreo.timeline.source import MemorySource
from choreo.timeline.topic import TopicEvent, topic_source


def topics_of(cluster: Cluster, graphs: Mapping[str, Sequence[SagaGraph]]) -> MemorySource:
    """Return a source of the sagas whose graphs are known, read from their topics.

    Raises `ConfigurationError` where no graph is known: the topic alone doesn't say which event ends a saga.
    """
    if not graphs:
        raise ConfigurationError(
            "it is not known which sagas there are, on which topics",
            hint="name modules or manifests: --graph shop, or modules in [tool.choreo]",
        )
    contracts = {name: role_of_all(newest).contract for name, [*_, newest] in graphs.items()}
    names = sorted({newest.contract.topic for *_, newest in graphs.values()})
    with quiet("choreo.kafka"), TopicReader(cluster.bootstrap, names, cluster.kafka) as reader:
        total = sum(each.high - each.low for each in reader.partitions)
        return topic_source(contracts, _events(progress(reader.records(), "reading", total)))


def bodies_by_id(cluster: Cluster, names: Sequence[str], saga_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the bodies of the events that topics hold of some sagas, by the events' ids."""
    keys = frozenset(each.encode() for each in saga_ids)
    with quiet("choreo.kafka"), TopicReader(cluster.bootstrap, names, cluster.kafka) as reader:
        records = (each for each in reader.records() if each.key in keys)
        return {event.envelope.id: each.value or b"" for each in records for event in _events((each,))}


def _events(records: Iterable[Record]) -> Iterator[TopicEvent]:
    """Yield the events; a record whose headers can't be read is not an event of a saga."""
    for record in records:
        try:
            envelope = read(record)
        except HeadersError:
            continue
        time = record_time(record.timestamp, envelope.time)
        yield TopicEvent(envelope, Place(record.topic, record.partition, record.offset), time)


def bodies_of(cluster: Cluster, rows: Sequence[Entry]) -> dict[str, bytes]:
    """Return the bodies of the events of some rows, by the events' ids, as far as the topics have them."""
    wanted: dict[Partition, dict[int, str]] = {}
    for row in rows:
        wanted.setdefault(Partition(row.topic, row.partition), {})[row.offset] = row.event_id
    found: dict[str, bytes] = {}
    topics = sorted({place.topic for place in wanted})
    with quiet("choreo.kafka"), TopicReader(cluster.bootstrap, topics, cluster.kafka) as reader:
        for each in reader.partitions:
            offsets = {at: event for at, event in wanted.get(each.partition, {}).items() if at >= each.low}
            begin = {each.partition: min(offsets)} if offsets else {}
            for record in reader.records(begin) if begin else ():
                if record.offset in offsets and _is_of(record, offsets[record.offset]):
                    found[offsets[record.offset]] = record.value or b""
                if record.offset >= max(offsets):
                    break
    return found


def _is_of(record: Record, event_id: str) -> bool:
    return any(event.envelope.id == event_id for event in _events([record]))

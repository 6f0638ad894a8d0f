"""``rebuild``: the store of a participant that lost its database, from the sagas' topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Literal, NamedTuple, Protocol

from choreo.errors import StoreMismatch
from choreo.participant import Participant
from choreo.ports import Assignment, Store
from choreo.protocol import steps
from choreo.records import Partition, Record
from choreo.replay.own_events import REBUILT, Outcomes
from choreo.replay.pending_work import lost_work
from choreo.replay.resume import PutBack
from choreo.replay.stored_saga import remembered
from choreo.replay.topic_fold import Rebuilding

_BATCH = 500
"""Records, or sagas, of one turn of the store."""

Start = Literal["earliest", "latest"] | datetime


class TopicReader(Protocol):
    """The participant's topics; they may be read more than once."""

    @property
    def cluster_id(self) -> str:
        """The cluster's name."""
        ...

    @property
    def partitions(self) -> Sequence[Assignment]:
        """The partitions, with their ends as they were when the reader was opened."""
        ...

    def records(self, begin: Mapping[Partition, int]) -> Iterator[Record]:
        """Give every record from these offsets on, in the order of each partition."""
        ...


class Rebuilt(NamedTuple):
    """What was rebuilt: ``counts`` of events and own outcomes; ``due`` is what is to be done now.

    ``left`` names the sagas whose rebuilt log does not hold together.
    """

    counts: Counter[str]
    due: Counter[str]
    left: list[str]


def rebuild(
    participant: Participant,
    store: Store,
    reader: TopicReader,
    now: int,
    *,
    start: Start = "earliest",
    progress: Callable[[int], None] = lambda count: None,
) -> Rebuilt:
    """Fold the topics into a store from where it stands: from their beginning into one that is new.

    No handler runs. What the topics hold of this participant is taken as decided; what was called for
    and has no outcome there is put on the schedule, to be done by the worker. Done in turns: if it is
    interrupted, call it again. ``start`` is the participant's ``--from``. ``progress`` is told of every batch
    of records, which are read twice.

    Raises `StoreMismatch` for a store of another participant or cluster, or one that is ahead of the log;
    `ReplayError` for an outcome that the topics don't explain.
    """
    with closing(Outcomes()) as outcomes:
        rebuilding = Rebuilding(participant, store, outcomes)
        begin = _positions(store, reader)
        acts_from = {each.partition: _acts_from(each, start) for each in reader.partitions}
        for record in _told(reader.records(begin), progress):
            rebuilding.note(record)
            if isinstance(start, datetime) and record.timestamp >= start.timestamp() * 1000:
                place = Partition(record.topic, record.partition)
                acts_from[place] = min(acts_from[place], record.offset)
        _join(participant, store, reader, acts_from)
        _fold(participant, store, reader, rebuilding, progress)
    due, left = _put_back(participant, store, now)
    return Rebuilt(rebuilding.counts, due, left)


def _positions(store: Store, reader: TopicReader) -> dict[Partition, int]:
    """Say where the store stands, of every partition: at its beginning where it has never been."""
    known = store.positions()
    positions = {each.partition: known.get(each.partition, each.low) for each in reader.partitions}
    for each in reader.partitions:
        if not each.low <= positions[each.partition] <= each.high:
            place = f"{each.partition.topic}[{each.partition.number}]"
            stands = f"the store stands at offset {positions[each.partition]}"
            raise StoreMismatch(
                f"{place}: {stands}, the log holds {each.low} to {each.high}", hint="rebuild into a new file"
            )
    return positions


def _acts_from(each: Assignment, start: Start) -> int:
    return each.low if start == "earliest" else each.high


def _join(
    participant: Participant, store: Store, reader: TopicReader, acts_from: Mapping[Partition, int]
) -> None:
    with store.turn():
        store.bind(reader.cluster_id, participant.name)
        known = store.positions()
        for each in reader.partitions:
            if each.partition not in known:
                # It was a member all the time: nothing in the log lies before it joined.
                store.join(each.partition, each.low, each.low, acts_from[each.partition])


def _fold(
    participant: Participant,
    store: Store,
    reader: TopicReader,
    rebuilding: Rebuilding,
    progress: Callable[[int], None],
) -> None:
    """Fold batch by batch, each a turn. Topics to import from are left to the worker: it imports once."""
    topics = {saga.topic for saga in participant.sagas}
    begin = {place: at for place, at in _positions(store, reader).items() if place.topic in topics}
    records = reader.records(begin)
    while batch := list(islice(records, _BATCH)):
        with store.turn():
            for record in batch:
                rebuilding.fold(record)
            _advance(store, {Partition(each.topic, each.partition): each.offset + 1 for each in batch})
        progress(len(batch))
    with store.turn():
        _advance(store, {each.partition: each.high for each in reader.partitions if each.partition in begin})


def _advance(store: Store, positions: Mapping[Partition, int]) -> None:
    known = store.positions()
    for place, position in positions.items():
        if position != known[place]:
            store.advance(place, known[place], position)


def _told(records: Iterable[Record], progress: Callable[[int], None]) -> Iterator[Record]:
    for number, record in enumerate(records, 1):
        yield record
        if number % _BATCH == 0:
            progress(_BATCH)


def _put_back(participant: Participant, store: Store, now: int) -> tuple[Counter[str], list[str]]:
    """Put on the schedule what is to be done yet, for every saga."""
    due: Counter[str] = Counter()
    left: list[str] = []
    after = ""
    while found := store.saga_log.sagas(after, _BATCH):
        with store.turn():
            for saga_id in found:
                for saga in remembered(participant, store, saga_id):
                    put_back = PutBack(participant, store, saga, now)
                    for work in lost_work(saga.replay, saga.kept):
                        if work.is_dead:
                            reason = steps.unfit(saga.role, saga.replay.saga) or "lost"
                            put_back.bury(work, reason, REBUILT)
                        else:
                            put_back.put(work)
                        due[f"dead letter of {work}" if work.is_dead else str(work)] += 1
                    left += [f"saga {saga_id}: {each}" for each in saga.replay.differences[:1]]
        after = found[-1]
    return due, left

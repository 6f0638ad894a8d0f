"""Rebuilds the store of a participant that has lost its database, from the sagas' topics."""

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
from choreo.records import Partition, Record, Release, SagaKey
from choreo.release.in_force import InForce
from choreo.replay.own_events import OwnEvents
from choreo.replay.pending_work import lost_work
from choreo.replay.phases import Phases
from choreo.replay.resume import Restorer
from choreo.replay.stored_saga import stored_sagas
from choreo.replay.topic_fold import REBUILT, TopicFold

_BATCH = 500
"""The records, or sagas, of one turn of the store."""

Start = Literal["earliest", "latest"] | datetime


class TopicReader(Protocol):
    """The participant's topics; they may be read more than once."""

    @property
    def cluster_id(self) -> str:
        """The cluster's name."""
        ...

    @property
    def partitions(self) -> Sequence[Assignment]:
        """The partitions, with their end offsets at the time when the reader was opened."""
        ...

    def records(self, begin: Mapping[Partition, int]) -> Iterator[Record]:
        """Yield every record from these offsets on, in the order of each partition."""
        ...


class Rebuilt(NamedTuple):
    """The result: ``counts`` of events and own outcomes, and the work that is now ``due``.

    ``left`` names the sagas whose rebuilt log contradicts itself.
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
    releases: Sequence[Release] = (),
    progress: Callable[[int], None] = lambda count: None,
) -> Rebuilt:
    """Fold the topics into a store, from its positions on: a new store from their beginning.

    No handler runs. The events that this participant published are taken from the topics; work that was
    called for and has no outcome there is put on the schedule, for the worker. All is done in turns: after an
    interruption, call it again. ``start`` is the participant's ``--from``. ``releases`` are those of the lost
    store, oldest first: each record is folded by the one that was in force then, and by today's declarations
    without them. One whose ``after`` is negative begins at its time, wherever that was. ``progress`` is
    called with the size of every batch of records; all are read twice.

    Raises `StoreMismatch` for a store of another participant or cluster, or one that is ahead of the log;
    `ReplayError` for an outcome that the topics don't explain.
    """
    with closing(OwnEvents()) as own_events:
        topic_fold = TopicFold(participant, store, own_events)
        begin = _positions(store, reader)
        known = store.releases()[: len(releases)]
        phases = Phases([*known, *releases[len(known) :]], reader.partitions)
        acts_from = {each.partition: _acts_from(each, start) for each in reader.partitions}
        for record in _counted(reader.records(begin), progress):
            topic_fold.collect(record)
            phases.look_at(record)
            if isinstance(start, datetime) and record.timestamp >= start.timestamp() * 1000:
                place = Partition(record.topic, record.partition)
                acts_from[place] = min(acts_from[place], record.offset)
        _join(participant, store, reader, acts_from)
        _fold(participant, store, reader, topic_fold, phases, progress)
    due, left = _restore_work(participant, store, now)
    return Rebuilt(topic_fold.counts, due, left)


def _positions(store: Store, reader: TopicReader) -> dict[Partition, int]:
    """Return the store's position in every partition: the beginning where it has none."""
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
                # The participant was a member from the beginning: no record lies before it joined.
                store.join(each.partition, each.low, each.low, acts_from[each.partition])


def _fold(
    participant: Participant,
    store: Store,
    reader: TopicReader,
    topic_fold: TopicFold,
    phases: Phases,
    progress: Callable[[int], None],
) -> None:
    """Fold release by release, in batches, each a turn. Topics of external events are left to the worker."""
    topics = {saga.topic for saga in participant.sagas}
    for place, release, ends in phases.all():
        if release is not None:
            topic_fold.begin(place, release)
        begin = {place: at for place, at in _positions(store, reader).items() if place.topic in topics}
        records = phases.records(reader.records(begin), begin, ends)
        while batch := list(islice(records, _BATCH)):
            with store.turn():
                for record in batch:
                    topic_fold.fold(record)
                _advance(store, {Partition(each.topic, each.partition): each.offset + 1 for each in batch})
            progress(len(batch))
        with store.turn():
            _advance(store, {place: max(at, ends[place]) for place, at in begin.items()})


def _advance(store: Store, positions: Mapping[Partition, int]) -> None:
    known = store.positions()
    for place, position in positions.items():
        if position != known[place]:
            store.advance(place, known[place], position)


def _counted(records: Iterable[Record], progress: Callable[[int], None]) -> Iterator[Record]:
    for number, record in enumerate(records, 1):
        yield record
        if number % _BATCH == 0:
            progress(_BATCH)


def _restore_work(participant: Participant, store: Store, now: int) -> tuple[Counter[str], list[str]]:
    """Put the pending work of every saga on the schedule; return the work, and the sagas that are broken."""
    due: Counter[str] = Counter()
    left: list[str] = []
    after, in_force = SagaKey("", ""), InForce(store.releases())
    while found := store.saga_log.sagas(after, _BATCH):
        with store.turn():
            for saga_id in dict.fromkeys(each.saga_id for each in found if each.saga_id != after.saga_id):
                for saga in stored_sagas(participant, store, saga_id, in_force):
                    restorer = Restorer(participant, store, saga, now)
                    for work in lost_work(saga.replay, saga.stored):
                        if work.is_dead:
                            reason = steps.unfit(saga.role, saga.replay.saga) or "lost"
                            restorer.add_dead_letter(work, reason, REBUILT)
                        else:
                            restorer.schedule(work)
                        due[f"dead letter of {work}" if work.is_dead else str(work)] += 1
                    left += [f"saga {saga_id}: {each}" for each in saga.replay.differences[:1]]
        after = found[-1]
    return due, left

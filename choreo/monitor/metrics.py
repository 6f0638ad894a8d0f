"""``observe``: the metrics of a worker, as observable instruments of OpenTelemetry's API.

Nothing is told for each event: the numbers are those that the worker keeps, and what the store says when they
are asked for. The latter are right after a crash, too; the former begin anew with the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from heapq import nsmallest
from time import monotonic
from typing import Any, Final, Generic, Protocol, Self, TypeVar, get_args

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from choreo.errors import StoreError
from choreo.monitor.counts import COUNTED, History, SagaCounts
from choreo.outcome import SagaState
from choreo.participant import Participant
from choreo.records import Depths
from choreo.timeline.source import LastEntry
from choreo.timeline.timeline import ENDED
from choreo.timeline.transitions import is_still
from choreo.worker.progress import Progress
from choreo.worker.tally import REFUSALS, REFUSED, RETRIES, VOID

T = TypeVar("T")

Number = int | float
Labels = Mapping[str, str]

STUCK_MS: Final = 600_000
"""Milliseconds without any transition after which a saga in flight counts as stuck."""

_IN_FLIGHT: Final = tuple(state for state in get_args(SagaState) if state not in ENDED)

_STEPS: Final = 50
"""The most steps of one saga type and state whose age is told: an event may name any step."""

_LASTING: Final = 1_000
"""The most labels of one instrument that are told after they are gone."""

_FRESH: Final = 1.0
"""Seconds for which what was read in the store counts as the present: one collection asks for it often."""

_SECONDS: Final = (1, 5, 15, 30, 60, 300, 600)
"""The bounds of the histogram of durations."""

_DONE: Final = {
    "started": "started",
    "compensating": "begun to compensate",
    "completed": "completed",
    "failed": "failed, with everything compensated",
}

_SPARING: Final = 100.0
"""How many times as long as the reading of all sagas in flight took they are not read again: it takes 1 % of
the time at most."""


class Readable(History, Protocol):
    """A participant's store, open to read it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def depths(self) -> Depths:
        """Return what waits in the store."""
        ...

    def unended(self) -> Iterable[LastEntry]:
        """Return the last row of every saga that has not ended."""
        ...


class _Store:
    """A store that is opened to read it, not at once again where that has failed.

    An attempt may take 5 s, and who collects gives up after 10, without having heard that the store is away.
    """

    def __init__(self, opened: Callable[[], Readable]) -> None:
        self._opened = opened
        self._failed = float("-inf")

    @contextmanager
    def open(self) -> Iterator[Readable]:
        """Open it. Raises `StoreError`."""
        if monotonic() - self._failed < _FRESH:
            raise StoreError("it could not be read a moment ago")
        try:
            with self._opened() as reader:
                yield reader
        except StoreError:
            self._failed = monotonic()
            raise


class _Lately(Generic[T]):
    """What is read in the store once for a collection, which asks for it often; None while it can't be."""

    def __init__(self, read: Callable[[], T | None]) -> None:
        self._read = read
        self._at = float("-inf")
        self._found: T | None = None

    def now(self) -> T | None:
        """Return it, at most a moment old."""
        if monotonic() - self._at > _FRESH:
            try:
                self._found = self._read()
            except StoreError:
                self._found = None
            self._at = monotonic()
        return self._found


class _InFlight:
    """The sagas in flight, of some types only, by saga type and state: when each of them moved last."""

    def __init__(self, saga_types: Collection[str], read: Callable[[], Iterable[LastEntry]]) -> None:
        self._types = saga_types
        self._read = read
        self._due = float("-inf")
        self._found: Mapping[tuple[str, str], Sequence[LastEntry]] | None = None

    def stuck(self) -> Iterable[tuple[Labels, Number]] | None:
        """Return how many sagas of each type and state are stuck."""
        now = round(time.time() * 1000)
        return self._of_each(lambda sagas: [({}, sum(is_still(now - each.time, STUCK_MS) for each in sagas))])

    def ages(self) -> Iterable[tuple[Labels, Number]] | None:
        """Return the age, in seconds, of the oldest last transition of each type and state, by its step.

        It is below zero where a wrong clock has put one into the future, and none is stuck by its age.
        """
        now = round(time.time() * 1000)

        def rank(at: int) -> tuple[bool, int]:
            return not is_still(now - at, STUCK_MS), at

        def of(sagas: Sequence[LastEntry]) -> Iterable[tuple[Labels, Number]]:
            oldest: dict[str, int] = {}
            for each in sagas:
                oldest[each.step] = min(each.time, oldest.get(each.step, each.time), key=rank)
            first = nsmallest(_STEPS, oldest.items(), key=lambda each: rank(each[1]))
            ages = (({"step": step}, (now - at) / 1000) for step, at in first)
            return ages if sagas else [({"step": ""}, 0.0)]

        return self._of_each(of)

    def _of_each(
        self, of: Callable[[Sequence[LastEntry]], Iterable[tuple[Labels, Number]]]
    ) -> Iterable[tuple[Labels, Number]] | None:
        began = monotonic()
        if began >= self._due:
            self._found = self._sagas()
            took = monotonic() - began if self._found is not None else 0.0
            self._due = monotonic() + max(_FRESH, _SPARING * took)
        if self._found is None:
            return None
        return [
            ({"saga_type": saga_type, "state": state, **labels}, value)
            for (saga_type, state), sagas in self._found.items()
            for labels, value in of(sagas)
        ]

    def _sagas(self) -> Mapping[tuple[str, str], Sequence[LastEntry]] | None:
        found: dict[tuple[str, str], list[LastEntry]] = {
            (saga_type, state): [] for saga_type in sorted(self._types) for state in _IN_FLIGHT
        }
        try:
            for last in self._read():
                if last.saga_type in self._types:
                    found.setdefault((last.saga_type, last.state), []).append(last)
        except StoreError:
            return None
        return found


def observe(
    meter: Meter, participant: Participant, progress: Progress, store: Callable[[], Readable]
) -> None:
    """Make a worker's instruments, all with the label ``participant``.

    ``store`` opens its store to read it; it is called in the thread of whoever collects. The sagas are those
    that this participant starts, so that no saga is counted by two.
    """

    opened = _Store(store).open

    def waiting() -> Depths:
        with opened() as reader:
            return reader.depths()

    def in_flight() -> Iterable[LastEntry]:
        with opened() as reader:
            yield from reader.unended()

    instruments = _Instruments(meter, participant.name)
    own = [name for name, role in participant.roles().items() if role.owns_start]
    _turns(instruments, progress)
    _incidents(instruments, progress, sorted(participant.roles()))
    _store(instruments, _Lately(waiting))
    _sagas(instruments, _InFlight(own, in_flight))
    _counts(instruments, own, opened)


def _turns(make: _Instruments, progress: Progress) -> None:
    make.counter("choreo.turns", "{turn}", "Turns that processed something.", lambda: progress.turns)
    make.counter("choreo.turn.items", "{item}", "Items that turns processed.", lambda: progress.items)
    make.counter("choreo.turn.duration", "s", "Time that these turns took.", lambda: progress.seconds)
    make.counter(
        "choreo.store.wait",
        "s",
        "Time spent waiting for the store.",
        lambda: progress.waited(monotonic()),
    )
    make.gauge(
        "choreo.partitions.catching_up",
        "{partition}",
        "Partitions of which not all records of before the assignment are folded, as far as is known.",
        lambda: [({}, progress.catching_up)],
    )
    make.gauge(
        "choreo.partitions.without_leader",
        "{partition}",
        "Partitions that no broker leads; all, where the cluster does not answer.",
        lambda: [({}, progress.leaderless)],
    )
    make.gauge(
        "choreo.consumer.lag",
        "{record}",
        "Offsets between the position and the end of each partition.",
        lambda: [
            ({"topic": each.topic, "partition": str(each.number)}, lag) for each, lag in progress.lag.items()
        ],
    )


def _incidents(make: _Instruments, progress: Progress, saga_types: Sequence[str]) -> None:
    def by(label: str, what: str, values: Sequence[str]) -> _Values:
        return lambda: [({label: each}, progress.counted.get((what, each), 0)) for each in values]

    make.counts(
        "choreo.retries",
        "{attempt}",
        "Attempts that failed and are to be repeated.",
        by("saga_type", RETRIES, saga_types),
    )
    make.counts("choreo.void", "{event}", "Events that changed nothing.", by("saga_type", VOID, saga_types))
    make.counts(
        "choreo.refused",
        "",
        "Steps of sagas that were aborted, outcomes that the store never produced, unreadable records, and "
        "events that the log does not take.",
        by("what", REFUSED, REFUSALS),
    )


def _store(make: _Instruments, waiting: _Lately[Depths]) -> None:
    def each(of: Callable[[Depths], Iterable[tuple[Labels, Number]]]) -> _Values:
        return lambda: None if (found := waiting.now()) is None else of(found)

    make.gauge(
        "choreo.store.up",
        "",
        "Whether the store can be read.",
        lambda: [({}, int(waiting.now() is not None))],
    )
    make.gauge(
        "choreo.outbox.rows",
        "{row}",
        "Events that the log has not acknowledged.",
        each(lambda found: [({}, found.unpublished)]),
    )
    make.gauge(
        "choreo.outbox.age",
        "s",
        "Age of the oldest of them; 0 where there is none.",
        each(lambda found: [({}, _since(found.oldest))]),
    )
    make.lasting(
        "choreo.schedule.rows",
        "{row}",
        "Rows of the schedule, by lane.",
        each(lambda found: [({"lane": lane}, rows) for lane, (rows, _) in found.lanes.items()]),
    )
    make.lasting(
        "choreo.schedule.lateness",
        "s",
        "How late the first row of a lane is; 0 where none is late.",
        each(lambda found: [({"lane": lane}, _since(due)) for lane, (_, due) in found.lanes.items()]),
    )
    make.lasting(
        "choreo.dead_letters",
        "{letter}",
        "Open dead letters, by reason.",
        each(lambda found: [({"reason": reason}, count) for reason, count in found.letters.items()]),
    )


def _sagas(make: _Instruments, in_flight: _InFlight) -> None:
    make.gauge(
        "saga.stuck.count",
        "",
        "Sagas that have not ended and have had no transition for 10 minutes, by type and state.",
        in_flight.stuck,
    )
    make.lasting(
        "saga.oldest.age",
        "s",
        "Age of the last transition of the saga that waits for longest, by type, state and its last step.",
        in_flight.ages,
    )


def _counts(
    make: _Instruments, saga_types: Collection[str], opened: Callable[[], AbstractContextManager[Readable]]
) -> None:
    duration = make.histogram("saga.duration", "s", "Time from the start to the end of sagas.", _SECONDS)

    def ended(saga_type: str, outcome: str, seconds: float) -> None:
        duration(seconds, {"saga_type": saga_type, "outcome": outcome})

    counts = _Lately(SagaCounts(saga_types, opened, ended).now)
    for state in COUNTED:

        def of_state(state: str = state) -> Iterable[tuple[Labels, Number]] | None:
            found = counts.now()
            if found is None:
                return None
            return [({"saga_type": each}, found[each, state]) for each in sorted(saga_types)]

        make.counts(f"saga.{state}", "", f"Sagas that have {_DONE[state]}.", of_state)


def _since(milliseconds: int) -> float:
    return max(time.time() - milliseconds / 1000, 0.0) if milliseconds else 0.0


_Values = Callable[[], Iterable[tuple[Labels, Number]] | None]
"""Returns values with their labels, None where they can't be had now."""


class _Instruments:
    """Makes observable instruments of one participant."""

    def __init__(self, meter: Meter, participant: str) -> None:
        self._meter = meter
        self._participant = participant

    def counter(self, name: str, unit: str, meaning: str, value: Callable[[], Number]) -> None:
        """Make a counter without further labels."""
        self.counts(name, unit, meaning, lambda: [({}, value())])

    def counts(self, name: str, unit: str, meaning: str, values: _Values) -> None:
        """Make a counter, whose values have labels each."""
        self._meter.create_observable_counter(name, [self._observed(values)], unit, meaning)

    def histogram(
        self, name: str, unit: str, meaning: str, bounds: Sequence[float]
    ) -> Callable[[Number, Labels], None]:
        """Make a histogram; return the function that adds a value to it."""
        made = self._meter.create_histogram(name, unit, meaning, explicit_bucket_boundaries_advisory=bounds)
        own = {"participant": self._participant}
        return lambda value, labels: made.record(value, {**own, **labels})

    def gauge(self, name: str, unit: str, meaning: str, values: _Values) -> None:
        """Make a gauge, whose values have labels each."""
        self._meter.create_observable_gauge(name, [self._observed(values)], unit, meaning)

    def lasting(self, name: str, unit: str, meaning: str, values: _Values) -> None:
        """Make a gauge that reports 0 for labels that are gone, so that an alert on them ends."""
        known: dict[tuple[tuple[str, str], ...], Labels] = {}

        def with_former() -> Iterator[tuple[Labels, Number]]:
            present = values()
            if present is None:
                return
            found = {tuple(sorted(labels.items())): (labels, value) for labels, value in present}
            gone = [(key, labels) for key, labels in known.items() if key not in found][-_LASTING:]
            yield from found.values()
            yield from ((labels, 0) for _, labels in gone)
            known.clear()
            known.update([*gone, *((key, labels) for key, (labels, _) in found.items())])

        self._meter.create_observable_gauge(name, [self._observed(with_former)], unit, meaning)

    def _observed(self, values: _Values) -> Callable[[CallbackOptions], Iterable[Observation]]:
        own: dict[str, Any] = {"participant": self._participant}
        return lambda _: [Observation(value, {**own, **labels}) for labels, value in values() or ()]

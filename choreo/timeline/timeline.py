"""``Timeline``: what happened in one saga, merged from the views of its participants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from choreo.chain import PRUNED
from choreo.outcome import CANCEL, FAILED, TIMED_OUT, SagaState
from choreo.records import Entry
from choreo.timeline.events import Event, events_of
from choreo.timeline.merge import merged
from choreo.timeline.moments import Moment, moments_of
from choreo.timeline.participant_view import ParticipantView, refuse_corrupt
from choreo.timeline.remaining import RemainingStep, remaining_steps
from choreo.timeline.transitions import moved_at
from choreo.timeline.waits import Wait, is_only_cancelled, likely_waits, waits_of

if TYPE_CHECKING:
    from choreo.graph import SagaGraph

ENDED = ("completed", "failed")
"""The states of a saga that goes no further."""

_CLOCK_SKEW = 250
"""The milliseconds by which a clock must be wrong before there is a remark on it."""


@dataclass(frozen=True)
class Timeline:
    """What happened in one saga, in order, what it waits for, and what may still happen.

    ``moved`` is the time of its last transition (see `choreo.timeline.transitions`).
    ``participants`` are in the order of their first moments. ``waits`` and ``remaining`` are as of ``now``;
    ``remaining`` is empty where there is no graph. ``aborted_by`` is the event that aborted the saga, in
    words, or empty. ``remarks`` are sentences on what the sources leave uncertain. Times are in milliseconds
    since the epoch.
    """

    saga_id: str
    saga_type: str
    version: int
    state: SagaState
    participants: tuple[str, ...]
    events: tuple[Event, ...]
    moments: tuple[Moment, ...]
    waits: tuple[Wait, ...]
    remaining: tuple[RemainingStep, ...]
    aborted_by: str
    remarks: tuple[str, ...]
    moved: int
    now: int

    @property
    def began(self) -> int:
        """The time of the first moment, or that at which the saga began where its rows were pruned."""
        pruned = [each.time - (each.took or 0) for each in self.moments if each.what == "pruned"]
        return min([self.moments[0].time, *pruned])

    @property
    def is_span_known(self) -> bool:
        """Whether it is known how long the saga took; an older choreo pruned its beginning too."""
        return any(each.what != "pruned" or each.took is not None for each in self.moments)

    @property
    def last(self) -> int:
        """The time of the last moment."""
        return max(moment.time for moment in self.moments)

    @property
    def idle(self) -> int:
        """The time since the last transition; below zero where some clock is wrong."""
        return self.now - self.moved

    @property
    def is_ended(self) -> bool:
        """Whether the saga has ended, completed or failed."""
        return self.state in ENDED

    @property
    def is_only_cancelled(self) -> bool:
        """Whether the saga was cancelled before its start, which may never come."""
        return is_only_cancelled(self.events)

    def event(self, event_id: str) -> Event | None:
        """Return the event with that id, None where it is not on the topic."""
        return next((each for each in self.events if each.id == event_id), None)


def timeline_of(views: Sequence[ParticipantView], now: int, graph: SagaGraph | None = None) -> Timeline:
    """Return the timeline of one saga; all views are of it, and at least one has rows.

    The saga's ``graph`` says what remains. Raises `StoreError` for a row that choreo can't have written.
    """
    views = [view for view in views if view.entries]
    for view in views:
        refuse_corrupt(view)
    events = events_of(views)
    moments = _explained(merged(events, [moments_of(each, events) for each in views]), events)
    last = _furthest(views)
    under_way = [each.event for each in moments if each.event and each.event.place is None]
    remaining: list[RemainingStep] = []
    if graph:
        remaining = remaining_steps(graph, events, under_way)
        remaining = [_undone(each, moments, graph) for each in remaining]
    waits = waits_of(views, events, moments, remaining, now)
    if is_only_cancelled(events):
        waits.append(Wait("whoever starts it", "", "start", "it was cancelled before", events[0].time))
    elif not waits and last.saga_state not in ENDED:
        waits = likely_waits(views, events)
    return Timeline(
        last.saga_id,
        last.saga_type,
        last.saga_version,
        last.saga_state,  # type: ignore[arg-type]
        _participants(views, moments),
        tuple(events),
        tuple(moments),
        tuple(waits),
        tuple(remaining),
        _abort(events),
        tuple(_remarks(views, events)),
        moved_at(views),
        now,
    )


def _undone(remains: RemainingStep, moments: Sequence[Moment], graph: SagaGraph) -> RemainingStep:
    """Return what remains of a step: one that is undone before its failure is published, only that."""
    states = [each.new_state for each in moments if each.step == remains.step]
    if remains.task != "action" or states[-1:] != ["compensating"]:
        return remains
    failure = graph.steps[remains.step].failures[:1]
    return remains._replace(task="compensation", answers=failure, needs=())


def _participants(views: Sequence[ParticipantView], moments: Sequence[Moment]) -> tuple[str, ...]:
    """Return the participants in the order of their first moments, observers last."""
    acting = [moment.participant for moment in moments]
    return tuple(dict.fromkeys([*acting, *(each.participant for each in views if each.participant)]))


def _furthest(views: Sequence[ParticipantView]) -> Entry:
    """Return the last row of the participant that has read the end of the saga, or else the most events."""

    def known(view: ParticipantView) -> tuple[bool, int]:
        rows = view.entries
        return rows[-1].saga_state in ENDED, sum(row.input == "event" for row in rows)

    return max(views, key=known).entries[-1]


def _abort(events: Sequence[Event]) -> str:
    """Return a phrase for the event that aborted the saga (R4); empty where none did."""
    for event in events:
        if event.void:
            continue
        if event.outcome in (FAILED, TIMED_OUT):
            return f"{event.step} {event.outcome.replace('_', ' ')} {event.at}"
        if event.step == CANCEL:
            return f"the cancellation {event.at}"
    return ""


def _explained(moments: Sequence[Moment], events: Sequence[Event]) -> list[Moment]:
    """Return the moments, with the reason added to each refusal."""
    reason = _abort(events)
    because = f"aborted by {reason}" if reason else "the saga had ended, or was to undo it already"
    return [
        each._replace(why=because) if each.what == "refused" and not each.why else each for each in moments
    ]


def _remarks(views: Sequence[ParticipantView], events: Sequence[Event]) -> Iterator[str]:
    looked_at = {view.participant for view in views}
    unseen = sorted({event.source for event in events} - looked_at)
    if unseen:
        yield f"no store of {', '.join(unseen)} was looked at: the log alone tells what they did"
    if len({event.place[:2] for event in events if event.place}) > 1:
        yield "its events lie on more than one partition, so their order is not certain"
    pruned = [view.participant for view in views if view.entries[0].input == PRUNED]
    if pruned:
        yield f"its rows were pruned in the log of {', '.join(pruned)}: only its end is known there"
    for view in views:
        skew = max((each.time - each.read.get(view.participant, each.time) for each in events), default=0)
        if skew >= _CLOCK_SKEW:
            yield f"the clock of {view.participant} is {skew} ms behind, or more: it read what was not yet"

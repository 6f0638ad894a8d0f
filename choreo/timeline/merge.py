"""Merges the moments of several participants into one order, that of the topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from choreo.timeline.events import Event
from choreo.timeline.moments import LocalMoment, Moment, What

_OF_OUTCOME: Mapping[str, tuple[What, str]] = {
    "succeeded": ("completed", "completed"),
    "failed": ("failed", "failed"),
    "timed_out": ("timed out", "failed"),
    "compensated": ("compensated", "compensated"),
}
_OF_KIND: Mapping[str, What] = {"start": "started", "cancellation": "cancelled", "external": "imported"}


def merged(events: Sequence[Event], by_participant: Sequence[Sequence[LocalMoment]]) -> list[Moment]:
    """Return all moments in one order, which agrees with the topic and with each participant's own order.

    A moment comes after the events that its participant had folded by then; one that published an event
    comes after those that published the events before it. What this leaves open is ordered by the clocks,
    which are ignored where they contradict it.
    """
    rank = {event.id: number for number, event in enumerate(events, 1)}
    published = {each.moment.event.id for side in by_participant for each in side if each.moment.event}
    queues = [list(reversed(side)) for side in by_participant if side]
    moments: list[Moment] = []
    placed: set[str] = set()
    passed = 0
    while queues or passed < len(events):
        ready = [queue for queue in queues if _may_come(queue[-1], rank, passed)]
        event = events[passed] if passed < len(events) else None
        if event is not None and _comes_next(event, ready, event.id in placed or event.id not in published):
            passed += 1
            if event.id not in published:
                moments.append(_of_event(event))
            continue
        queue = min(ready, key=lambda queue: queue[-1].moment.time)
        moment = queue.pop().moment
        moments.append(moment)
        if moment.event:
            placed.add(moment.event.id)
        queues = [queue for queue in queues if queue]
    return moments


def _may_come(local: LocalMoment, rank: Mapping[str, int], passed: int) -> bool:
    """Whether everything that must come before a moment is already placed."""
    event = local.moment.event
    published = rank.get(event.id, 0) if event else 0
    return local.folded <= passed and published <= passed + 1


def _comes_next(event: Event, ready: Sequence[Sequence[LocalMoment]], is_published: bool) -> bool:
    """Whether the next event of the topic comes before all moments that may come now."""
    earliest = min((queue[-1].moment.time for queue in ready), default=None)
    return earliest is None or (is_published and event.time <= earliest)


def _of_event(event: Event) -> Moment:
    """Return the moment that an event alone shows, for a participant whose store was not read."""
    what, state = _OF_OUTCOME[event.outcome]
    if event.outcome == "succeeded":
        what = _OF_KIND.get(event.kind, what)
    before = "completed" if event.outcome == "compensated" else "pending"
    return Moment(
        event.source, event.step, what, before, state, event.time, event.cause, None, event, "", 0, False
    )

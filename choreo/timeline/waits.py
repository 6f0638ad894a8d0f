"""``Wait``: what a saga waits for, and which participant must act, by the stores and by the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from choreo.outcome import CANCEL
from choreo.records import DeadLetter, Scheduled
from choreo.timeline.events import Event, event_names
from choreo.timeline.moments import Moment
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.remaining import RemainingStep

Why = Literal[
    "dead letter",
    "retry",
    "executing",
    "queued",
    "answer",
    "outbox",
    "on its way",
    "unread",
    "deadline",
    "start",
]
"""Why something has not happened yet, the gravest reason first."""


class Wait(NamedTuple):
    """One thing that a saga waits for: ``what`` (a step, an event, a deadline) of the participant ``who``.

    ``since`` and ``until`` are times in milliseconds since the epoch, None where they aren't known.
    """

    who: str
    what: str
    why: Why
    detail: str = ""
    since: int | None = None
    until: int | None = None


def waits_of(
    views: Sequence[ParticipantView],
    events: Sequence[Event],
    moments: Sequence[Moment],
    remaining: Sequence[RemainingStep],
    now: int,
) -> list[Wait]:
    """Return what the saga waits for at ``now``, by the stores and what remains, the most serious first."""
    waits = [wait for view in views for wait in _of_one(view, events, moments, now)]
    unpublished = frozenset[str]().union(*(view.unpublished for view in views))
    waits += _on_their_way(moments, unpublished)
    waits = _with_answers(waits, [each for each in remaining if not each.needs])
    return sorted(waits, key=lambda wait: get_args(Why).index(wait.why))


def _with_answers(waits: Sequence[Wait], due: Sequence[RemainingStep]) -> list[Wait]:
    """Return the waits, and those for answers that are due by the graph alone.

    If the participant that must answer has not read the topic to its end, the detail of the wait says so.
    """
    known = {(wait.who, wait.what) for wait in waits if wait.why != "deadline"}
    behind = {wait.who: wait.detail for wait in waits if wait.why == "unread"}
    added = [
        Wait(each.participant, each.step, "answer", _expected(each, behind), each.since)
        for each in due
        if (each.participant, each.step) not in known
    ]
    answering = {wait.who for wait in added}
    return [*(wait for wait in waits if wait.why != "unread" or wait.who not in answering), *added]


def _expected(remaining: RemainingStep, behind: Mapping[str, str]) -> str:
    note = behind.get(remaining.participant, "")
    return f"{event_names(remaining.answers)}{f'; it {note}' if note else ''}"


def is_only_cancelled(events: Sequence[Event]) -> bool:
    """Whether all events are cancellations, of a saga that has not started."""
    return bool(events) and all(event.step == CANCEL for event in events)


def likely_waits(views: Sequence[ParticipantView], events: Sequence[Event]) -> list[Wait]:
    """Return a wait for each participant that handles the last event, for a saga without a graph.

    A participant keeps the body of an event only if it handles the event.
    """
    last = next((event for event in reversed(events) if not event.void), None)
    if last is None:
        return []
    handling = [
        view.participant
        for view in views
        if view.participant != last.source
        and any(each.event_id == last.id and each.input == "event" and each.payload for each in view.entries)
    ]
    detail = f"an answer to {last.name} {last.at}"
    return [Wait(who, "", "answer", detail, last.time) for who in handling or [""]]


def _of_one(
    view: ParticipantView, events: Sequence[Event], moments: Sequence[Moment], now: int
) -> Iterator[Wait]:
    who = view.participant
    yield from (_for_letter(who, each) for each in view.dead_letters if each.state == "open")
    yield from (_for_scheduled(who, each, moments, now) for each in view.scheduled)
    for moment in moments:
        if moment.participant == who and moment.event and moment.event.id in view.unpublished:
            yield Wait(who, moment.event.name, "outbox", "published, not acknowledged yet", moment.time)
    unread = [event for event in events if who not in event.read]
    if unread and len(unread) < len(events):
        yield Wait(who, unread[0].name, "unread", f"has not read from {unread[0].at} on", unread[0].time)


def _for_letter(who: str, letter: DeadLetter) -> Wait:
    detail = f"#{letter.id} {letter.reason}: {letter.detail}"
    return Wait(who, letter.name, "dead letter", detail, letter.recorded_at)


def _for_scheduled(who: str, row: Scheduled, moments: Sequence[Moment], now: int) -> Wait:
    name = row.name
    if row.task == "deadline":
        return Wait(who, name, "deadline", "passes", until=row.due)
    if row.task in ("requeue", "discard", "resolve"):
        return Wait(who, f"dead letter #{name}", "queued", f"its {row.task} was asked for")
    since = max((each.time for each in moments if (each.participant, each.step) == (who, name)), default=None)
    if row.lane == "out":
        return Wait(who, name, "executing", f"its {row.task} is being called", since)
    if row.due > now:
        detail = f"its {row.task} failed {row.attempt} times" if row.attempt > 0 else row.task
        return Wait(who, name, "retry", detail, since, row.due)
    return Wait(who, name, "queued", f"its {row.task} is due", row.due)


def _on_their_way(moments: Iterable[Moment], unpublished: frozenset[str]) -> Iterator[Wait]:
    """Yield a wait for each event that was published and that no participant has read yet."""
    for moment in moments:
        event = moment.event
        if event and event.place is None and event.id not in unpublished:
            detail = "published; nobody here has read it"
            yield Wait(moment.participant, event.name, "on its way", detail, moment.time)

"""A story as data, for scripts: nothing is left out, times are ISO 8601 and milliseconds."""

from __future__ import annotations

from typing import Any

from choreo.render.wording import headline, moment_of, own_name, span
from choreo.timeline import Debt, Message, Moment, Story
from choreo.timeline.remaining import Ahead


def as_data(story: Story) -> dict[str, Any]:
    """Give a story as JSON can hold it."""
    return {
        "saga_id": story.saga_id,
        "saga_type": story.saga_type,
        "saga_version": story.version,
        "state": story.state,
        "summary": headline(story),
        "began": moment_of(story.began),
        "last": moment_of(story.last),
        "duration_ms": story.last - story.began,
        "aborted_by": story.aborted_by or None,
        "participants": list(story.participants),
        "moments": [_moment(story, each) for each in story.moments],
        "events": [_message(each) for each in story.messages],
        "waits_for": [debt_data(each) for each in story.owed],
        "remains": [_ahead(each) for each in story.ahead],
        "remarks": list(story.remarks),
    }


def debt_data(debt: Debt) -> dict[str, Any]:
    """Give what a saga waits for as JSON can hold it."""
    return {
        "owed_by": debt.who or None,
        "what": debt.what,
        "why": debt.why,
        "detail": debt.detail,
        "since": _time(debt.since),
        "until": _time(debt.until),
    }


def _moment(story: Story, moment: Moment) -> dict[str, Any]:
    return {
        "participant": moment.participant,
        "step": moment.step,
        "what": moment.what,
        "old_state": moment.old_state,
        "new_state": moment.new_state,
        "time": moment_of(moment.time),
        "since_start_ms": moment.time - story.began,
        "since_cause_ms": moment.took,
        "caused_by": moment.cause or None,
        "event_id": moment.message.id if moment.message else None,
        "event": moment.message.type if moment.message else None,
        "offset": moment.message.place.offset if moment.message and moment.message.place else None,
        "void": (moment.message.void if moment.message else "") or None,
        "why": moment.why or None,
        "attempt": moment.attempt or None,
        "told_by": "store" if moment.seen else "log",
    }


def _message(message: Message) -> dict[str, Any]:
    place = message.place
    return {
        "event_id": message.id,
        "event": message.type,
        "step": message.step,
        "outcome": message.outcome,
        "source": message.source,
        "caused_by": message.cause or None,
        "time": moment_of(message.time),
        "topic": place.topic if place else None,
        "partition": place.partition if place else None,
        "offset": place.offset if place else None,
        "void": message.void or None,
        "read": {who: moment_of(time) for who, time in sorted(message.read.items())},
    }


def _ahead(ahead: Ahead) -> dict[str, Any]:
    return {
        "participant": ahead.participant,
        "step": ahead.step,
        "task": ahead.task,
        "gives": list(ahead.gives),
        "needs": list(ahead.needs),
        "owed_since": _time(ahead.since),
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else moment_of(milliseconds)


def as_row(story: Story) -> tuple[str, ...]:
    """Give id, type, state, age, the last step and how long ago it moved, and what is waited for."""
    last = story.moments[-1]
    step = last.step if last.participant in last.step else f"{last.participant} {last.step}"
    return (
        story.saga_id,
        story.saga_type,
        story.state,
        span(max(story.now - story.began, 0)),
        f"{step} {last.what}, {span(max(story.now - last.time, 0))} ago",
        _waits(story),
    )


def summary_data(story: Story) -> dict[str, Any]:
    """Give the same, and more, as JSON can hold it."""
    last = story.moments[-1]
    return {
        "saga_id": story.saga_id,
        "saga_type": story.saga_type,
        "state": story.state,
        "began": moment_of(story.began),
        "age_ms": story.now - story.began,
        "last": moment_of(last.time),
        "last_step": last.step,
        "last_participant": last.participant,
        "last_what": last.what,
        "idle_ms": story.now - story.last,
        "waits_for": [debt_data(debt) for debt in story.owed],
    }


def _waits(story: Story) -> str:
    """Say what is waited for most of all; `choreo trace` tells the rest."""
    if not story.owed:
        return ""
    first = story.owed[0]
    what = own_name(first.what, first.who)
    more = f" (+{len(story.owed) - 1})" if len(story.owed) > 1 else ""
    return f"{first.who or 'nobody here'}: {f'{what}, ' if what else ''}{first.why}{more}"

"""Converts a timeline to data for JSON: times in ISO 8601, spans of time in milliseconds."""

from __future__ import annotations

from typing import Any

from choreo.render.wording import headline, iso_time
from choreo.timeline.events import Event
from choreo.timeline.moments import Moment
from choreo.timeline.remaining import RemainingStep
from choreo.timeline.timeline import Timeline
from choreo.timeline.waits import Wait


def timeline_data(timeline: Timeline) -> dict[str, Any]:
    """Return a whole timeline as data."""
    return {
        "saga_id": timeline.saga_id,
        "saga_type": timeline.saga_type,
        "saga_version": timeline.version,
        "state": timeline.state,
        "summary": headline(timeline),
        "began": iso_time(timeline.began),
        "last": iso_time(timeline.last),
        "duration_ms": timeline.last - timeline.began if timeline.is_span_known else None,
        "aborted_by": timeline.aborted_by or None,
        "participants": list(timeline.participants),
        "moments": [_moment(timeline, each) for each in timeline.moments],
        "events": [_event(each) for each in timeline.events],
        "waits_for": [wait_data(each) for each in timeline.waits],
        "remains": [_remaining_step(each) for each in timeline.remaining],
        "remarks": list(timeline.remarks),
    }


def wait_data(wait: Wait) -> dict[str, Any]:
    """Return one `Wait` as data."""
    return {
        "owed_by": wait.who or None,
        "what": wait.what,
        "why": wait.why,
        "detail": wait.detail,
        "since": _time(wait.since),
        "until": _time(wait.until),
    }


def _moment(timeline: Timeline, moment: Moment) -> dict[str, Any]:
    return {
        "participant": moment.participant,
        "step": moment.step,
        "what": moment.what,
        "old_state": moment.old_state,
        "new_state": moment.new_state,
        "time": iso_time(moment.time),
        "since_start_ms": moment.time - timeline.began,
        "since_cause_ms": moment.took,
        "caused_by": moment.cause or None,
        "event_id": moment.event.id if moment.event else None,
        "event": moment.event.type if moment.event else None,
        "offset": moment.event.place.offset if moment.event and moment.event.place else None,
        "void": (moment.event.void if moment.event else "") or None,
        "why": moment.why or None,
        "attempt": moment.attempt or None,
        "told_by": "store" if moment.in_store else "log",
    }


def _event(event: Event) -> dict[str, Any]:
    place = event.place
    return {
        "event_id": event.id,
        "event": event.type,
        "step": event.step,
        "outcome": event.outcome,
        "source": event.source,
        "caused_by": event.cause or None,
        "time": iso_time(event.time),
        "topic": place.topic if place else None,
        "partition": place.partition if place else None,
        "offset": place.offset if place else None,
        "void": event.void or None,
        "read": {who: iso_time(time) for who, time in sorted(event.read.items())},
    }


def _remaining_step(step: RemainingStep) -> dict[str, Any]:
    return {
        "participant": step.participant,
        "step": step.step,
        "task": step.task,
        "gives": list(step.answers),
        "needs": list(step.needs),
        "owed_since": _time(step.since),
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso_time(milliseconds)


def summary_data(timeline: Timeline) -> dict[str, Any]:
    """Return the state of a saga and what it waits for, as data for a list of sagas."""
    last = timeline.moments[-1]
    return {
        "saga_id": timeline.saga_id,
        "saga_type": timeline.saga_type,
        "state": timeline.state,
        "began": iso_time(timeline.began),
        "age_ms": timeline.now - timeline.began,
        "last": iso_time(last.time),
        "last_step": last.step,
        "last_participant": last.participant,
        "last_what": last.what,
        "idle_ms": timeline.idle,
        "waits_for": [wait_data(wait) for wait in timeline.waits],
    }

"""The words that all drawings of a timeline share: spans of time, short names of steps, tones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from choreo.records import moment
from choreo.timeline.moments import Moment, What
from choreo.timeline.timeline import Timeline
from choreo.timeline.waits import Wait

Tone = Literal["calm", "busy", "good", "bad", "back"]
"""``calm`` is neutral, ``busy`` under way, ``good`` a success, ``bad`` a failure, ``back`` a compensation."""

TONES: Mapping[What, Tone] = {
    "started": "good",
    "cancelled": "bad",
    "imported": "good",
    "executing": "busy",
    "retrying": "back",
    "completed": "good",
    "failed": "bad",
    "timed out": "bad",
    "refused": "bad",
    "compensating": "back",
    "compensated": "back",
    "observed": "calm",
    "dead letter": "bad",
    "requeued": "busy",
    "discarded": "back",
    "resolved": "good",
    "passed": "calm",
    "extended": "busy",
    "revoked": "back",
    "pruned": "calm",
}
STATE_TONES: Mapping[str, Tone] = {
    "started": "busy",
    "pending": "busy",
    "compensating": "back",
    "completed": "good",
    "failed": "bad",
}


def span(milliseconds: int) -> str:
    """Return a span of time with two units at most.

    >>> [span(each) for each in (7, 3_048, 125_000, 7_800_000, 200_000_000)]
    ['7 ms', '3.05 s', '2 min 5 s', '2 h 10 min', '2 d 7 h']
    """
    if milliseconds < 0:
        return f"−{span(-milliseconds)}"
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.2f} s"
    seconds = milliseconds // 1000
    for name, length, finer, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= length:
            rest = seconds % length // part
            return f"{seconds // length} {name}" + (f" {rest} {finer}" if rest else "")
    return f"{seconds} s"


def iso_time(milliseconds: int) -> str:
    """Return a time in UTC, in ISO 8601.

    >>> iso_time(1_700_000_000_042)
    '2023-11-14T22:13:20.042Z'
    """
    written = moment(milliseconds).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def short_step(step: str, participant: str) -> str:
    """Return a step's name without its participant's, for places that show the participant already."""
    return step.removeprefix(f"{participant}.")


def headline(timeline: Timeline) -> str:
    """Return the state of the saga in one sentence."""
    because = f": {timeline.aborted_by}" if timeline.aborted_by else ""
    if not timeline.is_span_known:
        return f"{timeline.state}{because}"
    if timeline.is_ended:
        return f"{timeline.state} after {span(timeline.last - timeline.began)}{because}"
    return f"{timeline.state} for {span(max(timeline.now - timeline.began, 0))}{because}"


def published(moment: Moment) -> str:
    """Return the name of the event that a moment published, with its offset."""
    return f"{moment.event.name} {moment.event.at}".rstrip() if moment.event else ""


def reason(moment: Moment) -> str:
    """Return the reason why a moment's event is void, or else why the moment happened."""
    if moment.event and moment.event.void:
        return f"void: {moment.event.void}"
    if moment.what == "retrying":
        if not moment.attempt:
            return f"waits for a schema: {moment.why}"
        return f"attempt {moment.attempt} failed: {moment.why}" if moment.why else "an attempt failed"
    return moment.why


def published_and_reason(moment: Moment) -> str:
    """Return the published event and the reason in one line."""
    return "; ".join(part for part in (published(moment), reason(moment)) if part)


def wait_reason(wait: Wait, now: int) -> str:
    """Return the reason why a saga waits, since when, and until when."""
    times = []
    if wait.since is not None:
        times.append(f"for {span(max(now - wait.since, 0))}")
    if wait.until is not None:
        passed = now - wait.until
        times.append(f"due for {span(passed)}" if passed > 0 else f"in {span(-passed)}")
    return ", ".join([part for part in (wait.detail, *times) if part])

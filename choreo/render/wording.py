"""How a story is worded, whatever it is drawn with: spans of time, steps' short names, tones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from choreo.events import short_name
from choreo.timeline import Debt, Moment, Story
from choreo.timeline.messages import What

Tone = Literal["calm", "busy", "good", "bad", "back"]
"""``calm`` is neither here nor there, ``busy`` under way, ``back`` undone or being undone."""

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
    "passed": "calm",
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
    """Write a span of time with as much precision as anybody wants.

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


def moment_of(milliseconds: int) -> str:
    """Write a time in UTC, as ISO 8601 does.

    >>> moment_of(1_700_000_000_042)
    '2023-11-14T22:13:20.042Z'
    """
    written = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def own_name(step: str, participant: str) -> str:
    """Give a step's name without its owner's, where it is told of the owner."""
    return step.removeprefix(f"{participant}.")


def headline(story: Story) -> str:
    """Say in one sentence how the saga stands."""
    because = f": {story.aborted_by}" if story.aborted_by else ""
    if story.is_ended:
        return f"{story.state} after {span(story.last - story.began)}{because}"
    return f"{story.state} for {span(max(story.now - story.began, 0))}{because}"


def events(types: tuple[str, ...], joint: str = " or ") -> str:
    """Write event types for people."""
    return joint.join(short_name(name) for name in types)


def published(moment: Moment) -> str:
    """Name the event that a moment published, with its place in the log."""
    return f"{moment.message.name} {moment.message.at}".rstrip() if moment.message else ""


def because(moment: Moment) -> str:
    """Say what came of a moment's event, or what led to the moment."""
    if moment.message and moment.message.void:
        return f"void: {moment.message.void}"
    if moment.what == "retrying":
        return f"attempt {moment.attempt} failed: {moment.why}" if moment.why else "an attempt failed"
    return moment.why


def says(moment: Moment) -> str:
    """Say both in one line."""
    return "; ".join(part for part in (published(moment), because(moment)) if part)


def owes(debt: Debt, now: int) -> str:
    """Say why a debt is one, and for how long."""
    times = []
    if debt.since is not None:
        times.append(f"for {span(max(now - debt.since, 0))}")
    if debt.until is not None:
        passed = now - debt.until
        times.append(f"due for {span(passed)}" if passed > 0 else f"in {span(-passed)}")
    return ", ".join([part for part in (debt.detail, *times) if part])

"""A saga in one line, or in a few fields: where it stands, and what it waits for."""

from __future__ import annotations

from typing import Any

from choreo.canvas.stories.listing import debt_data
from choreo.canvas.stories.words import moment_of, own_name, span
from choreo.story import Story


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

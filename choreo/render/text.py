"""Writes a timeline as lines of text, in columns; a caller may colour the lines by their tone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from choreo.escape import escaped
from choreo.render.wording import (
    STATE_TONES,
    TONES,
    Tone,
    headline,
    published_and_reason,
    short_step,
    span,
    wait_reason,
)
from choreo.timeline.events import event_names
from choreo.timeline.moments import Moment
from choreo.timeline.timeline import Timeline


class Line(NamedTuple):
    """A line; ``part`` of it, which occurs in it once, has the ``tone``."""

    text: str
    part: str = ""
    tone: Tone = "calm"


def lines(timeline: Timeline) -> Iterator[Line]:
    """Yield a timeline: its moments, what it waits for, what remains, and the remarks on the sources."""
    state = headline(timeline)
    yield Line(f"{timeline.saga_type}  {timeline.saga_id}  {state}", state, STATE_TONES[timeline.state])
    yield Line("")
    yield from moments(timeline)
    if timeline.waits:
        yield Line("")
        yield Line("waits for")
        rows = [
            (
                wait.who or "?",
                short_step(wait.what, wait.who) or "…",
                wait.why,
                wait_reason(wait, timeline.now),
            )
            for wait in timeline.waits
        ]
        yield from (Line(f"  {row}") for row in columns(rows))
    if timeline.remaining:
        yield Line("")
        yield Line("remains")
        yield from (Line(f"  {row}") for row in columns(_remaining(timeline)))
    for remark in timeline.remarks:
        yield Line("")
        yield Line(f"note: {remark}")


def moments(timeline: Timeline) -> Iterator[Line]:
    """Yield the moments, a line each: time since the start and since the cause, participant, step, state."""
    cells = [_cells(timeline, each) for each in timeline.moments]
    for row, moment in zip(columns(cells, right=(0, 1)), timeline.moments, strict=True):
        move = f"{moment.old_state} → {moment.new_state}"
        yield Line(row, move, TONES[moment.what])


def summary_row(timeline: Timeline) -> tuple[str, ...]:
    """Return id, type, state, age, the last step, and what the saga waits for most of all."""
    last = timeline.moments[-1]
    step = last.step if last.participant in last.step else f"{last.participant} {last.step}"
    return (
        timeline.saga_id,
        timeline.saga_type,
        timeline.state,
        span(timeline.now - timeline.began),
        f"{step} {last.what}, {span(timeline.now - last.time)} ago",
        _first_wait(timeline),
    )


def _first_wait(timeline: Timeline) -> str:
    if not timeline.waits:
        return ""
    first = timeline.waits[0]
    what = short_step(first.what, first.who)
    since = "" if first.since is None else f" for {span(timeline.now - first.since)}"
    more = f" (+{len(timeline.waits) - 1})" if len(timeline.waits) > 1 else ""
    return f"{first.who or 'nobody here'}: {f'{what}, ' if what else ''}{first.why}{since}{more}"


_LONGEST = 300
"""The most characters of a cell; JSON has them all."""

_WITHOUT_STATE = (
    *("dead letter", "requeued", "discarded", "resolved"),
    *("observed", "passed", "extended", "revoked", "pruned"),
)
"""The moments that a change of state alone does not show."""


def _cells(timeline: Timeline, moment: Moment) -> tuple[str, ...]:
    what = moment.what if moment.what in _WITHOUT_STATE else ""
    return (
        f"+{span(moment.time - timeline.began)}",
        "" if moment.took is None else span(moment.took),
        moment.participant,
        short_step(moment.step, moment.participant),
        f"{moment.old_state} → {moment.new_state}",
        " ".join(part for part in (what, published_and_reason(moment)) if part),
    )


def _remaining(timeline: Timeline) -> Iterable[tuple[str, ...]]:
    for each in timeline.remaining:
        step, answers = short_step(each.step, each.participant), event_names(each.answers)
        after = f"after {event_names(each.needs, ' and ')}" if each.needs else "owed now"
        yield each.participant, step, each.task, answers, after


def columns(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows of cells as lines, in columns; those whose numbers are in ``right`` are flush right."""
    table = [tuple(map(_printable, row)) for row in rows]
    if not table:
        return []
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.rjust(widths[n]) if n in right else cell.ljust(widths[n]) for n, cell in enumerate(row)
        ).rstrip()
        for row in table
    ]


def _printable(text: str) -> str:
    """Return a text in one line, of which every character can be seen."""
    shown = escaped(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"

"""A story as lines of text, in columns; whoever prints it may colour them by their tone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from choreo.render.wording import STATE_TONES, TONES, Tone, events, headline, owes, own_name, says, span
from choreo.timeline import Moment, Story


class Line(NamedTuple):
    """A line; ``part`` of it, which stands in it once, has the ``tone``."""

    text: str
    part: str = ""
    tone: Tone = "calm"


def lines(story: Story) -> Iterator[Line]:
    """Write a story: what happened, what it waits for, what remains, and what to know of the sources."""
    told = headline(story)
    yield Line(f"{story.saga_type}  {story.saga_id}  {told}", told, STATE_TONES[story.state])
    yield Line("")
    yield from moments(story)
    if story.owed:
        yield Line("")
        yield Line("waits for")
        rows = [
            (debt.who or "?", own_name(debt.what, debt.who) or "…", debt.why, owes(debt, story.now))
            for debt in story.owed
        ]
        yield from (Line(f"  {row}") for row in columns(rows))
    if story.ahead:
        yield Line("")
        yield Line("remains")
        yield from (Line(f"  {row}") for row in columns(_remaining(story)))
    for remark in story.remarks:
        yield Line("")
        yield Line(f"note: {remark}")


def moments(story: Story) -> Iterator[Line]:
    """Write what happened, a line a moment: since the start, since its cause, who, what."""
    cells = [_cells(story, each) for each in story.moments]
    for row, moment in zip(columns(cells, right=(0, 1)), story.moments, strict=True):
        move = f"{moment.old_state} → {moment.new_state}"
        yield Line(row, move, TONES[moment.what])


_LONGEST = 300
"""The characters of a cell; JSON has the rest."""

_UNSAID = ("dead letter", "requeued", "discarded", "observed", "passed", "pruned")
"""What states don't tell."""


def _cells(story: Story, moment: Moment) -> tuple[str, ...]:
    return (
        f"+{span(moment.time - story.began)}",
        "" if moment.took is None else span(moment.took),
        moment.participant,
        own_name(moment.step, moment.participant),
        f"{moment.old_state} → {moment.new_state}",
        " ".join(part for part in (moment.what if moment.what in _UNSAID else "", says(moment)) if part),
    )


def _remaining(story: Story) -> Iterable[tuple[str, ...]]:
    for each in story.ahead:
        after = f"after {events(each.needs, ' and ')}" if each.needs else "owed now"
        yield each.participant, own_name(each.step, each.participant), each.task, events(each.gives), after


def columns(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lay cells out in columns; those named in ``right`` are flush right."""
    table = [tuple(map(_printable, row)) for row in rows]
    if not table:
        return []
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(_padded(cell, widths[n], n in right) for n, cell in enumerate(row)).rstrip()
        for row in table
    ]


def _printable(text: str) -> str:
    """Write a text in one line, whatever an exception or a stranger put into it: a terminal obeys some."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _padded(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)

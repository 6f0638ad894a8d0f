"""Where everything of a story's picture lies: a lane a participant, time downwards. Units are pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from choreo.render.shapes import AXIS, SMALL, TOP, Arrow, Bar, Box, Column, Layout, width_of
from choreo.render.wording import TONES, Tone, because, events, own_name, published, says, span
from choreo.timeline import Moment, Story
from choreo.timeline.remaining import Ahead

_LANE = (180, 300)
"""The narrowest and the widest lane."""
_LONG = 1_000
"""A pause from which on it is shown, in milliseconds."""


def layout(story: Story) -> Layout:
    """Lay a story out. A moment that undoes at once what it was called to undo is one box."""
    rows = _rows(story.moments)
    room = _lane_width(story, rows)
    lanes = {name: AXIS + room * (number + 0.5) for number, name in enumerate(_lanes(story))}
    column = Column(float(TOP + 34), room, lanes)
    boxes, before = {}, story.began
    for number, moment in rows:
        if moment.time - before >= _LONG:
            column.pause(f"{span(moment.time - before)} later")
        column.tick(f"+{span(moment.time - story.began)}")
        boxes[number] = column.put(_box(number, moment))
        before = max(before, moment.time)
    ghosts = tuple(_ghosts(story, column))
    return Layout(
        AXIS + room * len(lanes) + 8,
        column.y + 12,
        tuple(lanes.items()),
        tuple(boxes.values()),
        ghosts,
        tuple(_arrows(story, rows, boxes)),
        tuple(_bars(story, rows, boxes, column.y)),
        tuple(column.ticks),
    )


def _lanes(story: Story) -> Iterable[str]:
    return dict.fromkeys([*story.participants, *(each.participant for each in story.ahead)])


def _rows(moments: Sequence[Moment]) -> list[tuple[int, Moment]]:
    """Number the moments; where one step is called back and is compensated next, only the latter is drawn."""
    rows: list[tuple[int, Moment]] = []
    for number, moment in enumerate(moments, 1):
        if rows and moment.what == "compensated" and _is_its_call(rows[-1][1], moment):
            rows.pop()
        rows.append((number, moment))
    return rows


def _is_its_call(before: Moment, moment: Moment) -> bool:
    same = (before.participant, before.step) == (moment.participant, moment.step)
    return same and before.what == "compensating" and not before.why and moment.time - before.time < _LONG


def _lane_width(story: Story, rows: Iterable[tuple[int, Moment]]) -> float:
    boxes = [*(_box(number, moment) for number, moment in rows), *(_ghost(each) for each in story.ahead)]
    longest = max(width_of(box.label, box.what) for box in boxes)
    below = max(max(len(box.event), len(box.why)) * SMALL for box in boxes)
    return min(max(longest + 22, below + 12, _LANE[0]), _LANE[1])


def _box(number: int, moment: Moment) -> Box:
    what = "" if moment.what in ("started", "completed") else moment.what
    return Box(
        number,
        moment.participant,
        own_name(moment.step, moment.participant),
        what,
        moment.what,
        TONES[moment.what],
        published(moment),
        because(moment),
        bool(moment.message and moment.message.void),
        f"{moment.step} {moment.what}\n{says(moment)}".strip(),
    )


def _ghost(ahead: Ahead) -> Box:
    what = "to undo" if ahead.task == "compensation" else "to do"
    event = f"{'owes' if not ahead.needs else 'then'} {events(ahead.gives)}"
    why = f"after {events(ahead.needs, ' and ')}" if ahead.needs else ""
    tone: Tone = "calm" if ahead.needs else "busy"
    label = own_name(ahead.step, ahead.participant)
    return Box(0, ahead.participant, label, what, what, tone, event, why, title=f"{event} {why}".strip())


def _ghosts(story: Story, column: Column) -> Iterator[Box]:
    """Place what remains: what is owed now, then what may follow."""
    if not story.is_ended:
        column.pause(f"now, {span(max(story.now - story.last, 0))} later")
    for each in story.ahead:
        yield column.put(_ghost(each))


def _arrows(story: Story, rows: Sequence[tuple[int, Moment]], boxes: dict[int, Box]) -> Iterator[Arrow]:
    sources = {moment.message.id: number for number, moment in rows if moment.message}
    drawn: set[tuple[str, str, str]] = set()
    for number, moment in rows:
        key = (moment.participant, moment.step, moment.cause)
        source = sources.get(moment.cause)
        if source is None or source == number or key in drawn:
            continue
        drawn.add(key)
        message = story.message(moment.cause)
        back = moment.what in ("compensating", "compensated")
        void = bool(message and message.void)
        yield Arrow(boxes[source], boxes[number], "back" if back else boxes[source].tone, void)


def _bars(
    story: Story, rows: Sequence[tuple[int, Moment]], boxes: dict[int, Box], bottom: float
) -> Iterator[Bar]:
    """Give the times in which steps were under way: from each moment that leaves one so to its next."""
    for index, (number, moment) in enumerate(rows):
        if moment.what not in ("executing", "retrying", "compensating"):
            continue
        box = boxes[number]
        follows = (
            boxes[later]
            for later, other in rows[index + 1 :]
            if (other.participant, other.step) == (moment.participant, moment.step)
        )
        next_box = next(follows, None)
        tone: Tone = "back" if moment.what == "compensating" else "busy"
        if next_box:
            yield Bar(box.x, box.y, next_box.y, tone)
        elif not story.is_ended:
            yield Bar(box.x, box.y, bottom, tone, is_open=True)

"""``Layout``: places a timeline's boxes in a lane for each participant, time downwards; units are pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from unicodedata import east_asian_width

from choreo.escape import escaped
from choreo.render.wording import TONES, Tone, published, published_and_reason, reason, short_step, span
from choreo.timeline.events import event_names
from choreo.timeline.moments import Moment
from choreo.timeline.remaining import RemainingStep
from choreo.timeline.timeline import Timeline

TOP = 56
"""Where the lanes begin, below their names."""
AXIS = 96
"""The width of the time axis, left of the lanes."""
BOX = 30
"""The height of a box; below it stand the event that it published, and why."""
LINE = 15
"""The height of each of these lines."""


class Box(NamedTuple):
    """A moment, or a step that remains (``number`` is then 0); ``x`` and ``y`` are its middle."""

    number: int
    lane: str
    label: str
    what: str
    icon: str
    tone: Tone
    event: str
    why: str = ""
    void: bool = False
    title: str = ""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def height(self) -> float:
        """The height of the box and of the lines below it."""
        return BOX + LINE * bool(self.event) + LINE * bool(self.why)


class Arrow(NamedTuple):
    """An event that took effect: from the box that published it to the one that it caused."""

    source: Box
    target: Box
    tone: Tone
    void: bool


class Bar(NamedTuple):
    """The time in which a step was under way; ``is_open`` where it still is."""

    x: float
    top: float
    bottom: float
    tone: Tone
    is_open: bool = False


class Tick(NamedTuple):
    """A time on the axis, or a ``pause``, in which nothing happened."""

    y: float
    text: str
    pause: bool = False


@dataclass(frozen=True)
class Layout:
    """All parts of a picture with their positions; ``ghosts`` are the boxes of the steps that remain."""

    width: float
    height: float
    lanes: tuple[tuple[str, float], ...]
    boxes: tuple[Box, ...]
    ghosts: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


_PAUSE = 32
"""The height of a line for a pause."""
_SMALL = 6.4
"""The width of a character below a box; generous, as fonts differ."""
_BOLD, _PLAIN = 8.2, 7.6
"""The widths of a character of a label, and of what follows it."""
_GAP, _MARGIN = 16, 44
_LANE = (180, 300)
"""The narrowest and the widest lane."""
_LONG = 1_000
"""The milliseconds from which on a pause is shown."""


class _Column:
    """Places boxes and ticks one below the other."""

    def __init__(self, y: float, room: float, lanes: Mapping[str, float]) -> None:
        self.y = y
        self.ticks: list[Tick] = []
        self._room = room
        self._lanes = lanes

    def pause(self, text: str) -> None:
        """Add a line for a pause."""
        self.ticks.append(Tick(self.y - 8, text, pause=True))
        self.y += _PAUSE

    def tick(self, text: str) -> None:
        """Add a time to the axis."""
        self.ticks.append(Tick(self.y, text))

    def put(self, box: Box) -> Box:
        """Return a box with its position, its texts cut to fit into the lane."""
        fits = self._room - 10 - _MARGIN - (len(box.what) + 1) * _PLAIN
        label = cut(box.label, fits / _BOLD)
        below = (self._room - 6) / _SMALL
        placed = box._replace(
            x=self._lanes[box.lane],
            y=self.y,
            width=min(_width_of(label, box.what), self._room - 10),
            label=label,
            event=cut(box.event, below),
            why=cut(box.why, below),
        )
        self.y += placed.height + _GAP
        return placed


def _width_of(label: str, what: str) -> float:
    """Return the width of a box around a label and what follows it."""
    return _columns(label) * _BOLD + (len(what) + 1) * _PLAIN * bool(what) + _MARGIN


def cut(text: str, fits: float) -> str:
    """Return a text cut to the width of so many characters; the tooltip and the table have the whole text.

    >>> cut("reserve_inventory", 9), cut("预订座位", 5)
    ('reserve_…', '预订…')
    """
    text = escaped(text)
    longest = max(int(fits), 4)
    if _columns(text) <= longest:
        return text
    end = len(text)
    while _columns(text[:end]) >= longest:
        end -= 1
    return f"{text[:end]}…"


def _columns(text: str) -> float:
    """Return the width of a text in characters: capitals are wider, those of East Asia twice as wide."""
    return sum(2.0 if east_asian_width(each) in "WF" else 1.3 if each.isupper() else 1.0 for each in text)


def layout(timeline: Timeline) -> Layout:
    """Return the layout of a timeline.

    If a compensation was called and done at once, both moments are one box.
    """
    rows = _rows(timeline.moments)
    room = _lane_width(timeline, rows)
    lanes = {name: AXIS + room * (number + 0.5) for number, name in enumerate(_lanes(timeline))}
    column = _Column(float(TOP + 34), room, lanes)
    boxes, before = {}, timeline.began
    for number, moment in rows:
        if moment.time - before >= _LONG:
            column.pause(f"{span(moment.time - before)} later")
        column.tick(f"+{span(moment.time - timeline.began)}")
        boxes[number] = column.put(_box(number, moment))
        before = max(before, moment.time)
    ghosts = tuple(_ghosts(timeline, column))
    return Layout(
        AXIS + room * len(lanes) + 8,
        column.y + 12,
        tuple(lanes.items()),
        tuple(boxes.values()),
        ghosts,
        tuple(_arrows(timeline, rows, boxes)),
        tuple(_bars(timeline, rows, boxes, column.y)),
        tuple(column.ticks),
    )


def _lanes(timeline: Timeline) -> Iterable[str]:
    return dict.fromkeys([*timeline.participants, *(each.participant for each in timeline.remaining)])


def _rows(moments: Sequence[Moment]) -> list[tuple[int, Moment]]:
    """Return the moments with their numbers, without the calls of compensations that were done at once."""
    rows: list[tuple[int, Moment]] = []
    for number, moment in enumerate(moments, 1):
        if rows and moment.what == "compensated" and _is_its_call(rows[-1][1], moment):
            rows.pop()
        rows.append((number, moment))
    return rows


def _is_its_call(before: Moment, moment: Moment) -> bool:
    same = (before.participant, before.step) == (moment.participant, moment.step)
    return same and before.what == "compensating" and not before.why and moment.time - before.time < _LONG


def _lane_width(timeline: Timeline, rows: Iterable[tuple[int, Moment]]) -> float:
    boxes = [
        *(_box(number, moment) for number, moment in rows),
        *(_ghost(each) for each in timeline.remaining),
    ]
    longest = max(_width_of(box.label, box.what) for box in boxes)
    below = max(max(_columns(box.event), _columns(box.why)) * _SMALL for box in boxes)
    return min(max(longest + 22, below + 12, _LANE[0]), _LANE[1])


def _box(number: int, moment: Moment) -> Box:
    what = "" if moment.what in ("started", "completed") else moment.what
    return Box(
        number,
        moment.participant,
        short_step(moment.step, moment.participant),
        what,
        moment.what,
        TONES[moment.what],
        published(moment),
        reason(moment),
        bool(moment.event and moment.event.void),
        f"{moment.step} {moment.what}\n{published_and_reason(moment)}".strip(),
    )


def _ghost(step: RemainingStep) -> Box:
    what = "to undo" if step.task == "compensation" else "to do"
    event = f"{'owes' if not step.needs else 'then'} {event_names(step.answers)}"
    why = f"after {event_names(step.needs, ' and ')}" if step.needs else ""
    tone: Tone = "calm" if step.needs else "busy"
    label = short_step(step.step, step.participant)
    return Box(0, step.participant, label, what, what, tone, event, why, title=f"{event} {why}".strip())


def _ghosts(timeline: Timeline, column: _Column) -> Iterator[Box]:
    """Yield the boxes of the steps that remain, those that are due first."""
    if not timeline.is_ended:
        column.pause(f"now, {span(max(timeline.now - timeline.last, 0))} later")
    for each in timeline.remaining:
        yield column.put(_ghost(each))


def _arrows(timeline: Timeline, rows: Sequence[tuple[int, Moment]], boxes: dict[int, Box]) -> Iterator[Arrow]:
    sources = {moment.event.id: number for number, moment in rows if moment.event}
    drawn: set[tuple[str, str, str]] = set()
    for number, moment in rows:
        key = (moment.participant, moment.step, moment.cause)
        source = sources.get(moment.cause)
        if source is None or source == number or key in drawn:
            continue
        drawn.add(key)
        message = timeline.event(moment.cause)
        back = moment.what in ("compensating", "compensated")
        void = bool(message and message.void)
        yield Arrow(boxes[source], boxes[number], "back" if back else boxes[source].tone, void)


def _bars(
    timeline: Timeline, rows: Sequence[tuple[int, Moment]], boxes: dict[int, Box], bottom: float
) -> Iterator[Bar]:
    """Yield a bar from each moment that leaves a step under way to the step's next moment."""
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
        elif not timeline.is_ended:
            yield Bar(box.x, box.y, bottom, tone, is_open=True)

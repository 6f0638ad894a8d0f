"""What a story's picture is made of: boxes, arrows, bars, ticks, each where it lies. Units are pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from choreo.render.wording import Tone

TOP = 56
"""Where the lanes begin, below their names."""
AXIS = 96
"""The width of the time axis, left of the lanes."""
BOX = 30
"""The height of a box; what it published is written below it, and why below that."""
LINE = 15


class Box(NamedTuple):
    """A moment, or what has yet to happen (``number`` is then 0), at the middle of its lane."""

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
        """Of the box and the lines below it."""
        return BOX + LINE * bool(self.event) + LINE * bool(self.why)


class Arrow(NamedTuple):
    """An event that took effect: from the box that published it to the one that it caused."""

    source: Box
    target: Box
    tone: Tone
    void: bool


class Bar(NamedTuple):
    """A step under way, from one moment to another; ``is_open`` where it still is."""

    x: float
    top: float
    bottom: float
    tone: Tone
    is_open: bool = False


class Tick(NamedTuple):
    """A time on the axis; a ``pause`` is time in which nothing happened."""

    y: float
    text: str
    pause: bool = False


@dataclass(frozen=True)
class Layout:
    """A picture, ready to be drawn."""

    width: float
    height: float
    lanes: tuple[tuple[str, float], ...]
    boxes: tuple[Box, ...]
    ghosts: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


PAUSE = 32
"""The height of a line that tells of a pause."""
SMALL = 6.9
"""The width of a character below a box, in pixels; generous, as fonts differ."""
_BOLD, _PLAIN = 8.2, 7.6
"""Of a character of a label, and of what follows it."""
_GAP, _MARGIN = 16, 44


class Column:
    """Puts one thing below the other."""

    def __init__(self, y: float, room: float, lanes: Mapping[str, float]) -> None:
        self.y = y
        self.ticks: list[Tick] = []
        self._room = room
        self._lanes = lanes

    def pause(self, text: str) -> None:
        """Let time pass."""
        self.ticks.append(Tick(self.y - 8, text, pause=True))
        self.y += PAUSE

    def tick(self, text: str) -> None:
        """Say what time it is."""
        self.ticks.append(Tick(self.y, text))

    def put(self, box: Box) -> Box:
        """Place a box in its lane, its texts cut to what fits; give it as it lies there."""
        fits = self._room - 10 - _MARGIN - (len(box.what) + 1) * _PLAIN
        label = cut(box.label, fits / _BOLD)
        below = (self._room - 6) / SMALL
        placed = box._replace(
            x=self._lanes[box.lane],
            y=self.y,
            width=min(width_of(label, box.what), self._room - 10),
            label=label,
            event=cut(box.event, below),
            why=cut(box.why, below),
        )
        self.y += placed.height + _GAP
        return placed


def width_of(label: str, what: str) -> float:
    """Give the width of a box around a label and what follows it."""
    return len(label) * _BOLD + (len(what) + 1) * _PLAIN * bool(what) + _MARGIN


def cut(text: str, fits: float) -> str:
    """Cut a text to what fits; it is whole in the tooltip and in the table."""
    longest = max(int(fits), 4)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"

"""What a story's picture is made of: boxes, arrows, bars, ticks, each where it lies. Units are pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from choreo.canvas.stories.words import Tone

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

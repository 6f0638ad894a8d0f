"""Placing boxes one below the other, each in its lane, their texts cut to what fits."""

from __future__ import annotations

from collections.abc import Mapping

from choreo.canvas.stories.shapes import Box, Tick

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

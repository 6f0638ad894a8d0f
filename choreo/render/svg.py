"""Draws a timeline as SVG: lanes, boxes, and the events that lead from one box to another."""

from __future__ import annotations

from collections.abc import Iterator

from choreo.escape import markup
from choreo.render.layout import AXIS, BOX, LINE, TOP, Arrow, Bar, Box, Layout, Tick, cut

ICONS = {
    "started": "M5 3.2v9.6L12.6 8z",
    "completed": "M3 8.6l3.2 3.2L13 4.6",
    "failed": "M4 4l8 8M12 4l-8 8",
    "refused": "M8 2.5a5.5 5.5 0 1 0 .01 0M4.2 11.8l7.6-7.6",
    "timed out": "M8 2.5a5.5 5.5 0 1 0 .01 0M8 5v3.2l2.2 1.6",
    "back": "M6.5 3L3 6.2l3.5 3.2M3.4 6.2h6a3.4 3.4 0 0 1 0 6.8H6",
    "executing": "M4 8h.01M8 8h.01M12 8h.01",
    "retrying": "M12.6 6.2A5 5 0 1 0 13 9M13 3v3.4H9.6",
    "dead letter": "M2.5 4h11v8h-11zM2.5 4.4L8 9l5.5-4.6",
    "observed": "M1.8 8S4 4 8 4s6.2 4 6.2 4S12 12 8 12 1.8 8 1.8 8M8 6.6a1.4 1.4 0 1 0 .01 0",
    "cancelled": "M4.5 4.5h7v7h-7z",
    "imported": "M2.5 8h8M7.5 4.8L10.8 8l-3.3 3.2M13.2 3.5v9",
}
"""Outlines in a square of 16; `_SHARED` names the one for what has none of its own."""

_SHARED = {
    "compensating": "back",
    "compensated": "back",
    "to undo": "back",
    "discarded": "back",
    "to do": "executing",
    "requeued": "retrying",
    "resolved": "completed",
    "passed": "timed out",
    "extended": "executing",
    "revoked": "back",
    "pruned": "executing",
}


_NAME = 9.2
"""The width of a character of a participant's name; generous, as fonts differ."""


def picture(layout: Layout, title: str) -> str:
    """Return a layout as SVG; the boxes link to the lines of the table that have their numbers."""
    width, height = _round(layout.width), _round(layout.height)
    return "\n".join(
        [
            f'<svg class="timeline" viewBox="0 0 {width} {height}" width="{width}" '
            f'role="img" aria-label="{markup(title)}" xmlns="http://www.w3.org/2000/svg">',
            _definitions(),
            *_lanes(layout),
            *(_tick(each, layout.width) for each in layout.ticks),
            *(_bar(each) for each in layout.bars),
            *(_arrow(each) for each in layout.arrows),
            *(_box(each) for each in layout.boxes),
            *(_box(each) for each in layout.ghosts),
            "</svg>",
        ]
    )


def icon(what: str) -> str:
    """Return the name of the outline for a moment."""
    return _SHARED.get(what, what)


def _definitions() -> str:
    heads = "".join(
        f'<marker id="to-{tone}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path class="head {tone}" d="M0 0.6L7.4 4L0 7.4z"/></marker>'
        for tone in ("calm", "busy", "good", "bad", "back")
    )
    icons = "".join(
        f'<symbol id="i-{name.replace(" ", "-")}" viewBox="0 0 16 16"><path d="{path}"/></symbol>'
        for name, path in ICONS.items()
    )
    return f"<defs>{heads}{icons}</defs>"


def _lanes(layout: Layout) -> Iterator[str]:
    bottom = _round(layout.height - 10)
    for name, x in layout.lanes:
        yield f'<line class="lane" x1="{_round(x)}" y1="{TOP}" x2="{_round(x)}" y2="{bottom}"/>'
        width = min(len(name) * _NAME + 24, _room(layout) - 8)
        left, shown = _round(x - width / 2), markup(cut(name, (width - 16) / _NAME))
        yield f'<g><title>{markup(name)}</title><rect class="name" x="{left}" y="14" '
        yield f'width="{_round(width)}" height="30" rx="8"/>'
        yield f'<text class="name" x="{_round(x)}" y="34">{shown}</text></g>'


def _tick(tick: Tick, width: float) -> str:
    y = _round(tick.y)
    if not tick.pause:
        return f'<text class="tick" x="{AXIS - 14}" y="{_round(tick.y + 4)}">{markup(tick.text)}</text>'
    middle, below = _round((AXIS + width) / 2), _round(tick.y + 4)
    return (
        f'<line class="pause" x1="{AXIS - 40}" y1="{y}" x2="{_round(width)}" y2="{y}"/>'
        f'<text class="pause" x="{middle}" y="{below}">{markup(tick.text)}</text>'
    )


def _bar(bar: Bar) -> str:
    kind = " open" if bar.is_open else ""
    return (
        f'<rect class="bar {bar.tone}{kind}" x="{_round(bar.x - 4)}" y="{_round(bar.top)}" width="8" '
        f'height="{_round(bar.bottom - bar.top)}" rx="4"/>'
    )


def _arrow(arrow: Arrow) -> str:
    source, target = arrow.source, arrow.target
    void, late = " void" * arrow.void, " late" * (target.what == "timed out")
    kind = f"arrow {arrow.tone}{void}{late} m{source.number} m{target.number}"
    return f'<path class="{kind}" d="{_curve(source, target)}" marker-end="url(#to-{arrow.tone})"/>'


def _curve(source: Box, target: Box) -> str:
    """Return the path between two boxes, from and to the sides that face each other."""
    side = (target.x > source.x) - (target.x < source.x)
    if not side:
        x = source.x + max(source.width, target.width) / 2
        bend = x + 34
        return (
            f"M{_round(source.x + source.width / 2)} {_round(source.y)}"
            f"C{_round(bend)} {_round(source.y)} {_round(bend)} {_round(target.y)} "
            f"{_round(target.x + target.width / 2 + 2)} {_round(target.y)}"
        )
    start, end = source.x + side * source.width / 2, target.x - side * (target.width / 2 + 2)
    reach = max(abs(end - start) * 0.5, 26)
    return (
        f"M{_round(start)} {_round(source.y)}C{_round(start + side * reach)} {_round(source.y)} "
        f"{_round(end - side * reach)} {_round(target.y)} {_round(end)} {_round(target.y)}"
    )


def _box(box: Box) -> str:
    left, right_of_icon = box.x - box.width / 2, box.x - box.width / 2 + 31
    what = f' <tspan class="what">{markup(box.what)}</tspan>' if box.what else ""
    drawn = [
        f'<rect class="box" x="{_round(left)}" y="{_round(box.y - BOX / 2)}" width="{_round(box.width)}" '
        f'height="{BOX}" rx="9"/>',
        f'<use class="icon" href="#i-{icon(box.icon).replace(" ", "-")}" x="{_round(left + 9)}" '
        f'y="{_round(box.y - 8)}" width="16" height="16"/>',
        f'<text class="label" x="{_round(right_of_icon)}" y="{_round(box.y + 4.5)}">'
        f"{markup(box.label)}{what}</text>",
    ]
    y = box.y + BOX / 2 + LINE - 1
    for text, kind in ((box.event, "event void" if box.void else "event"), (box.why, "why")):
        if text:
            drawn.append(f'<text class="{kind}" x="{_round(box.x)}" y="{_round(y)}">{markup(text)}</text>')
            y += LINE
    ghost = "" if box.number else " ghost"
    inside = f'<g class="moment {box.tone}{ghost}"><title>{markup(box.title)}</title>{"".join(drawn)}</g>'
    return f'<a href="#m{box.number}">{inside}</a>' if box.number else inside


def _room(layout: Layout) -> float:
    """Return the width of a lane."""
    return (layout.width - AXIS - 8) / len(layout.lanes)


def _round(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")

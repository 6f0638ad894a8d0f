"""Draws a saga's graph as SVG: its steps from above to below, and the events that lead from one to another.

Steps stand in rows, each below all those whose events call it. An event that passes rows gets a place in each
of them, so that no line crosses a box. What calls a compensation leads back, beside what led on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from choreo.escape import markup
from choreo.events import short_name
from choreo.graph import SagaGraph
from choreo.render.graph import Edge, edges, ends
from choreo.render.layout import cut
from choreo.render.wording import Tone, short_step


class Mark(NamedTuple):
    """What is said of a step: a word, its tone, and whether the step has only to come."""

    word: str
    tone: Tone = "calm"
    ghost: bool = False


class _Node(NamedTuple):
    """A box, or the place where an edge passes a row (``width`` is then `_PASS`)."""

    key: str
    label: str
    below: str
    mark: Mark
    width: float
    title: str = ""


class _Way(NamedTuple):
    """All events that lead from one box to another; ``undoes``: only where the saga rolls back."""

    source: str
    target: str
    events: tuple[str, ...]
    back: bool
    went: bool
    sagas: int
    undoes: bool


_WIDTH, _HEIGHT = 200.0, 48.0
_PASS = 28.0
_GAP, _ROW = 34.0, 112.0
_MARGIN = 20.0
_CHARACTER = 6.6
"""The width of a character of a label on an edge; generous, as fonts differ."""
_BESIDE = 70.0
"""How far beside what leads on stands what leads back."""
_SWEEPS = 6
_WIDE = 560.0
"""The width from which on a picture is not shrunk into a narrow page."""


def flow(
    graph: SagaGraph,
    *,
    marks: Mapping[str, Mark] | None = None,
    seen: frozenset[str] | None = None,
    counts: Mapping[Edge, int] | None = None,
) -> str:
    """Return the picture of a graph.

    ``marks`` are of steps, by their names. ``seen`` are the types of the events that came, where the picture
    is of one saga; ``counts`` how many sagas wait at an edge.
    """
    nodes = _nodes(graph, marks or {})
    ways = _ways(graph, nodes, seen, counts or {})
    forward = [way for way in ways if not way.back]
    ranks = _ranks(nodes, forward)
    rows, paths = _rows(nodes, forward, ranks)
    places = _places(rows, paths)
    at = {
        node.key: (places[node.key] + _MARGIN, _MARGIN + _HEIGHT / 2 + number * _ROW)
        for number, row in enumerate(rows)
        for node in row
    }
    return _drawn(graph, nodes, ways, paths, at)


def _nodes(graph: SagaGraph, marks: Mapping[str, Mark]) -> dict[str, _Node]:
    found = {}
    for step in graph.steps.values():
        mark = marks.get(step.name) or Mark("" if step.kind == step.name else step.kind)
        below = " · ".join(part for part in (step.participant, mark.word) if part)
        label = short_step(step.name, step.participant)
        late = [each.name.partition(".")[2] for each in graph.deadlines if each.step == step.name]
        title = f"{step.name}, {step.kind}" + (f"; deadline {', '.join(late)}" if late else "")
        found[step.name] = _Node(step.name, label, below, mark, _WIDTH, title)
    for _, event in ends(graph):
        is_good = event == graph.contract.completes
        mark = Mark(
            "the saga is completed" if is_good else "the saga has failed", "good" if is_good else "bad", True
        )
        name = short_name(event)
        found[f"end {event}"] = _Node(f"end {event}", name, mark.word, mark, _WIDTH, name)
    return found


def _ways(
    graph: SagaGraph,
    nodes: Mapping[str, _Node],
    seen: frozenset[str] | None,
    counts: Mapping[Edge, int],
) -> list[_Way]:
    events: dict[tuple[str, str, bool], list[str]] = {}
    waiting: dict[tuple[str, str, bool], int] = {}
    for edge in edges(graph):
        if edge.source in nodes and edge.source != edge.target:
            key = (edge.source, edge.target, edge.back)
            events.setdefault(key, []).append(edge.event)
            waiting[key] = max(waiting.get(key, 0), counts.get(edge, 0))
    for step, event in ends(graph):
        events[step, f"end {event}", False] = [event]
    failed = f"end {graph.contract.fails}"
    return [
        _Way(
            source,
            target,
            tuple(names),
            back,
            seen is None or bool(seen.intersection(names)),
            waiting.get((source, target, back), 0),
            back or target == failed,
        )
        for (source, target, back), names in events.items()
    ]


def _ranks(nodes: Iterable[str], ways: Sequence[_Way]) -> dict[str, int]:
    """Return the row of each box: below all that lead to it; what goes round in circles stays where it is."""
    ranks = dict.fromkeys(nodes, 0)
    for _ in ranks:
        moved = False
        for way in ways:
            if ranks[way.target] <= ranks[way.source] < len(ranks):
                ranks[way.target] = ranks[way.source] + 1
                moved = True
        if not moved:
            break
    return ranks


def _rows(
    nodes: Mapping[str, _Node], ways: Sequence[_Way], ranks: Mapping[str, int]
) -> tuple[list[list[_Node]], dict[tuple[str, str], list[str]]]:
    """Return the rows, with a place for each edge that passes one, and the places that each edge passes."""
    used = sorted(set(ranks.values()))
    number = {rank: at for at, rank in enumerate(used)}
    rows: list[list[_Node]] = [[] for _ in used]
    for key, node in nodes.items():
        rows[number[ranks[key]]].append(node)
    paths = {}
    for way in ways:
        first, last = number[ranks[way.source]], number[ranks[way.target]]
        passed = [f"{way.source} > {way.target} > {row}" for row in range(first + 1, last)]
        for key, row in zip(passed, range(first + 1, last), strict=True):
            rows[row].append(_Node(key, "", "", Mark(""), _PASS))
        paths[way.source, way.target] = [way.source, *passed, way.target]
    return rows, paths


def _places(rows: list[list[_Node]], paths: Mapping[tuple[str, str], Sequence[str]]) -> dict[str, float]:
    """Return the middle of each place across, near to those above and below that it is joined with."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for path in paths.values():
        for one, next_one in pairwise(path):
            above.setdefault(next_one, []).append(one)
            if not next_one.startswith("end "):  # a chain stays straight, whatever ends beside it
                below.setdefault(one, []).append(next_one)
    x: dict[str, float] = {}
    for row in rows:
        x |= _spread(row, dict.fromkeys((node.key for node in row), 0.0))
    for sweep in range(_SWEEPS):
        beside = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = {
                node.key: _mean([x[key] for key in beside.get(node.key, ())], x[node.key]) for node in row
            }
            row.sort(key=lambda node: wanted[node.key])
            x |= _spread(row, wanted)
    left = min(x[node.key] - node.width / 2 for row in rows for node in row)
    return {key: at - left for key, at in x.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(row: Sequence[_Node], wanted: Mapping[str, float]) -> dict[str, float]:
    """Return the middles of a row's places, in order and apart, as near as can be to those wanted."""
    at: dict[str, float] = {}
    edge = float("-inf")
    for node in row:
        at[node.key] = max(wanted[node.key], edge + node.width / 2)
        edge = at[node.key] + node.width / 2 + _GAP
    off = _mean([wanted[key] - found for key, found in at.items()], 0.0)
    return {key: found + off for key, found in at.items()}


def _drawn(
    graph: SagaGraph,
    nodes: Mapping[str, _Node],
    ways: Sequence[_Way],
    paths: Mapping[tuple[str, str], Sequence[str]],
    at: Mapping[str, tuple[float, float]],
) -> str:
    width = max(at[key][0] + node.width / 2 for key, node in nodes.items()) + _MARGIN
    height = max(y for _, y in at.values()) + _HEIGHT / 2 + _MARGIN
    title = markup(f"The graph of {graph.title}")
    return "\n".join(
        [
            f'<svg class="flow{" wide" * (width > _WIDE)}" viewBox="0 0 {_round(width)} {_round(height)}" '
            f'width="{_round(width)}" height="{_round(height)}" role="img" aria-label="{title}" '
            'xmlns="http://www.w3.org/2000/svg">',
            _heads(),
            *(_line(way, _points(way, paths, at)) for way in ways),
            *(_box(node, *at[node.key]) for node in nodes.values()),
            *(text for way in ways if not way.back for text in _labels(way, at, ways)),
            *(_back_count(way, _points(way, paths, at)) for way in ways if way.back and way.sagas),
            "</svg>",
        ]
    )


def _heads() -> str:
    return "<defs>{}</defs>".format(
        "".join(
            f'<marker id="flow-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path class="head {kind}" d="M0 0.6L7.4 4L0 7.4z"/></marker>'
            for kind in ("calm", "back")
        )
    )


def _points(
    way: _Way, paths: Mapping[tuple[str, str], Sequence[str]], at: Mapping[str, tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the places that an edge leads through; what leads back does so beside what led on."""
    if not way.back:
        return [at[key] for key in paths[way.source, way.target]]
    passed = paths.get((way.target, way.source), (way.target, way.source))
    return [(at[key][0] - _BESIDE, at[key][1]) for key in reversed(passed)]


def _line(way: _Way, points: Sequence[tuple[float, float]]) -> str:
    down = 1 if points[-1][1] > points[0][1] else -1
    half = down * _HEIGHT / 2
    (x, y), *others = points
    y += half
    drawn = f"M{_at(x, y)}"
    for number, (next_x, next_y) in enumerate(others, 1):
        end = next_y - half - 2 * down if number == len(others) else next_y
        bend = (end - y) * 0.5
        drawn += f"C{_at(x, y + bend)} {_at(next_x, end - bend)} {_at(next_x, end)}"
        x, y = next_x, end
    kind = "back" if way.undoes else "calm"
    head = f'marker-end="url(#flow-{kind})"'
    return f'<path class="arrow {kind}{_faint(way)}" d="{drawn}" {head}><title>{_told(way)}</title></path>'


def _faint(way: _Way) -> str:
    return "" if way.went else " faint"


def _told(way: _Way) -> str:
    what = " or ".join(map(short_name, way.events))
    calls = "undoes" if way.back else "calls"
    return markup(f"{what} {calls} {way.target}" + (f"; {way.sagas} sagas wait here" if way.sagas else ""))


def _labels(way: _Way, at: Mapping[str, tuple[float, float]], ways: Sequence[_Way]) -> Iterator[str]:
    if way.target.startswith("end "):
        return
    joins = sum(each.target == way.target and not each.back for each in ways) > 1
    (x, y), (target_x, target_y) = at[way.source], at[way.target]
    if joins:
        text_x, text_y = x + (target_x - x) * 0.12, y + _HEIGHT / 2 + 21
    else:
        text_x, text_y = target_x, target_y - _HEIGHT / 2 - 20
    text = cut(" or ".join(map(short_name, way.events)), _WIDTH / _CHARACTER)
    place = f'x="{_round(text_x)}" y="{_round(text_y + 4)}"'
    yield f'<text class="on-edge{_faint(way)}" {place}>{markup(text)}</text>'
    if way.sagas:
        yield _pill(way.sagas, text_x, text_y + (18 if joins else -17))


def _back_count(way: _Way, points: Sequence[tuple[float, float]]) -> str:
    (x, y), (next_x, next_y) = points[:2]
    return _pill(way.sagas, (x + next_x) / 2, (y + next_y) / 2)


def _pill(count: int, x: float, y: float) -> str:
    text = f"{count:,}"
    width = len(text) * 7.4 + 14
    place = f'x="{_round(x - width / 2)}" y="{_round(y - 9)}" width="{_round(width)}" height="18"'
    shown = f'<text x="{_round(x)}" y="{_round(y + 4)}">{text}</text>'
    return f'<g class="count"><rect {place} rx="9"/>{shown}</g>'


def _box(node: _Node, x: float, y: float) -> str:
    ghost = " ghost" if node.mark.ghost else ""
    radius = _HEIGHT / 2 if node.key.startswith("end ") else 9
    place = f'x="{_round(x - node.width / 2)}" y="{_round(y - _HEIGHT / 2)}" width="{_round(node.width)}"'
    label, below = cut(node.label, node.width / 8.2), cut(node.below, node.width / _CHARACTER)
    return (
        f'<g class="step {node.mark.tone}{ghost}"><title>{markup(f"{node.title}: {node.below}")}</title>'
        f'<rect class="box" {place} height="{_HEIGHT:g}" rx="{radius:g}"/>'
        f'<text class="label" x="{_round(x)}" y="{_round(y - 3)}">{markup(label)}</text>'
        f'<text class="below" x="{_round(x)}" y="{_round(y + 14)}">{markup(below)}</text></g>'
    )


def _at(x: float, y: float) -> str:
    return f"{_round(x)} {_round(y)}"


def _round(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")

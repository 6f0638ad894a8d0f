"""Draws Mermaid diagrams for Markdown: a timeline as a sequence diagram, a saga's graph as a flowchart."""

from __future__ import annotations

import re
from collections.abc import Iterator

from choreo.escape import escaped
from choreo.events import short_name
from choreo.graph import SagaGraph
from choreo.render.graph import edges, ends, limit
from choreo.render.wording import headline, published_and_reason, short_step
from choreo.timeline.events import Event
from choreo.timeline.moments import Moment
from choreo.timeline.timeline import Timeline


def sequence_diagram(timeline: Timeline) -> str:
    """Return the diagram; an arrow is an event that took effect, dashed where it is not a success."""
    lanes = {name: f"p{number}" for number, name in enumerate(timeline.participants)}
    lines = ["sequenceDiagram", *(f"  participant {lane} as {_text(name)}" for name, lane in lanes.items())]
    drawn: set[tuple[str, str, str]] = set()
    for moment in timeline.moments:
        lines += (f"  {line}" for line in _moment(timeline, moment, lanes, drawn))
    first, last = lanes[timeline.participants[0]], lanes[timeline.participants[-1]]
    over = first if first == last else f"{first},{last}"
    lines.append(f"  Note over {over}: {_text(headline(timeline))}")
    return "\n".join(lines)


def _moment(
    timeline: Timeline, moment: Moment, lanes: dict[str, str], drawn: set[tuple[str, str, str]]
) -> Iterator[str]:
    lane = lanes[moment.participant]
    cause = timeline.event(moment.cause)
    key = (moment.participant, moment.step, moment.cause)
    if cause and cause.source in lanes and key not in drawn:
        drawn.add(key)
        yield f"{lanes[cause.source]}{_arrow(cause)}{lane}: {_text(f'{cause.name} {cause.at}')}"
    note = published_and_reason(moment)
    step = short_step(moment.step, moment.participant)
    yield f"Note over {lane}: {_text(f'{step} {moment.what}')}{f'<br/>{_text(note)}' if note else ''}"


def _arrow(event: Event) -> str:
    if event.void:
        return "--x"
    return "->>" if event.outcome == "succeeded" else "-->>"


def _text(text: str) -> str:
    """Return a text with entity codes for the characters that have a meaning in Mermaid."""
    return re.sub(r"[#;<>&\"%{}|:\\]", lambda found: f"#{ord(found[0])};", escaped(text))


def flowchart(graph: SagaGraph) -> str:
    """Return the flowchart; the edges of a rollback are dotted."""
    numbers = {name: f"s{number}" for number, name in enumerate(graph.steps)}
    lines = ["flowchart LR"]
    lines += [f'  {number}["{_text(name)}"]' for name, number in numbers.items()]
    for edge in edges(graph):
        if edge.source in numbers:
            arrow = "-.->" if edge.back else "-->"
            lines.append(
                f"  {numbers[edge.source]} {arrow}|{_text(short_name(edge.event))}| {numbers[edge.target]}"
            )
    for number, deadline in enumerate(graph.deadlines):
        if deadline.step in numbers:
            lines.append(f'  d{number}{{{{"{_text(deadline.name)}<br/>{_text(limit(deadline))}"}}}}')
            lines.append(f"  d{number} -.-> {numbers[deadline.step]}")
    for number, (step, event) in enumerate(ends(graph)):
        name = _text(short_name(event))
        lines.append(f'  {numbers[step]} ==>|{name}| end{number}(["{name}"])')
    return "\n".join(lines)

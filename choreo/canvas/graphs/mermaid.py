"""A saga as a Mermaid flowchart, for Markdown."""

from __future__ import annotations

from choreo.canvas.graphs.edges import edges, ends
from choreo.choreography import SagaGraph
from choreo.event import short_name


def mermaid(graph: SagaGraph) -> str:
    """Write the graph; a rollback's edges are dotted."""
    numbers = {name: f"s{number}" for number, name in enumerate(graph.steps)}
    lines = ["flowchart LR"]
    lines += [f'  {number}["{name}"]' for name, number in numbers.items()]
    for edge in edges(graph):
        if edge.source in numbers:
            arrow = "-.->" if edge.back else "-->"
            lines.append(f"  {numbers[edge.source]} {arrow}|{short_name(edge.event)}| {numbers[edge.target]}")
    for number, (step, event) in enumerate(ends(graph)):
        name = short_name(event)
        lines.append(f'  {numbers[step]} ==>|{name}| end{number}(["{name}"])')
    return "\n".join(lines)

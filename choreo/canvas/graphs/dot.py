"""A saga for Graphviz."""

from __future__ import annotations

from choreo.canvas.graphs.edges import edges, ends
from choreo.choreography import SagaGraph
from choreo.event import short_name


def dot(graph: SagaGraph) -> str:
    """Write the graph; a rollback's edges are dashed."""
    lines = [f'digraph "{graph.name}" {{', "  rankdir=LR;", "  node [shape=box];"]
    for edge in edges(graph):
        style = ", style=dashed" if edge.back else ""
        lines.append(f'  "{edge.source}" -> "{edge.target}" [label="{short_name(edge.event)}"{style}];')
    for step, event in ends(graph):
        name = short_name(event)
        lines.append(f'  "{step}" -> "{name}" [label="{name}"];')
    return "\n".join([*lines, "}"])

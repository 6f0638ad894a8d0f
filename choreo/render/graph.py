"""What leads to what: the edges of a saga's graph, forward and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from choreo.events import short_name
from choreo.graph import SagaGraph
from choreo.manifest import Alternatives
from choreo.render.table import rows


class Edge(NamedTuple):
    """An event that leads from one step to the next; ``back`` where it leads back, in a rollback."""

    source: str
    target: str
    event: str
    back: bool


def edges(graph: SagaGraph) -> Iterator[Edge]:
    """Give what leads to what; an event that no step emits is its own source."""
    for step in graph.steps.values():
        yield from _to(graph, step.name, step.trigger, back=False)
        for undo in step.undos:
            yield from _to(graph, step.name, undo.trigger, back=True)


def ends(graph: SagaGraph) -> Iterator[tuple[str, str]]:
    """Give the steps that end the saga, each with its event."""
    for event in (graph.contract.completes, graph.contract.fails):
        if event in graph.outcome:
            yield graph.outcome[event][0], event


def _to(graph: SagaGraph, target: str, trigger: Alternatives, *, back: bool) -> Iterable[Edge]:
    for event in sorted(frozenset().union(*trigger)):
        source, _ = graph.outcome.get(event, (short_name(event), ""))
        yield Edge(source, target, event, back)


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


def as_json(graphs: Iterable[SagaGraph]) -> str:
    """Write steps and edges of every saga."""
    told = [
        {
            "saga": graph.name,
            "topic": graph.contract.topic,
            "steps": [row._asdict() for row in rows(graph)],
            "edges": [edge._asdict() for edge in edges(graph)],
        }
        for graph in graphs
    ]
    return json.dumps(told, indent=2, ensure_ascii=False)

"""Draws a saga's graph as a table of its steps, as Graphviz's DOT, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from choreo.escape import escaped
from choreo.events import short_name
from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry, bounds_of
from choreo.protocol import Trigger


class Edge(NamedTuple):
    """An event that calls a step; ``back`` where it calls the step's compensation."""

    source: str
    target: str
    event: str
    back: bool


def edges(graph: SagaGraph) -> Iterator[Edge]:
    """Yield the edges of the graph; an event that no step emits is its own source."""
    for step in graph.steps.values():
        yield from _to(graph, step.name, step.trigger, back=False)
        for undo in step.compensations:
            yield from _to(graph, step.name, undo.trigger, back=True)


def ends(graph: SagaGraph) -> Iterator[tuple[str, str]]:
    """Yield the steps that end the saga, each with its event."""
    for event in (graph.contract.completes, graph.contract.fails):
        if event in graph.outcome:
            yield graph.outcome[event][0], event


def _to(graph: SagaGraph, target: str, trigger: Trigger, *, back: bool) -> Iterable[Edge]:
    for event in sorted(trigger.types):
        source, _ = graph.outcome.get(event, (short_name(event), ""))
        yield Edge(source, target, event, back)


def dot(graph: SagaGraph) -> str:
    """Return the graph in DOT; the edges of a rollback are dashed."""
    lines = [f"digraph {_quoted(graph.title)} {{", "  rankdir=LR;", "  node [shape=box];"]
    for edge in edges(graph):
        style = ", style=dashed" if edge.back else ""
        label = _quoted(short_name(edge.event))
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={label}{style}];")
    for deadline in graph.deadlines:
        name = _quoted(f"{deadline.name}: {limit(deadline)}")
        lines.append(f"  {name} [shape=octagon];")
        lines.append(f"  {name} -> {_quoted(deadline.step)} [style=dotted];")
    for step, event in ends(graph):
        name = _quoted(short_name(event))
        lines.append(f"  {_quoted(step)} -> {name} [label={name}];")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    """Return a text as a string of DOT, in which a backslash has no meaning."""
    return '"{}"'.format(escaped(text).replace("\\", "\\\\").replace('"', '\\"'))


def as_json(graphs: Iterable[SagaGraph]) -> str:
    """Return the steps and edges of these sagas."""
    sagas = [
        {
            "saga": graph.name,
            **bounds_of(graph.versions),
            "topic": graph.contract.topic,
            "steps": [row._asdict() for row in rows(graph)],
            "edges": [edge._asdict() for edge in edges(graph)],
            "deadlines": [_deadline(each) for each in graph.deadlines],
        }
        for graph in graphs
    ]
    return json.dumps(sagas, indent=2, ensure_ascii=False)


def _deadline(deadline: HandlerEntry) -> dict[str, Any]:
    return {
        "name": deadline.name,
        "step": deadline.step,
        "after": deadline.trigger.written(short_name),
        "within_ms": deadline.within_ms,
        "event": next(iter(deadline.emits.successes), ""),
    }


def limit(deadline: HandlerEntry) -> str:
    """Return when a deadline passes: ``10 min after OrderCreated``."""
    return f"{duration(deadline.within_ms or 0)} after {deadline.trigger.written(short_name)}"


def duration(milliseconds: int) -> str:
    """Return a time with the unit in which it is written shortest.

    >>> duration(90_000), duration(300_000), duration(86_400_000)
    ('90 s', '5 min', '24 h')
    """
    for unit, size in (("h", 3_600_000), ("min", 60_000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds / 1000:g} s"


class Row(NamedTuple):
    """One line of the table, which is one step."""

    step: str
    participant: str
    kind: str
    trigger: str
    outcomes: str
    compensation: str
    called_by: str
    timeout: str
    deadline: str


_WIDE = 72
"""A cell that is wider has several lines."""

_HEAD = Row(
    "step", "participant", "kind", "trigger", "outcomes", "compensation", "called by", "timeout", "deadline"
)


def rows(graph: SagaGraph) -> list[Row]:
    """Return a saga's steps as rows of the table."""
    return [_row(graph, step) for step in graph.steps.values()]


def table(graph: SagaGraph) -> str:
    """Return the table (Richardson's "saga canvas") as text."""
    lines = [line for row in (_HEAD, *rows(graph)) for line in _lines(Row._make(map(escaped, row)))]
    widths = [max(len(row[column]) for row in lines) for column in range(len(Row._fields))]
    written = [_line(row, widths) for row in lines]
    written.insert(1, "  ".join("-" * width for width in widths))
    contract = graph.contract
    starts, completes, fails = map(short_name, (contract.starts, contract.completes, contract.fails))
    return "\n".join([f"{graph.title}: {starts} … {completes} or {fails}", *written])


def _lines(row: Row) -> Iterator[Row]:
    """Return the lines of a row: a wide trigger has one for each slot, or for each alternative."""
    for line in zip_longest(*map(_wrapped, row), fillvalue=""):
        yield Row(*line)


def _wrapped(cell: str) -> list[str]:
    marks = [mark for mark in ("; ", " & ", " | ", ", ") if mark in re.sub(r"\([^()]*\)", "", cell)]
    if len(cell) <= _WIDE or not marks:
        return [cell]
    mark = marks[0]
    first, *others = re.split(rf"{re.escape(mark)}(?![^()]*\))", cell)
    return [first, *(f"{mark.lstrip()}{other}" for other in others)]


def _line(row: Row, widths: list[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(graph: SagaGraph, step: Step) -> Row:
    handler = step.handler
    watching = (deadline for deadline in graph.deadlines if deadline.step == step.name)
    return Row(
        step.name,
        step.participant,
        step.kind,
        step.trigger.written(short_name),
        ", ".join(short_name(name) for name in (*step.successes, *step.failures)),
        ", ".join(undo.name.partition(".")[2] for undo in step.compensations),
        "; ".join(undo.trigger.written(short_name) or "the first failure" for undo in step.compensations),
        f"{handler.timeout_ms / 1000:g} s" if handler and handler.timeout_ms is not None else "",
        "; ".join(f"{each.name}: {limit(each)}" for each in watching),
    )

"""The saga canvas (Richardson): a saga's steps as a table."""

from __future__ import annotations

from typing import NamedTuple

from choreo.events import short_name
from choreo.graph import SagaGraph, Step
from choreo.manifest import Alternatives


class Row(NamedTuple):
    """One step of the saga canvas."""

    step: str
    participant: str
    kind: str
    trigger: str
    outcomes: str
    compensation: str
    called_by: str
    timeout: str


_HEAD = Row("step", "participant", "kind", "trigger", "outcomes", "compensation", "called by", "timeout")


def rows(graph: SagaGraph) -> list[Row]:
    """Give a saga's steps as rows."""
    return [_row(step) for step in graph.steps.values()]


def table(graph: SagaGraph) -> str:
    """Write the saga canvas as text."""
    lines = [_HEAD, *rows(graph)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(Row._fields))]
    written = [_line(row, widths) for row in lines]
    written.insert(1, "  ".join("-" * width for width in widths))
    contract = graph.contract
    starts, completes, fails = map(short_name, (contract.starts, contract.completes, contract.fails))
    return "\n".join([f"{graph.name}: {starts} … {completes} or {fails}", *written])


def _line(row: Row, widths: list[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(step: Step) -> Row:
    handler = step.handler
    return Row(
        step.name,
        step.participant,
        step.kind,
        _called_by(step.trigger),
        ", ".join(short_name(name) for name in (*step.successes, *step.failures)),
        ", ".join(undo.name.partition(".")[2] for undo in step.undos),
        "; ".join(_called_by(undo.trigger) or "the first failure" for undo in step.undos),
        f"{handler.timeout_ms / 1000:g} s" if handler and handler.timeout_ms is not None else "",
    )


def _called_by(trigger: Alternatives) -> str:
    return " | ".join(" & ".join(sorted(short_name(name) for name in option)) for option in trigger)

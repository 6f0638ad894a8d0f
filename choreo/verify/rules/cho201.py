"""missing-compensation: a step can't be undone.

Why it is bad: when a later step fails, what this one did stays: money charged, stock reserved.

How to mend it: declare `@participant.compensation(of=…)`, or say that the step is a pivot or retriable. The
start has a compensation, too: it ends the saga in its `fails` event.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.outcome import START
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find success events of compensatable steps, and of the start, that no compensation undoes."""
    graph = case.graph
    for step in graph.steps.values():
        if not step.is_undone:
            continue
        for success in step.successes:
            if step.undo_of(success):
                continue
            of = f"{graph.name}.start" if step.name == START else step.name
            yield Finding(
                "CHO201",
                "missing-compensation",
                "error",
                graph.name,
                f"nothing undoes `{of}` after {short_name(success)}",
                step.place or _any_place(case),
                why="the saga could not end when a later step fails"
                if step.name == START
                else "a later failure would leave behind what it did",
                help=f"declare a compensation of the start that returns {short_name(graph.contract.fails)}"
                if step.name == START
                else f"declare one with compensation(of={step.name.partition('.')[2]}), or another kind",
                steps=(step.name, success),
            )


def _any_place(case: Case) -> str:
    starts = case.graph.consumers.get(case.graph.contract.starts, [])
    return starts[0].place if starts else ""

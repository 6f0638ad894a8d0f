"""CHO201 missing-compensation: no compensation undoes a step, or the start of the saga.

Why it is bad: when a later step fails, what this one did stays: money charged, stock reserved. The start of
a saga has a compensation, too: it ends the saga in its `fails` event; without it a saga that fails stays
open for ever.

For example, a compensatable action, and nothing that undoes it:

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

How to fix it: declare `@participant.compensation(of=…)`, or make the step a pivot or retriable. The help of
the finding has the code, with its triggers.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry
from choreo.outcome import START
from choreo.protocol import serves
from choreo.verify.case import Case
from choreo.verify.code import Names
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule
from choreo.verify.suggestion import compensation

RULE = Rule(
    "CHO201",
    "missing-compensation",
    __doc__,
    "error",
    unless=("CHO107", "CHO109", "CHO112", "CHO702"),
    properties=(Property.ONE_COMPENSATION,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find compensatable steps, and the start, with success events that no compensation undoes."""
    graph = case.graph
    missing: dict[str, list[str]] = {}
    for step, success in not_undone(graph):
        missing.setdefault(step.name, []).append(success)
    for name, successes in missing.items():
        if not _is_ambiguous(graph.steps[name]):  # CHO202 says so
            yield _finding(case, graph.steps[name], successes)


def _is_ambiguous(step: Step) -> bool:
    return any(sum(serves(undo, success) for undo in step.compensations) > 1 for success in step.successes)


def _finding(case: Case, step: Step, successes: list[str]) -> Finding:
    graph, is_start = case.graph, step.name == START
    handler = step.handler or next(iter(step.compensations), None) or _home_of_start(case, step)
    owner = _owner(case, step)
    code = compensation(case, step, successes, Names(case.choreography, owner, _file(handler)))
    return RULE.finding(
        graph.name,
        f"nothing undoes `{f'{graph.name}.start' if is_start else step.name}` after "
        f"{' or '.join(map(short_name, successes))}",
        at(handler) or NOWHERE,
        why="the saga could not end when a later step fails"
        if is_start
        else "a later failure would leave behind what it did",
        help=f"declare a compensation that ends the saga in {short_name(graph.contract.fails)}:"
        if is_start
        else "declare a compensation, or another kind of step:",
        code=code,
        steps=(step.name, *successes),
    )


def _file(handler: HandlerEntry | None) -> str:
    return handler.place.rpartition(":")[0] if handler else ""


def _home_of_start(case: Case, step: Step) -> HandlerEntry | None:
    """Return the first handler that the start calls or, where its file isn't the starter's, one of that."""
    owner = _owner(case, step)
    own = [handler for handler in case.graph.handlers if handler.participant == owner]
    called = case.graph.consumers.get(case.graph.contract.starts, [])
    files = {_file(handler) for handler in own}
    fitting = (handler for handler in called if _file(handler) in files or not files)
    return next(fitting, None) or next(iter(own or called), None)


def _owner(case: Case, step: Step) -> str:
    """Return the participant to declare it; for the start, one that observes how the saga ends."""
    if step.participant:
        return step.participant
    ends = {case.graph.contract.completes, case.graph.contract.fails}
    watching = [each.participant for each in case.graph.observers if ends & each.trigger.types]
    return (watching or list(case.graph.participants))[0]


def not_undone(graph: SagaGraph) -> Iterator[tuple[Step, str]]:
    """Return the success events that no compensation undoes, with their steps."""
    for step in graph.steps.values():
        if step.is_undone:
            yield from ((step, success) for success in step.successes if not step.compensation_for(success))


def waits_for_missing_compensation(graph: SagaGraph, handler: HandlerEntry) -> bool:
    """Whether a compensation waits for that of a later step, and that one is missing."""
    if handler.task != "compensation" or handler.step not in graph.steps:
        return False
    after = {t.name for success in graph.steps[handler.step].successes for t in graph.successors(success)}
    return any(step.name in after for step, _ in not_undone(graph))

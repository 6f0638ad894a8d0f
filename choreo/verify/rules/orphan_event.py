"""CHO103 orphan-event: an event is emitted, and nobody waits for it.

Why it is bad: nothing follows from the step. Mostly a consumer was removed, or never written. An observer
counts as a consumer, and so does a handler that takes the event as `Earlier`.

For example, where no handler takes `LabelPrinted`:

    @shipping.action(fails=LabelFailed)
    def print_label(event: ShipmentCreated, ctx: Context) -> LabelPrinted: ...

How to fix it: consume it, export it as `External`, or, if nothing is to follow from the step, declare an
observer of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.outcome import CANCEL
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule(
    "CHO103",
    "orphan-event",
    __doc__,
    "warning",
    unless=(*UNCLEAR, "CHO105", "CHO106", "CHO401"),
    properties=(Property.CONSUMED_EVENTS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find success events that call no handler, end no saga, and are not exported.

    What failures, compensations and timeouts must call is checked by the rules on compensations.
    """
    graph = case.graph
    taken = {name for handler in graph.handlers for name in handler.earlier}
    used = {graph.contract.completes, graph.contract.fails, *graph.exports, *graph.consumers, *taken}
    for step in graph.steps.values():
        for name in step.successes:
            if name in used or name not in case.order.reachable or step.name == CANCEL:
                continue
            yield RULE.finding(
                graph.name,
                f"nobody waits for {short_name(name)}, which `{step.name}` emits",
                at(step.handler),
                why="it calls no handler, is no end of the saga, and goes to no other topic",
                help="consume it, observe it, or export it as External",
                steps=(step.name, name),
            )

"""What the rules have let pass, confirmed on runs and in every order, by the rule whose property it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from choreo.verify.case import Case
from choreo.verify.engine.run_file import run_file_of
from choreo.verify.engine.violations import Violation
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule
from choreo.version import __version__

WORDS = {
    Property.TERMINATION: "the saga never ends",
    Property.COMPLETE_ROLLBACK: "`{0}` was done and is never undone",
    Property.REVERSE_ORDER: "`{0}` is undone before what came after it",
    Property.ONE_END: "`{0}` is undone, and the saga completes",
    Property.QUIESCENCE: "`{0}` is left halfway",
    Property.NO_DEAD_LETTER: "`{0}` becomes a dead letter, and nothing is wrong",
}
"""What it says of a saga that a property is broken, and of which step."""


def confirmed(case: Case, rules: Mapping[Property, Rule]) -> Iterator[Finding]:
    """Give what breaks a property in a run, or in an order that the search has found."""
    told: set[Property] = set()
    on_runs = (
        each
        for name in (Property.COMPLETE_ROLLBACK, Property.REVERSE_ORDER)
        for each in case.violations.get(name, ())
    )
    for each in (*on_runs, *case.counterexamples):
        if each.property not in told:
            told.add(each.property)
            yield _finding(case, each, rules[each.property])


def _finding(case: Case, each: Violation, rule: Rule) -> Finding:
    step = case.graph.steps.get(each.step)
    run = each.run
    return rule.finding(
        case.graph.name,
        WORDS[each.property].format(each.step),
        at((step.handler or next(iter(step.compensations), None)) if step else None),
        why="the graph alone doesn't show it: it takes this order of events",
        help="follow the trace; if nothing in it is wrong, report it as a defect of choreo's",
        steps=(each.step,),
        scenario=run.scenario.title,
        run=run.lines(run.cone(*each.numbers)),
        # What a slice leaves out would be missing when somebody runs it again.
        run_file=run_file_of(case.graph, run, rule.id, __version__) if each.whole else None,
    )

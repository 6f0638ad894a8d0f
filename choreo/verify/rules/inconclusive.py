"""inconclusive: a limit was reached before every run had been looked at.

Why it is bad: nothing was found in what was looked at, and more is not proved. `choreo verify` exits with
3, so that nobody takes it for a pass.

For example, many long branches in parallel, each with failures and deadlines, of one saga.

How to fix it: give it more room with `--states` and `--seconds`; or cut the saga: a branch that is a
business transaction of its own may be a saga of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO901", "inconclusive", __doc__, "warning")


def unexplored(case: Case) -> Iterator[Finding]:
    """Return a finding where the budget was exhausted, once everything else has looked at the saga."""
    if case.meter.exhausted:
        yield RULE.finding(
            case.graph.name,
            f"not every run of {case.graph.name} was looked at: {case.meter.exhausted} were reached",
            why="what was not looked at is not proved",
            help="give it more room with --states and --seconds",
        )

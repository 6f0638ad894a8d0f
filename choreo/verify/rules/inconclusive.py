"""CHO901 inconclusive: a limit was reached before every rule was applied and every run explored.

Why it is bad: nothing is proved of what was not looked at; the finding says where it stopped.
`choreo verify` exits with 3, so that this is not taken for a pass.

For example, a saga with many long parallel branches, each with failures and deadlines.

How to fix it: raise `--states` and `--seconds`; or split the saga: a branch that is a business transaction
of its own may be a saga of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO901", "inconclusive", __doc__, "warning")


def unexplored(case: Case) -> Iterator[Finding]:
    """Return a finding where the budget was exhausted; it comes after the findings of all other rules."""
    for meter in (case.meter, case.meter_of_release):
        if not meter.exhausted:
            continue
        yield RULE.finding(
            case.graph.name,
            f"not every run of {case.graph.name} was looked at: {meter.exhausted} were reached"
            f" in {meter.stopped_in}",
            why="what was not looked at is not proved",
            help="give it more room with --states and --seconds",
        )

"""``verify``: every rule, and the search, over every saga; the verdict and its scope."""

from __future__ import annotations

from typing import NamedTuple

from choreo.events import short_name
from choreo.graph import Choreography, Lock
from choreo.verify.analysis.schemas import Compare, same
from choreo.verify.case import Case
from choreo.verify.confirmation import confirmed
from choreo.verify.engine.budget import DEFAULT, Budget, Clock, no_clock
from choreo.verify.engine.run import RunLine
from choreo.verify.engine.run_file import run_file_of
from choreo.verify.finding import Finding
from choreo.verify.policy import Levels, Policy
from choreo.verify.rules import CHECKS, OF_PROPERTY
from choreo.verify.rules.inconclusive import unexplored
from choreo.verify.scope import Scope, scope_of
from choreo.version import __version__


class Verdict(NamedTuple):
    """What was found, errors first, and the scope in which nothing else was."""

    findings: tuple[Finding, ...]
    scope: Scope
    choreography: Choreography

    @property
    def errors(self) -> int:
        """The number of findings that fail the build."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """The number of findings that don't, unless warnings do."""
        return len(self.findings) - self.errors


def verify(
    choreography: Choreography,
    *,
    compare: Compare = same,
    lock: Lock | None = None,
    levels: Levels | None = None,
    budget: Budget = DEFAULT,
    clock: Clock = no_clock,
) -> Verdict:
    """Return the verdict on every saga of a choreography.

    ``compare`` returns what of a writer's schema a reader's can't read; ``lock`` is the choreography's,
    where there is one; ``levels`` sets rules to another level, or off; ``budget`` limits what is explored
    of each saga; ``clock`` returns seconds.

    >>> from choreo.graph import choreography_of
    >>> verify(choreography_of([])).findings
    ()
    """
    begin = clock()
    cases = [Case(choreography, graph, compare, lock, budget, clock) for graph in choreography.sagas]
    policy = Policy(choreography.manifests, levels or {})
    findings = [finding for case in cases for finding in _findings(case, policy)]
    findings += policy.on_suppressions()
    findings.sort(key=lambda each: (each.level != "error", each.saga, each.place, each.rule, each.message))
    return Verdict(tuple(findings), scope_of(cases, budget, clock() - begin), choreography)


def _findings(case: Case, policy: Policy) -> list[Finding]:
    """Return what is reported of one saga: by the rules, by the search, and what stayed unexplored."""
    found: list[Finding] = []
    reported: list[Finding] = []
    for rule, check in CHECKS:
        if not rule.is_superfluous(found, reported):
            new = [_with_run(case, finding) for finding in check(case)]
            found += new
            reported += policy.reported(new)
    if not any(finding.level == "error" for finding in found):  # the search would only repeat an error
        reported += policy.reported(confirmed(case, OF_PROPERTY))
    return [*reported, *policy.reported(unexplored(case))]


def _with_run(case: Case, finding: Finding) -> Finding:
    """Return a finding with its run in full, and with the compensations named in the lines of the run."""
    run = case.run_of(finding.scenario) if finding.scenario else None
    if run is None:
        return finding
    lines = tuple(line._replace(step=_handler_of(case, line)) for line in finding.run)
    return finding._replace(run=lines, run_file=run_file_of(case.graph, run, finding.rule, __version__))


def _handler_of(case: Case, line: RunLine) -> str:
    """Return what acted in a line of a run: the step, or, where it is undone, its compensation."""
    step = case.graph.steps.get(line.step)
    undos = step.compensations if step and line.what == "undone" else ()
    named = (undo.name for undo in undos if line.emitted in map(short_name, undo.emits.successes))
    return next(named, line.step)

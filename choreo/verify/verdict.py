"""``verify``: all rules over all sagas, and the verdict with its scope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.events import short_name
from choreo.graph import Choreography, Lock
from choreo.verify.analysis.schemas import Compare, same
from choreo.verify.case import Case
from choreo.verify.confirmation import confirmed
from choreo.verify.engine.budget import DEFAULT, Budget, Clock, no_clock
from choreo.verify.engine.run import RunLine
from choreo.verify.engine.run_file import run_file_of
from choreo.verify.engine.scope import Scope, scope_of
from choreo.verify.finding import Finding
from choreo.verify.policy import Levels, Policy
from choreo.verify.rules import CHECKS, OF_PROPERTY, inconclusive
from choreo.version import __version__


class Verdict(NamedTuple):
    """What was found, the errors first, and the scope in which nothing else was."""

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
    """Look at every saga of a choreography.

    ``compare`` says what of a writer's schema a reader's can't read; ``lock`` is the
    choreography's, where there is one; ``levels`` sets rules to another level, or off; ``budget``
    limits what is looked at of each saga; ``clock`` gives seconds.

    >>> from choreo.graph import choreography_of
    >>> verify(choreography_of([])).findings
    ()
    """
    begun = clock()
    cases = [Case(choreography, graph, compare, lock, budget, clock) for graph in choreography.sagas]
    policy = Policy(choreography.manifests, levels or {})
    findings = sorted(
        (*(finding for case in cases for finding in _findings(case, policy)), *policy.leftovers()),
        key=lambda each: (each.level != "error", each.saga, each.place, each.rule, each.message),
    )
    return Verdict(tuple(findings), scope_of(cases, budget, clock() - begun), choreography)


def _findings(case: Case, policy: Policy) -> list[Finding]:
    """Ask every rule that nothing found before makes superfluous."""
    found: list[Finding] = []
    kept: list[Finding] = []
    for rule, check in CHECKS:
        if not rule.is_superfluous(found, kept):
            new = [_with_run(case, finding) for finding in check(case)]
            found += new
            kept += policy.judged(new)
    if not any(finding.level == "error" for finding in found):  # of a wrong graph it would only repeat that
        kept += policy.judged(confirmed(case, OF_PROPERTY))
    return kept + list(policy.judged(_unfinished(case)))


def _with_run(case: Case, finding: Finding) -> Finding:
    """Name the compensations in the run that a finding shows, and add it whole, to be run again."""
    run = case.run_of(finding.scenario) if finding.scenario else None
    if run is None:
        return finding
    trace = tuple(line._replace(step=_done_by(case, line)) for line in finding.trace)
    return finding._replace(trace=trace, schedule=run_file_of(case.graph, run, finding.rule, __version__))


def _done_by(case: Case, line: RunLine) -> str:
    """Give what did a line of a trace: the step, or, where it is undone, its compensation."""
    step = case.graph.steps.get(line.step)
    undos = step.undos if step and line.what == "undone" else ()
    named = (undo.name for undo in undos if line.emitted in map(short_name, undo.emits.successes))
    return next(named, line.step)


def _unfinished(case: Case) -> Iterator[Finding]:
    if case.meter.exhausted:
        yield inconclusive.RULE.finding(
            case.graph.name,
            f"not every run of {case.graph.name} was looked at: {case.meter.exhausted} were reached",
            why="what was not looked at is not proved",
            help="give it more room with --states and --seconds",
        )

"""``verify``: applies every rule, and the search, to every saga, and returns the verdict and its scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from choreo.events import short_name
from choreo.graph import Choreography, Lock, SagaGraph
from choreo.saga import Versions, spans
from choreo.verify.analysis.misplaced import misplaced
from choreo.verify.analysis.schemas import Compare, same
from choreo.verify.case import Case
from choreo.verify.engine.budget import DEFAULT, Budget, Clock, ExhaustedError, no_clock
from choreo.verify.engine.run import RunLine
from choreo.verify.engine.run_file import run_file_of
from choreo.verify.engine.violations import Violation
from choreo.verify.finding import Finding, at, enumerated
from choreo.verify.policy import Levels, Policy
from choreo.verify.properties import Property
from choreo.verify.release import OF_RELEASES, across_release
from choreo.verify.rules import CHECKS, OF_PROPERTY, RULES
from choreo.verify.rules.inconclusive import unexplored
from choreo.verify.rules.order_assumed import in_wrong_saga
from choreo.verify.scope import Scope, scope_of
from choreo.version import __version__

_IDS = frozenset(rule.id for rule in RULES)


class Verdict(NamedTuple):
    """The findings, errors first, and the scope in which there are no others.

    ``applied`` are the rules that were applied to each saga to the end: of another one, no finding says
    nothing.
    """

    findings: tuple[Finding, ...]
    scope: Scope
    choreography: Choreography
    applied: Mapping[str, frozenset[str]] = {}

    def applied_to(self, saga: str) -> frozenset[str]:
        """Return the rules that were applied to a saga to the end; without a name, to every saga."""
        if saga in self.applied:
            return self.applied[saga]
        return _IDS.intersection(*self.applied.values())

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
    older: Choreography | None = None,
    unread: str = "",
) -> Verdict:
    """Return the verdict on every saga of a choreography.

    ``compare`` returns what of a writer's schema a reader's can't read; ``lock`` is the choreography's,
    where there is one; ``levels`` sets rules to another level, or off; ``budget`` limits what is explored
    of each saga, and the time for all of them; ``clock`` returns seconds. ``older`` is the choreography that
    is deployed now: its sagas in flight are run on while its participants are upgraded to this one;
    ``unread`` says why it is not known.

    >>> from choreo.graph import choreography_of
    >>> verify(choreography_of([])).findings
    ()
    """
    choreography, moved = misplaced(choreography)
    begin = clock()
    graphs = [part for graph in choreography.graphs for part in _parts(graph, older)]
    cases = [Case(choreography, graph, compare, lock, budget, clock, older) for graph in graphs]
    policy = Policy(choreography.manifests, levels or {})
    findings = list(policy.reported(in_wrong_saga(each) for each in moved))
    found: dict[str, list[tuple[SagaGraph, list[Finding]]]] = {}
    for case in sorted(cases, key=lambda each: len(each.graph.handlers)):  # a large one stops no other
        found.setdefault(case.graph.name, []).append((case.graph, _findings(case, policy)))
    findings += chain.from_iterable(map(_by_version, found.values()))
    applied: dict[str, frozenset[str]] = {}
    for case in cases:
        of_case = _applied(case) - policy.off
        applied[case.graph.name] = applied.get(case.graph.name, of_case) & of_case
    findings += policy.on_suppressions(_IDS.intersection(*applied.values()))
    findings.sort(key=lambda each: (each.level != "error", each.saga, each.place, each.rule, each.message))
    scope = scope_of(cases, budget, clock() - begin, unread)
    return Verdict(tuple(findings), scope, choreography, applied)


def _parts(graph: SagaGraph, older: Choreography | None) -> list[SagaGraph]:
    """Return a graph once for all of its versions that were alike in the older choreography, too."""
    of_saga = [each for each in (older.graphs if older else ()) if each.name == graph.name]
    before = [each.versions.since for each in of_saga]
    cuts = (Versions(since) for since in (graph.versions.since, *before) if graph.versions.includes(since))
    known = (graph.contract.version, *(each.contract.version for each in of_saga))
    newest = graph.versions.until or max(*known, graph.versions.since)
    found = [graph.versions.both(span) for span in spans(newest, cuts)]
    return [replace(graph, versions=versions) for versions in found if versions]


def _by_version(of_saga: list[tuple[SagaGraph, list[Finding]]]) -> Iterator[Finding]:
    """Yield the findings on a saga, each once, with the versions that it is of where it is not of all."""
    if len(of_saga) == 1:
        yield from of_saga[0][1]
        return
    versions: dict[tuple[Any, ...], set[Versions]] = {}
    first: dict[tuple[Any, ...], Finding] = {}
    for graph, findings in sorted(of_saga, key=lambda each: -each[0].versions.since):
        for finding in findings:
            key = (finding.rule, finding.message, finding.where, finding.steps)
            versions.setdefault(key, set()).add(graph.versions)
            first.setdefault(key, finding)
    for key, finding in first.items():
        if len(versions[key]) < len(of_saga):
            which = enumerated(map(str, sorted(versions[key])))
            finding = finding._replace(message=f"{finding.message} (in {which} of the saga)")
        yield finding


def _applied(case: Case) -> frozenset[str]:
    """Return the rules that were applied to the end; those on runs only where these were all searched."""
    complete = case.is_searched and not case.meter.exhausted
    undecided = {rule.id for rule in RULES if rule.of_runs and not complete}
    if "judgement" not in vars(case) or case.meter_of_release.exhausted:
        undecided |= OF_RELEASES
    checked = {rule.id for rule, _ in CHECKS}
    return frozenset((case.applied | (_IDS - checked)) - undecided)


def _findings(case: Case, policy: Policy) -> list[Finding]:
    """Return the findings on one saga, by the rules and the search, and one if a limit was reached."""
    reported: list[Finding] = []
    with suppress(ExhaustedError):
        _examine(case, policy, reported)
    return [*reported, *policy.reported(unexplored(case))]


def _examine(case: Case, policy: Policy, reported: list[Finding]) -> None:
    """Add what is found in one saga to the reported findings, one by one: a limit may be reached at any."""
    found: list[Finding] = []
    for rule, check in CHECKS:
        case.meter.phase = f"rule {rule.id}"
        if not rule.is_superfluous(found, reported):
            for finding in case.checked(check(case)):
                found.append(_with_run(case, finding))
                reported += policy.reported(found[-1:])
            case.applied.add(rule.id)
    if not any(finding.level == "error" for finding in found):  # the search would only repeat an error
        case.meter.phase = "the search of every order"
        reported += policy.reported(_violations(case))
        case.is_searched = True
        if not any(finding.level == "error" for finding in reported):
            reported += policy.reported(across_release(case))


def _with_run(case: Case, finding: Finding) -> Finding:
    """Return a finding with its run in full, and with the compensations named in the lines of the run."""
    run = case.run_of(finding.scenario) if finding.scenario else None
    if run is None:
        return finding
    lines = tuple(line._replace(step=_handler_of(case, line)) for line in finding.run)
    return finding._replace(run=lines, run_file=run_file_of(case.graph, run, finding.rule, __version__))


def _handler_of(case: Case, line: RunLine) -> str:
    """Return the handler that acted in a line of a run: the step or, where it is undone, its compensation."""
    step = case.graph.steps.get(line.step)
    undos = step.compensations if step and line.what == "undone" else ()
    named = (undo.name for undo in undos if line.emitted in map(short_name, undo.emits.successes))
    return next(named, line.step)


_MESSAGES = {
    Property.TERMINATION: "the saga never ends",
    Property.COMPLETE_ROLLBACK: "`{0}` was done and is never undone",
    Property.REVERSE_ORDER: "`{0}` is undone before what came after it",
    Property.ONE_END: "`{0}` is undone, and the saga completes",
    Property.QUIESCENCE: "`{0}` is left halfway",
    Property.NO_DEAD_LETTER: "`{0}` becomes a dead letter, and nothing is wrong",
}


def _violations(case: Case) -> Iterator[Finding]:
    """Return one finding for each violated property that runs or the search show and no rule found."""
    by_runs = (case.violations.get(name, ()) for name in (Property.COMPLETE_ROLLBACK, Property.REVERSE_ORDER))
    first: dict[Property, Violation] = {}
    for each in (*chain.from_iterable(by_runs), *case.counterexamples):
        first.setdefault(each.property, each)
    return (_violation(case, each) for each in first.values())


def _violation(case: Case, each: Violation) -> Finding:
    step, run, rule = case.graph.steps.get(each.step), each.run, OF_PROPERTY[each.property]
    return rule.finding(
        case.graph.name,
        _MESSAGES[each.property].format(each.step),
        at((step.handler or next(iter(step.compensations), None)) if step else None),
        why="the graph alone doesn't show it: it takes this order of events",
        help="follow the trace; if nothing in it is wrong, report it as a defect of choreo's",
        steps=(each.step,),
        scenario=run.scenario.title,
        run=run.lines(run.cone(*each.numbers)),
        run_file=run_file_of(case.graph, run, rule.id, __version__),
    )

"""``verify``: all rules over all sagas, and the verdict with its scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from choreo.choreography import Choreography, Lock
from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.policy import Levels, Policy
from choreo.verify.rules import CHECKS
from choreo.verify.schemas import Compare, same


def _no_clock() -> float:
    return 0.0


class Scope(NamedTuple):
    """How much was looked at, so that a clean verdict can be judged."""

    participants: int
    sagas: int
    scenarios: int
    events: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{_count(self.participants, 'participant')}, {_count(self.sagas, 'saga')}: "
            f"{_count(self.scenarios, 'scenario')}, {self.events} events, {self.seconds:.2f} s; complete for "
            "1 failure, 1 deadline or 1 cancellation, by causal order"
        )


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
    clock: Callable[[], float] = _no_clock,
) -> Verdict:
    """Look at every saga of a choreography.

    ``compare`` says what of a writer's schema a reader's can't read; ``lock`` is the
    choreography's, where there is one; ``levels`` sets rules to another level, or off; ``clock`` gives
    seconds.

    >>> from choreo.choreography import choreography_of
    >>> verify(choreography_of([])).findings
    ()
    """
    begun = clock()
    cases = [Case(choreography, graph, compare, lock) for graph in choreography.sagas]
    policy = Policy(choreography.manifests, levels or {})
    findings = sorted(
        (*(finding for case in cases for finding in _findings(case, policy)), *policy.leftovers()),
        key=lambda each: (each.level != "error", each.saga, each.place, each.rule, each.message),
    )
    runs = [run for case in cases if "runs" in vars(case) for run in case.runs]
    scope = Scope(
        len(choreography.manifests),
        len(cases),
        len(runs),
        sum(len(run.log) for run in runs),
        clock() - begun,
    )
    return Verdict(tuple(findings), scope, choreography)


def _findings(case: Case, policy: Policy) -> list[Finding]:
    """Ask every rule that nothing found before makes superfluous."""
    found: list[Finding] = []
    kept: list[Finding] = []
    for rule, check in CHECKS:
        if not rule.is_silenced(found, kept):
            new = list(check(case))
            found += new
            kept += policy.judged(new)
    return kept


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

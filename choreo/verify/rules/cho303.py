"""deadline-too-short: a deadline passes before the steps under it may have used up their timeouts.

Why it is bad: it gives up on sagas that were going well.

How to mend it: make it longer than the timeouts of the steps on the way together, or shorten those.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.manifest import HandlerEntry
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Compare each deadline with the longest way from what arms it to the step that it watches."""
    for deadline in case.graph.deadlines:
        longest = _longest(case, deadline.step, frozenset().union(*deadline.trigger), {})
        if deadline.within_ms is not None and longest > deadline.within_ms:
            yield _finding(case, deadline, longest)


def _finding(case: Case, deadline: HandlerEntry, longest: int) -> Finding:
    return Finding(
        "CHO303",
        "deadline-too-short",
        "warning",
        case.graph.name,
        f"`{deadline.name}` waits {(deadline.within_ms or 0) / 1000:g} s, "
        f"the steps under it may take {longest / 1000:g} s",
        deadline.place,
        why=f"the timeouts on the way to `{deadline.step}` add up to more",
        help=f"within=timedelta(seconds={longest / 1000:g}) or more, or shorter timeouts",
        steps=(deadline.name,),
    )


def _longest(case: Case, name: str, armed_by: frozenset[str], known: dict[str, int]) -> int:
    """Give the sum of timeouts on the longest way from the arming event to the end of a step."""
    if name in known:
        return known[name]
    known[name] = 0  # of a cycle, which is CHO107's matter
    step = case.graph.steps.get(name)
    if step is None or step.handler is None:
        return 0
    before = 0
    for event in frozenset().union(*step.trigger) - armed_by:
        owner, _ = case.graph.outcome.get(event, ("", ""))
        if owner and owner != name:
            before = max(before, _longest(case, owner, armed_by, known))
    known[name] = before + (step.handler.timeout_ms or 0)
    return known[name]

"""Finds what a misspelt name was meant to be: by short names, and by kinds."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from choreo.events import short_name
from choreo.graph import SagaGraph
from choreo.manifest import HandlerEntry
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT

_CLOSE = 0.7
_CLOSER = 0.85
"""How alike names must be, and how alike those of another kind."""

_AFTER_FAILURES = (FAILED, COMPENSATED, TIMED_OUT)


def event_like(graph: SagaGraph, name: str, handler: HandlerEntry) -> str:
    """Return the event of a saga that a handler was meant to wait for; empty where none is like it.

    Compensations wait for failures, and for what is undone; other handlers for successes.
    """
    outcomes = _AFTER_FAILURES if handler.task == "compensation" else (SUCCEEDED,)
    alike = [
        event for event, (step, how) in graph.outcome.items() if how in outcomes and step != handler.step
    ]
    others = [event for event, (step, _) in graph.outcome.items() if step != handler.step]
    alike, others = ([each for each in some if each not in handler.trigger.types] for some in (alike, others))
    return closest(name, alike, _CLOSE) or closest(name, others, _CLOSER)


def step_like(graph: SagaGraph, name: str) -> str:
    """Return the step of a saga that a deadline was meant to watch; empty where none is like it.

    Steps that can be watched come first, and of these the steps of the participant that is named. A step
    that was renamed is meant by any of its names.
    """
    renamed = [each.name for each in graph.steps.values() if each.handler and name in each.handler.aliases]
    if renamed:
        return renamed[0]
    owner, _, function = name.partition(".")
    watchable = [step for step in graph.steps.values() if step.kind in ("compensatable", "external")]
    groups = (
        [step.name for step in watchable if step.participant == owner],
        [step.name for step in watchable],
    )
    found = (closest(function, group, _CLOSE) for group in groups)
    return next(filter(None, found), "")


def closest(name: str, candidates: Iterable[str], cutoff: float) -> str:
    """Return the candidate whose short name is most like that of ``name``; of several the first by name."""
    by_short: dict[str, str] = {}
    for each in sorted(candidates):
        by_short.setdefault(short_name(each).lower(), each)
    close = get_close_matches(short_name(name).lower(), sorted(by_short), 1, cutoff)
    return by_short[close[0]] if close else ""

"""The events that precede each event in every run: the dominators of the graph.

They are a greatest fixpoint: of alternatives only what all have in common precedes, of a join everything; a
refusal may come when only one slot of a join is filled.

Source: Allen, *Control flow analysis* (1970), for dominators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry
from choreo.outcome import CANCEL, COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT
from choreo.protocol import Trigger

Past = dict[str, frozenset[str]]
"""Of each event, the events that precede it in every run."""


def past_of(graph: SagaGraph, check: Callable[[], None]) -> Past:
    """Return, for each event of a saga, the events that precede it in every run, itself included.

    ``check`` is called for each event, and raises where there is no more time.
    """
    everything = frozenset(graph.outcome)
    past = dict.fromkeys(graph.outcome, everything)
    while True:
        after: Past = {}
        for name in past:
            check()
            after[name] = _past(graph, past, name) & past[name]
        if after == past:
            return past
        past = after


def precede(graph: SagaGraph, past: Past, handler: HandlerEntry) -> frozenset[str]:
    """Return the events that precede every call of a handler."""
    calls = [_before(past, handler.trigger)] if handler.trigger else []
    step = graph.steps.get(handler.step)
    if handler.task == "compensation" and step and handler.aborted:
        calls.append(_done(past, step, handler))
    return _common(calls)


def _past(graph: SagaGraph, past: Past, name: str) -> frozenset[str]:
    owner, outcome = graph.outcome[name]
    step = graph.steps.get(owner)
    own = frozenset((name,))
    if (owner in (START, CANCEL) and outcome == SUCCEEDED) or step is None or step.kind == "external":
        return own
    return own | _OF[outcome](graph, past, step)


def _succeeded(graph: SagaGraph, past: Past, step: Step) -> frozenset[str]:
    return _before(past, step.trigger)


def _failed(graph: SagaGraph, past: Past, step: Step) -> frozenset[str]:
    """A failure may be a refusal, which comes when any slot of a join is filled."""
    return _common(past[name] for name in step.trigger.types if name in past)


def _compensated(graph: SagaGraph, past: Past, step: Step) -> frozenset[str]:
    """A compensation follows a success, or, after a timeout, the trigger alone."""
    watched = any(deadline.step == step.name for deadline in graph.deadlines)
    if step.name != START and (watched or (step.handler and step.handler.partial)):
        return _failed(graph, past, step)
    return _common(past[name] for name in step.successes if name in past)


def _timed_out(graph: SagaGraph, past: Past, step: Step) -> frozenset[str]:
    return _common(_before(past, each.trigger) for each in graph.deadlines if each.step == step.name)


_OF: dict[str, Callable[[SagaGraph, Past, Step], frozenset[str]]] = {
    SUCCEEDED: _succeeded,
    FAILED: _failed,
    COMPENSATED: _compensated,
    TIMED_OUT: _timed_out,
}


def _done(past: Past, step: Step, handler: HandlerEntry) -> frozenset[str]:
    if handler.optional_result and step.trigger:
        return _before(past, step.trigger)
    return _common(past[name] for name in step.successes if name in past)


def _before(past: Past, trigger: Trigger) -> frozenset[str]:
    """Return the events that have come whenever a trigger is satisfied."""
    return trigger.fold(
        lambda name: past.get(name, frozenset((name,))), _common, lambda slots: frozenset[str]().union(*slots)
    )


def _common(several: Iterable[frozenset[str]]) -> frozenset[str]:
    found = list(several)
    return frozenset.intersection(*found) if found else frozenset()

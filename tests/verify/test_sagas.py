"""Correct sagas of every shape, as people write them: `choreo verify` finds nothing in any of them."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from choreo.graph import Choreography, SagaGraph, Step, choreography_of
from choreo.project.choreography import declared
from choreo.project.manifests import compare, manifest_from
from choreo.verify import Finding, verify

from . import naive, sagas

SAGAS = sorted(path.stem for path in Path(sagas.__file__).parent.glob("[a-z]*.py"))

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))

WARNED = {
    "leaf": {"CHO103": "that nobody waits for the spot in the garage is what makes it a leaf"},
    "race": {"CHO114": "the offer that comes second is not waited for: that is what a race is"},
    "choice_of_three": {"CHO113": "the broker chooses the way, and the road needs nobody else"},
}
"""What there is to be warned of in a saga that is right all the same, and why it is."""


@cache
def choreography(name: str) -> Choreography:
    """Return the choreography of one module."""
    return choreography_of(map(manifest_from, declared(f"{sagas.__name__}.{name}")))


def found(name: str) -> tuple[Finding, ...]:
    return verify(choreography(name), compare=compare).findings


def test_there_are_many() -> None:
    """At least thirty shapes, each with a docstring that says which."""
    assert len(SAGAS) >= 30
    for name in SAGAS:
        assert import_module(f"{sagas.__name__}.{name}").__doc__


@pytest.mark.parametrize("name", SAGAS)
def test_nothing_is_found_in_a_correct_saga(name: str) -> None:
    """No error; no warning either, but for what `WARNED` explains, and that nobody gives up (CHO301)."""
    unexplained = [each for each in found(name) if each.rule not in (*WARNED.get(name, {}), "CHO301")]
    assert not unexplained, "\n".join(f"{each.rule} {each.message} ({each.where})" for each in unexplained)


@pytest.mark.parametrize("name", WARNED)
def test_what_is_explained_is_found(name: str) -> None:
    """An explanation that nothing needs any more goes."""
    assert {each.rule for each in found(name)} - {"CHO301"} == set(WARNED[name])


@pytest.mark.parametrize("name", SAGAS)
def test_whoever_waits_without_a_deadline_is_told_once(name: str) -> None:
    """In each saga one finding names every step that only its owner gives up on."""
    told = {each.saga: each.steps for each in found(name) if each.rule == "CHO301"}
    assert len(told) == sum(each.rule == "CHO301" for each in found(name))
    for graph in choreography(name).sagas:
        waited = {
            step.name
            for step in graph.steps.values()
            if step.kind == "compensatable"
            and _others_wait(graph, step)
            and not _is_watched(graph, step.name)
        }
        assert set(told.get(graph.name, ())) == waited


def _others_wait(graph: SagaGraph, step: Step) -> bool:
    outcomes = {*step.successes, *step.failures}
    return any(
        each.task != "observer" and each.participant != step.participant and outcomes & each.trigger.types
        for each in graph.handlers
    )


def _is_watched(graph: SagaGraph, name: str) -> bool:
    """Whether another participant has a deadline on a step, or on one that follows, armed before the step."""
    steps, later = graph.steps, {name}
    while (
        more := {s.name for n in later for e in steps[n].successes for s in graph.triggered.get(e, ())}
        - later
    ):
        later |= more
    after = {event for each in later for event in steps[each].successes}
    return any(
        each.step in later and each.participant != steps[name].participant and not after & each.trigger.types
        for each in graph.deadlines
    )


def test_the_naive_search_finds_nothing_either() -> None:
    """One failure in every interleaving, of those that don't have too many."""
    searched = 0
    for name in SAGAS if FUZZ else SAGAS[::3]:
        known = choreography(name)
        for graph in known.sagas:
            try:
                verdict = naive.Search(known.manifests, graph.contract).run(naive.Budget(1, 0, 0), 5_000)
            except naive.TooLarge:
                continue
            assert not verdict.wrong, "\n".join([name, verdict.wrong, *verdict.path])
            searched += 1
    assert searched >= (20 if FUZZ else 6)

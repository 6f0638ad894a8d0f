"""A correct saga that is spoilt in any way that people spoil them is reported: 98 % of the mutants, at least.

A mutant is killed by any finding that the correct saga doesn't have. One that isn't must be equivalent
(graph checks and the naive search find nothing either), or be explained in `survivors`. ``CHOREO_FUZZ=1``
takes every mutant of every saga, and searches as long as it takes; otherwise it is a small share of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from choreo.graph import Choreography, choreography_of
from choreo.project.manifests import compare
from choreo.verify import verify
from tests.verify.graph_oracle import broken_properties

from . import naive
from .mutants import OPERATORS, Mutant, mutants
from .survivors import SURVIVORS, explained
from .test_sagas import SAGAS, choreography

# In one process, which makes once what all of them use.
pytestmark = pytest.mark.xdist_group("mutants")

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
EVERY = 1 if FUZZ else 43
STATES = 1_000_000 if FUZZ else 5_000
TIMES = ("short deadline", "drop a deadline", "drop all timeouts")
"""What the search can't prove to change nothing: time has no part in it."""


def reported(known: Choreography) -> set[tuple[str, str]]:
    return {(each.rule, each.message) for each in verify(known, compare=compare).findings}


@cache
def reported_of_correct(saga: str) -> set[tuple[str, str]]:
    return reported(choreography(saga))


def sample() -> Iterator[tuple[str, Mutant]]:
    every = ((name, each) for name in SAGAS for each in mutants(choreography(name).manifests))
    yield from (found for number, found in enumerate(every) if number % EVERY == 0)


def fate(saga: str, mutant: Mutant) -> str:
    """Return what becomes of a mutant: killed, equivalent, explained, too large to prove, or survived."""
    if reported(choreography_of(mutant.manifests)) - reported_of_correct(saga):
        return "killed"
    if explained(saga, mutant.name):
        return "explained"
    if mutant.operator in TIMES:
        return "survived"
    try:
        return "survived" if is_wrong(mutant) else "equivalent"
    except naive.TooLarge:
        return "too large"


def is_wrong(mutant: Mutant) -> bool:
    """Ask the graph checks, and the search: all troubles together, or each alone where that is too much."""
    for graph in choreography_of(mutant.manifests).sagas:
        if broken_properties(mutant.manifests, graph.contract):
            return True
        search = naive.Search(mutant.manifests, graph.contract)
        try:
            verdicts = [search.run(naive.Budget(), STATES // 30)]
        except naive.TooLarge:
            alone = ((1, 0, 0), (0, bool(graph.deadlines), 0), (0, 0, bool(graph.contract.aborts)))
            verdicts = [search.run(naive.Budget(*each), STATES) for each in dict.fromkeys(alone)]
        if any(verdict.wrong for verdict in verdicts):
            return True
    return False


@pytest.fixture(scope="module")
def fates() -> dict[str, str]:
    return {f"{saga}: {mutant.name}": fate(saga, mutant) for saga, mutant in sample()}


def test_nearly_every_mutant_is_killed(fates: dict[str, str]) -> None:
    """Of those that aren't proven equivalent."""
    counts = Counter(fates.values())
    print(f"\n{len(fates)} mutants: {dict(counts)}")
    alive = counts["explained"] + counts["survived"] + (counts["too large"] if FUZZ else 0)
    assert counts["killed"] / (counts["killed"] + alive) >= 0.98, counts


def test_each_survivor_is_explained(fates: dict[str, str]) -> None:
    """In `survivors`, where it can be read."""
    unexplained = {"survived", "too large"} if FUZZ else {"survived"}
    assert not [name for name, what in fates.items() if what in unexplained]


def test_every_operator_makes_mutants() -> None:
    """None has become blind to how sagas are written."""
    for operator in OPERATORS:
        assert any(next(operator(choreography(name).manifests), None) for name in SAGAS), operator.__name__


@pytest.mark.parametrize("survivor", SURVIVORS, ids=lambda each: each.pattern)
def test_an_explanation_is_needed(survivor: object) -> None:
    """What is killed by now needs none."""
    saga, pattern, why = survivor  # type: ignore[misc]
    alike = [each for each in mutants(choreography(saga).manifests) if explained(saga, each.name)]
    assert alike, pattern
    assert why
    correct = reported_of_correct(saga)
    assert not [each.name for each in alike if reported(choreography_of(each.manifests)) - correct]

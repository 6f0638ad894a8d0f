"""Branches that are alike: one stands for all, and the verdict is that of a search that knows of none."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from math import inf

import pytest

from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.verify import Budget, Verdict, verify
from choreo.verify.engine import symmetry
from choreo.verify.engine.counterexample import search_of
from tests.programs.bench.choreographies import branches
from tests.verify.choreography_text import read_choreography
from tests.verify.mutants import OPERATORS

SEEDS = 400 if os.environ.get("CHOREO_FUZZ") else 8
BUDGET = Budget(states=60_000)

FORMS = {
    "step": "{n}.a < Started > {n}A / {n}AFailed",
    "row": "{n}.a < Started > {n}B / {n}BFailed | {n}.b < {n}B > {n}A / {n}AFailed",
    "partial": "{n}.a partial < Started > {n}A / {n}AFailed",
    "choice": "{n}.a < Started > {n}B {n}C / {n}BFailed | {n}.b < {n}B | {n}C > {n}A / {n}AFailed",
    "retriable": "{n}.a retriable < Started > {n}A",
    "leaf": "{n}.a < Started > {n}A / {n}AFailed | {n}.b < {n}A > {n}B / {n}BFailed",
    "two failures": "{n}.a < Started > {n}A / {n}AFailed {n}ABad",
}
"""The forms that a branch may have; ``{n}A`` is the event for which the join waits."""


def beside_each_other(seed: int) -> list[Manifest]:
    """Return five branches, most of them alike, that one step joins."""
    chance = random.Random(seed)
    form, other = chance.choice(list(FORMS)), chance.choice(list(FORMS))
    count = 5
    lines: list[str] = []
    for number in range(count):
        name = f"p{number}"
        kind = other if number == count - 1 and chance.random() < 0.3 else form
        for line in FORMS[kind].format(n=name).replace(" | " + name + ".", "\n" + name + ".").split("\n"):
            lines += [line, *undone(line)]
    join = " & ".join(f"p{number}A" for number in range(count))
    lines += [f"o.end {chance.choice(['', 'pivot'])} < {join} > Completed / EndFailed"]
    lines += undone(lines[-1])
    if chance.random() < 0.3:
        lines += ["o.late late p0.a < Started > P0Late"]
    lines += ["o.give_up of start derived < > Failed"]
    return read_choreography("\n".join((["Cancelled"] if chance.random() < 0.3 else []) + lines))


def undone(line: str) -> list[str]:
    """Return the compensation of a step, one for each of its success events."""
    step, *words = line.partition("<")[0].split()
    if "pivot" in words or "retriable" in words:
        return []
    successes = line.partition(">")[2].partition("/")[0].split()
    owner, _, name = step.partition(".")
    if len(successes) == 1:
        return [f"{owner}.undo_{name} of {step} derived < > {successes[0]}Undone"]
    return [f"{owner}.undo_{each} of {step} result={each} derived < > {each}Undone" for each in successes]


def spoilt(seed: int) -> Sequence[Manifest]:
    """Return such branches, spoilt in every other case."""
    chance, grown = random.Random(f"spoilt {seed}"), beside_each_other(seed)
    if chance.random() < 0.4:
        return grown
    mutants = [mutant for operator in OPERATORS for mutant in operator(tuple(grown))]
    return chance.choice(mutants).manifests


def judged(manifests: Sequence[Manifest]) -> Verdict:
    return verify(choreography_of(manifests), budget=BUDGET)


def said(verdict: Verdict) -> list[str]:
    return [repr(finding) for finding in verdict.findings]


@pytest.mark.parametrize("part", range(2))
def test_one_of_several_branches_stands_for_all(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right or spoilt: the same findings."""
    alike = 0
    for seed in range(part, SEEDS, 2):
        manifests = spoilt(seed)
        (graph,) = choreography_of(manifests).sagas
        groups = list(symmetry.alike(search_of(graph, 1).model))
        by_some = judged(manifests)
        with monkeypatch.context() as patch:
            patch.setattr(symmetry, "LEAST", inf)
            by_all = judged(manifests)
        assert said(by_some) == said(by_all), f"seed {seed}"
        alike += bool(groups)
    assert alike


@pytest.mark.parametrize(("width", "length", "most"), [(20, 3, 11_000), (20, 1, 2_300)])
def test_many_branches_have_few_states(width: int, length: int, most: int) -> None:
    """Twenty branches of three steps had 91,559."""
    verdict = verify(branches(width, length), budget=Budget())
    assert (verdict.errors, verdict.scope.unfinished) == (0, ())
    assert verdict.scope.states < most


ROW = FORMS["row"].replace(" | {n}.b", "\n{n}.b")
JOINED = "o.end pivot < {} > Completed / EndFailed\no.give_up of start derived < > Failed"


@pytest.mark.parametrize(
    ("spoils", "number"),
    [
        ("", 5),
        ("p4.undo_a of p4.a < EndFailed > p4BUndone", 4),
        ("o.late late p4.b < Started > Late", 4),
        ("o.more < p4B > More / MoreFailed", 4),
    ],
)
def test_a_branch_that_differs_is_not_like_the_others(spoils: str, number: int) -> None:
    """By another trigger, by a deadline, or by what else it calls."""
    lines = []
    for n in range(5):
        for line in ROW.format(n=f"p{n}").split("\n"):
            undo = undone(line)
            lines += [line, *(undo if not spoils.startswith(undo[0].partition(" ")[0]) else [spoils])]
    lines += [] if spoils in lines else [spoils, *(undone(spoils) if "More" in spoils else [])]
    lines += [JOINED.format(" & ".join(f"p{n}A" for n in range(5)))]
    (graph,) = choreography_of(read_choreography("\n".join(lines))).sagas
    groups = list(symmetry.alike(search_of(graph, 1).model))
    assert [len(group) for group in groups] == [number]
    assert all(branch.steps[0] != "p4.a" for group in groups for branch in group) == (number == 4)

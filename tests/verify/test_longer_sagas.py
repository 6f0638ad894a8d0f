"""Sagas of more than eight steps: right ones get no error, wrong ones do, with a run of the whole saga."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import replace
from itertools import count

import pytest

from choreo.graph import choreography_of
from choreo.manifest import Manifest
from choreo.outcome import START
from choreo.protocol import Trigger, events
from choreo.verify import Budget, Verdict, verify
from choreo.verify.engine.budget import Meter, no_clock
from choreo.verify.engine.counterexample import search_of
from choreo.verify.properties import Property
from tests.graph.small_sagas import choreography_from
from tests.verify import large, naive
from tests.verify.choreography_text import read_choreography
from tests.verify.judging import judge, large_and_sound
from tests.verify.random_runs import random_runs
from tests.verify.test_search import branches

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))

WANTED, APART = (500, 1) if FUZZ else (3, 5)
"""How many right sagas are wanted, and how far apart their seeds are."""


def judged(manifests: list[Manifest], troubles: int = 1) -> Verdict:
    return verify(choreography_of(manifests), budget=Budget(troubles))


def errors(verdict: Verdict) -> list[str]:
    return [finding.rule for finding in verdict.findings if finding.level == "error"]


def test_right_sagas_of_9_to_40_steps_have_no_error() -> None:
    """With choices, joins, merges, leaves, imports, cancellations and deadlines, as they come.

    A few grow that are not right: where there is an error, a run of the real protocol must show it.
    """
    right = 0
    for asked in filter(None, map(large_and_sound, count(0, APART))):
        both = judge(asked, runs=2)
        assert not both.is_inconclusive, f"seed {asked.seed}"
        assert both.is_wrong or not both.errors, str(both)
        right += not both.errors
        if right == WANTED:
            return


def test_a_partial_step_that_is_undone_although_the_saga_completes_is_found() -> None:
    """It has succeeded, and what follows from it fails beside the pivot: only an attempt may be undone."""
    (graph,) = choreography_of(read_choreography(MERGED)).sagas
    found = list(search_of(graph, 1).counterexamples(Meter(Budget(), no_clock)))
    assert {(each.property, each.step) for each in found} == {(Property.ONE_END, "pa.a")}
    assert errors(judged(read_choreography(MERGED))) == ["CHO209"]
    search = naive.Search(read_choreography(MERGED), graph.contract)
    assert random_runs(search, naive.Budget(), 300, seed=0).property == "one-end"


MERGED = """
    pa.a async partial < Started > A / AFailed
    pa.undo_a of pa.a < BFailed | BUndone > AUndone
    pb.b < A > B / BFailed
    pb.undo_b of pb.b < NotActive > BUndone
    pc.c < Started > C / CFailed
    pc.undo_c of pc.c < NotActive > CUndone
    po.activate pivot < B | C > Active / NotActive
    po.finish retriable < Active > Completed
    po.give_up of start < (AFailed | AUndone) & (CFailed | CUndone) > Failed
"""


def row(before: str, names: list[str], kind: str = "") -> tuple[list[str], str]:
    """Return lines of steps one after the other, and the last event; compensations are derived."""
    lines = []
    for name in names:
        lines += [
            f"p{name}.{name} {kind} < {before} > {name.upper()}"
            + ("" if kind else f" / {name.upper()}Failed")
        ]
        lines += [] if kind else [f"p{name}.undo_{name} of p{name}.{name} derived < > {name.upper()}Undone"]
        before = name.upper()
    return lines, before


@pytest.mark.parametrize("tail", [0, 1, 3] if FUZZ else [0, 3])
@pytest.mark.parametrize("branch", [1, 2, 4] if FUZZ else [1, 4])
@pytest.mark.parametrize("ways", [2, 3])
def test_a_choice_beside_a_branch_is_right(ways: int, branch: int, tail: int) -> None:
    """The step that joins them waits for the branch and for any of the ways, however long all of them are."""
    beside, end = row("Started", [f"b{n}" for n in range(branch)])
    chosen = [f"W{n}" for n in range(ways)]
    lines = [f"pc.choose < Started > {' '.join(chosen)} / NotChosen", *beside]
    lines += [
        f"pc.undo_{n} of pc.choose result={way} derived < > {way}Undone" for n, way in enumerate(chosen)
    ]
    ends = []
    for number, way in enumerate(chosen):
        steps, last = row(way, [f"w{number}x{n}" for n in range(branch)])
        lines += steps
        ends.append(last)
    last = "Completed" if not tail else "T"
    lines += [f"pj.join pivot < {' | '.join(f'{end} & {each}' for each in ends)} > {last} / NotJoined"]
    if tail:
        more, _ = row("T", [f"t{n}" for n in range(tail)], "retriable")
        lines += [*more[:-1], more[-1].rpartition(">")[0] + "> Completed"]
    lines += ["po.give_up of start derived < > Failed"]

    verdict = judged(read_choreography("\n".join(lines)))
    assert errors(verdict) == []
    assert verdict.scope.unfinished == ()


IMPORTED = """
    ps.reserve < Started > Reserved / NotReserved
    ps.undo_reserve of ps.reserve derived < > ReservedUndone
    px imports Confirmed
    pr.route < Confirmed > Routed / NotRouted
    pr.undo_route of pr.route < NotActive > RoutedUndone
    po.give_up of start derived < > Failed
"""


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("tail", [0, 1, 4, 9] if FUZZ else [0, 4])
@pytest.mark.parametrize("branch", [0, 1, 5] if FUZZ else [0, 5])
def test_a_step_that_an_import_alone_calls_is_found_left_done(
    branch: int, tail: int, follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs while the rest is rolled back, and nobody waits for it: right by R8, and wrong without it."""
    steps, last = row("Reserved", [f"b{n}" for n in range(branch)])
    end = "Active" if tail else "Completed"
    lines = [*steps, f"pa.activate pivot < {last} & Routed > {end} / NotActive"]
    if tail:
        more, _ = row("Active", [f"t{n}" for n in range(tail)], "retriable")
        lines += [*more[:-1], more[-1].rpartition(">")[0] + "> Completed"]
    if not follows:
        monkeypatch.setattr(events, "_unwinds", lambda contract, event: False)
    verdict = judged(read_choreography(IMPORTED + "\n".join(lines)))

    found = [finding for finding in verdict.findings if finding.level == "error"]
    assert [(each.rule, each.steps) for each in found] == ([] if follows else [("CHO203", ("pr.route",))])
    assert all(each.run_file for each in found)


@pytest.mark.parametrize(("width", "length"), [(12, 1), (20, 1), (4, 7), (8, 7)])
def test_one_bad_pair_of_many_branches_is_found(width: int, length: int) -> None:
    """One branch is undone when another's first step fails, although what waits for it may still be done."""
    handlers = large.chains(2 * width * length + 4, width)
    undos = [handler for handler in handlers if handler.task == "compensation" and handler.step != START]
    failing = next(handler for handler in handlers if handler.task == "action")
    called = Trigger.of(*failing.emits.failures)
    spoilt = [
        replace(each, derived=False, trigger=called) if each is undos[-1] else each for each in handlers
    ]

    assert set(errors(judged(list(large.manifests(spoilt))))) & {"CHO203", "CHO204"}


@pytest.mark.parametrize("width", [4, 20])
def test_what_is_called_by_one_branch_of_many_is_found_at_once(width: int) -> None:
    """Not by every combination of how the others end."""
    called = Trigger.of("g.S0Failed")
    handlers = [
        replace(each, derived=False, trigger=called) if each.step == START else each
        for each in large.chains(2 * width + 4, width)
    ]
    verdict = judged(list(large.manifests(handlers)))

    assert errors(verdict) == ["CHO204"]
    assert verdict.scope.states < 2_000


def test_a_state_takes_little_memory() -> None:
    """So a budget of states is one of memory, too."""
    (graph,) = choreography_from(branches(4, 3), cancellable=True).sagas
    meter = Meter(Budget(), no_clock)
    tracemalloc.start()
    try:
        assert list(search_of(graph, 1).counterexamples(meter)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert meter.states > 1_000
    assert peak / meter.states < 4_000, peak / meter.states

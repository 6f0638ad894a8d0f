"""`choreo verify` and the naive search agree on random choreographies, right and wrong.

``CHOREO_FUZZ=1`` takes twice as many, ``CHOREO_SEEDS`` as many as it says; ``make proof`` takes 100,000.
"""

from __future__ import annotations

import os

import pytest

from choreo.graph import choreography_of, roles_of
from tests.graph.small_sagas import manifests_of
from tests.protocol import sagas
from tests.protocol.explore import Budget as Explored
from tests.protocol.explore import Machine, explore
from tests.protocol.sagas import Saga, chain
from tests.verify.choreography_text import read_choreography, write_choreography
from tests.verify.naive_participant import role_of, written_out

from . import naive
from .growth import grow
from .judging import judge, large_and_sound, question, random_choreography
from .random_runs import random_runs

SEEDS = int(os.environ.get("CHOREO_SEEDS", "160" if os.environ.get("CHOREO_FUZZ") else "40"))
PARTS = 8
FEW_RUNS, FEW_STATES = 10, 2_000
"""The random runs of a larger choreography, and the states of its verdict, in ``make test``."""


@pytest.mark.parametrize("part", range(PARTS))
def test_verify_and_the_naive_search_agree(part: int) -> None:
    """Of random choreographies, half of them spoilt: nothing missed, and nothing made up."""
    for seed in range(part, SEEDS, PARTS):
        try:
            both = judge(random_choreography(seed))
        except naive.TooLarge:
            continue
        assert both.agrees, str(both)


@pytest.mark.parametrize("part", range(4))
def test_verify_and_random_runs_agree(part: int) -> None:
    """Of choreographies of up to 12 steps, with one trouble and with two: no run breaks a clean one."""
    for seed in range(part, SEEDS // 4, 4):
        both = judge(question(seed), FEW_RUNS, FEW_STATES)
        assert both.agrees, str(both)


def test_large_and_sound_choreographies_have_no_errors() -> None:
    """Of 9 to 40 steps, with choices, joins and imports."""
    for asked in filter(None, map(large_and_sound, range(SEEDS // 16))):
        both = judge(asked, 2, FEW_STATES)
        assert both.is_wrong or both.agrees, str(both)


def test_the_verified_roles_are_those_of_the_manifests() -> None:
    """The engine's protocol roles, and the oracle's, read from the same manifests on their own."""
    for seed in range(300):
        manifests = grow(seed)
        (graph,) = choreography_of(manifests).sagas
        own = {each.participant: role_of(each, each.sagas[0]) for each in written_out(manifests)}
        for role in roles_of(graph):
            assert _shape(role) == _shape(own[role.participant])


def _shape(role: object) -> object:
    return {
        (each.step, each.trigger, each.kind, each.failure, each.partial)
        for each in role.actions  # type: ignore[attr-defined]
    } | {
        (each.step, result, undo.trigger, undo.answer)
        for each in role.actions  # type: ignore[attr-defined]
        for undo in each.compensations
        for result in undo.results
    }


def test_what_is_written_is_read_again() -> None:
    """A difference can be pasted into a test."""
    for seed in range(100):
        text = write_choreography(grow(seed))
        assert write_choreography(read_choreography(text)) == text


CHAIN = """
    a.one < Started > One / OneFailed
    a.undo_one of a.one result=One < TwoFailed | CompletedUndone > OneUndone
    b.two < One > Completed / TwoFailed
    b.undo_two of b.two result=Completed <  > CompletedUndone
    o.give_up of start result=Started < OneFailed | OneUndone > Failed
"""
JOIN = """
    a.one < Started > One / OneFailed
    a.undo_one of a.one result=One < EndFailed > OneUndone
    b.two < Started > Two / TwoFailed
    b.undo_two of b.two result=Two < EndFailed > TwoUndone
    o.end pivot < One & Two > Completed / EndFailed
    o.give_up of start derived < > Failed
"""
CHOICE = """
    a.one < Started > Big Small / OneFailed
    a.undo_big of a.one result=Big < TwoFailed | TwoUndone > BigUndone
    a.undo_small of a.one result=Small < EndFailed > SmallUndone
    b.two < Big > Two / TwoFailed
    b.undo_two of b.two result=Two < EndFailed > TwoUndone
    o.end pivot < Two | Small > Completed / EndFailed
    o.give_up of start result=Started < OneFailed | BigUndone | SmallUndone > Failed
"""
LATE = CHAIN + "o.late late b.two < Started > TwoLate"
GONE = "Cancelled\n" + CHAIN

GOLDEN = {
    "chain": (CHAIN, 212),
    "join": (JOIN, 1_640),
    "choice": (CHOICE, 536),
    "deadline": (LATE, 1_815),
    "cancellation": (GONE, 1_837),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_naive_search_visits_every_state(name: str) -> None:
    """As many as ever: a move that gets lost, or a new one, shows."""
    text, states = GOLDEN[name]
    manifests = read_choreography(text)
    found = naive.Search(manifests, manifests[0].sagas[0]).run(naive.Budget(), 100_000)
    assert (found.wrong, found.ends) == ("", {"completed", "failed"})
    assert found.states == states


@pytest.mark.parametrize(
    ("saga", "failures", "deadlines", "cancellations"),
    [
        (chain(2), 1, 0, 0),
        (chain(1), 1, 0, 1),
        (chain(1).with_watch("A"), 0, 1, 0),
        (chain(2).with_watch("B", far=True), 0, 1, 0),
        (sagas.RETRIABLE_TAIL, 0, 0, 1),
        (sagas.MERGE, 0, 0, 0),
        (sagas.JOIN, 1, 0, 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_two_explorers_count_the_same(saga: Saga, failures: int, deadlines: int, cancellations: int) -> None:
    """The protocol's own explorer, without its reduction, was written apart from this one."""
    explored = explore(
        Machine(saga, reduce=False),
        Explored(failures=failures, deadlines=deadlines, cancellations=cancellations),
    )
    manifests = manifests_of(saga, cancellable=True)
    budget = naive.Budget(failures, deadlines, cancellations)
    assert naive.Search(manifests, manifests[0].sagas[0]).run(budget, 100_000).states == explored.states


WRONG = {
    "termination": CHAIN.replace("TwoFailed | Comp", "Comp"),
    "reverse-order": CHAIN.replace("OneFailed | OneUndone", "OneFailed | TwoFailed"),
    "complete-rollback": LATE.replace("result=Completed <  >", "result=Completed no-aborted < Never >"),
    "R5": LATE.replace("b.undo_two of", "a.undo_two of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_naive_search_finds_what_is_wrong(name: str) -> None:
    """Each property is broken by a saga that is nearly right."""
    manifests = read_choreography(WRONG[name])
    found = naive.Search(manifests, manifests[0].sagas[0]).run(naive.Budget(), 100_000)
    assert found.property == name, found.wrong
    assert found.path


@pytest.mark.parametrize("name", WRONG)
def test_random_runs_find_what_is_wrong(name: str) -> None:
    """The same, in a few hundred runs: each is right or wrong by the same words."""
    manifests = read_choreography(WRONG[name])
    search = naive.Search(manifests, manifests[0].sagas[0])
    found = random_runs(search, naive.Budget(), 300, seed=0)
    assert found.property == name, found.wrong


@pytest.mark.parametrize("name", GOLDEN)
def test_random_runs_find_nothing_in_what_is_right(name: str) -> None:
    """And come to both ends."""
    manifests = read_choreography(GOLDEN[name][0])
    search = naive.Search(manifests, manifests[0].sagas[0])
    found = random_runs(search, naive.Budget(), 50, seed=0)
    assert (found.wrong, found.ends) == ("", {"completed", "failed"})

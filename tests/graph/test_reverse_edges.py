"""What a choreography knows: its steps, the protocol's roles, and the reverse edges of every shape."""

from __future__ import annotations

from dataclasses import replace

import pytest

from choreo.graph import choreography_of, reverse_edges, role_of, trigger_of
from choreo.manifest import Manifest
from choreo.outcome import START
from choreo.protocol import Trigger
from tests.graph.small_sagas import choreography_from, manifests_of, step_of
from tests.protocol import sagas
from tests.protocol.sagas import Saga, chain, last, step
from tests.protocol.test_exploration import SHAPES

NESTED = Saga(
    "nested-fork",
    (
        step("A", sagas.STARTED),
        step("B", "ADone"),
        step("C", "ADone"),
        step("D", "CDone"),
        step("E", "CDone"),
        last("F", Trigger.all_of(Trigger.of("BDone"), Trigger.of("DDone"), Trigger.of("EDone"))),
    ),
)
"""A fork, one branch of which forks again; one join for all."""

ALL = [*SHAPES.values(), NESTED]


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.name)
def test_reverse_edges_are_those_of_rule_r7(saga: Saga) -> None:
    """Of every shape, for every success event of every step: what the protocol's exploration found right."""
    (graph,) = choreography_from(saga).sagas
    for each in saga.steps:
        edges = reverse_edges(graph, step_of(each.name))
        assert set(edges) == set(each.results)
        for result in each.results:
            assert trigger_of(edges[result]) == saga.reverse_edges(result)


def test_a_fork_within_a_fork_waits_for_both_inner_branches() -> None:
    """The compensation before the inner fork is called by each of its branches, and by none alone."""
    (graph,) = choreography_from(NESTED).sagas
    assert reverse_edges(graph, "c.do")["CDone"] == (
        frozenset({"DFailed", "DUndone"}),
        frozenset({"EFailed", "EUndone"}),
    )
    assert reverse_edges(graph, "b.do")["BDone"] == (frozenset({"FFailed", "FUndone"}),)


def test_a_step_that_nothing_that_can_fail_follows_is_a_leaf() -> None:
    """Its compensation is called by the saga's first failure: there are no slots."""
    (graph,) = choreography_from(sagas.LEAF).sagas
    assert reverse_edges(graph, "l.do") == {"LDone": ()}
    assert trigger_of(()) == Trigger()


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.name)
def test_a_derived_trigger_is_the_one_that_would_be_written(saga: Saga) -> None:
    """Who leaves the triggers to the choreography gets the very roles of who writes them out."""
    (written,) = choreography_from(saga).sagas
    (derived,) = choreography_from(saga, derived=True).sagas
    for participant in written.participants:
        assert role_of(derived, participant) == role_of(written, participant)
    assert {handler.name for handler in derived.handlers} == {handler.name for handler in written.handlers}


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.name)
def test_the_roles_are_those_that_the_protocol_was_explored_with(saga: Saga) -> None:
    """Triggers, kinds, failures and compensations come through the manifests as they were declared."""
    (graph,) = choreography_from(saga, cancellable=True).sagas
    for mine, theirs in zip(saga.roles, (role_of(graph, name) for name in _names(saga)), strict=True):
        assert [a.trigger for a in theirs.actions] == [each.trigger for each in mine.actions]
        assert [(a.kind, a.failure) for a in theirs.actions] == [(a.kind, a.failure) for a in mine.actions]
        assert theirs.contract == mine.contract


def _names(saga: Saga) -> list[str]:
    return [sagas.ORDERS, *(step.name.lower() for step in saga.steps)]


def test_one_compensation_for_a_choice_has_the_edges_of_what_was_chosen() -> None:
    """A derived compensation without a result parameter is called by either branch, each by its own."""
    made = manifests_of(sagas.BYPASS, derived=True)
    (graph,) = choreography_of(map(_with_one_undo, made)).sagas
    undos = graph.steps["a.do"].compensations
    assert {(undo.results, undo.trigger) for undo in undos} == {
        (frozenset({"A1"}), Trigger.of("BFailed", "BUndone")),
        (frozenset({"A2"}), Trigger.of("CFailed", "CUndone")),
    }


def _with_one_undo(manifest: Manifest) -> Manifest:
    """Leave a participant its first compensation only, for whatever its action returned."""
    undo = next(handler for handler in manifest.handlers if handler.task == "compensation")
    others = (handler for handler in manifest.handlers if handler.task != "compensation")
    return replace(manifest, handlers=(*others, replace(undo, results=frozenset())))


def test_the_start_is_a_step_of_whoever_compensates_it() -> None:
    """Its owner is who ends the saga in its `fails` event."""
    (graph,) = choreography_from(chain(2)).sagas
    assert graph.steps[START].participant == sagas.ORDERS
    assert graph.outcome[sagas.FAILS] == (START, "compensated")

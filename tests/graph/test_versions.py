"""Versions of a saga: a graph, roles and locked triggers for each that differs."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings

from choreo.graph import Choreography, choreography_of, derive_from, lock_of, read_lock, role_of, write_lock
from choreo.manifest import manifest_of, read_manifest, write_manifest
from choreo.participant import Participant
from choreo.protocol import Role
from choreo.saga import ALL_VERSIONS, Versions
from choreo.verify.verdict import verify
from tests.worker.versioned import NEWEST, Plan, Segment, nobody, plans, release

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
few = settings(max_examples=500 if FUZZ else 10, derandomize=not FUZZ, deadline=None)


def choreography(participants: dict[str, Participant]) -> Choreography:
    """Return the choreography that is read from what is written of the participants."""
    texts = [write_manifest(manifest_of(each, {})) for each in participants.values()]
    return choreography_of(read_manifest(text, "") for text in texts)


def declared(role: Role) -> tuple[object, ...]:
    """Return what a role declares, in any order."""
    return role.contract, role.action, role.deadline, set(role.observers)


@few
@given(plan=plans)
def test_the_graph_of_a_version_has_its_steps_and_gives_the_roles_of_the_workers(plan: Plan) -> None:
    """What is verified is what runs, in each version."""
    participants = release(plan, NEWEST, nobody)
    graphs = choreography(participants).graphs
    for version in range(1, NEWEST + 1):
        (graph,) = (each for each in graphs if each.versions.includes(version))
        steps = {f"{each.owner}.{each.function}" for each in plan.steps(version)}
        assert {step.name for step in graph.steps.values() if step.handler} == steps
        for name, participant in participants.items():
            of_worker = participant.roles_by_version().of("orders", version)
            assert declared(role_of(graph, name)) == declared(of_worker)


@few
@given(plan=plans)
def test_a_lock_has_the_triggers_of_each_version(plan: Plan) -> None:
    """Written and read, it gives each participant the roles that the whole choreography gives."""
    participants = release(plan, NEWEST, nobody)
    lock = lock_of(choreography(participants))
    text = write_lock(lock)
    assert read_lock(text, "") == lock
    has_versions = any(saga.versions != ALL_VERSIONS for saga in lock.sagas)
    assert json.loads(text)["format"] == (3 if has_versions else 2)
    for name, other in release(plan, NEWEST, nobody, derived=False).items():
        derive_from(read_lock(text, ""), other)
        assert all(
            other.roles_by_version().of("orders", version)
            == participants[name].roles_by_version().of("orders", version)
            for version in range(NEWEST + 1)
        )


def step(place: int, since: int, until: int | None, is_there: bool = True) -> Segment:
    return Segment(place, Versions(since, until), is_there)


CHECKED_LATER = Plan(
    (step(0, 1, None), step(1, 1, 1, False), step(1, 2, None), step(2, 1, 1), step(2, 2, None)), ()
)
"""In version 2 a step is inserted before the last one."""


def test_verify_looks_at_each_version_that_differs() -> None:
    """And says in its scope how many there are."""
    verdict = verify(choreography(release(CHECKED_LATER, 2, nobody)))
    assert [each.rule for each in verdict.findings if each.level == "error"] == []
    assert (verdict.scope.sagas, verdict.scope.versions) == (1, 2)
    assert "1 saga in 2 versions" in str(verdict.scope)


@pytest.mark.parametrize(("versions", "named"), [((1, 1), "version 1"), ((2, None), "version 2 and later")])
def test_a_finding_says_of_which_versions_it_is(versions: tuple[int, int | None], named: str) -> None:
    """Where a step is missing in one version alone."""
    rest = tuple(each for each in CHECKED_LATER.segments if (each.place, each.versions) != (2, versions))
    found = verify(choreography(release(CHECKED_LATER._replace(segments=rest), 2, nobody)))
    errors = [each for each in found.findings if each.level == "error"]
    assert errors
    assert all(each.message.endswith(f"(in {named} of the saga)") for each in errors)


def test_a_finding_in_all_versions_is_reported_once() -> None:
    """And is no matter of versions."""
    participants = release(CHECKED_LATER, 2, nobody)
    front = participants["front"]
    kept = [each for each in front.handlers if each.name != "front.undo_step0_1"]
    verdict = verify(choreography({**participants, "front": front.with_handlers(kept)}))
    found = [each.message for each in verdict.findings if each.rule == "CHO201"]
    assert len(found) == 1
    assert "version" not in found[0]

"""A join of many branches, from its declaration to its rollback."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product

import pytest

from choreo.graph import choreography_of, lock_of, read_lock, write_lock
from choreo.manifest import digest_of, manifest_of, read_manifest, write_manifest
from choreo.outcome import COMPENSATED, FAILED
from choreo.render.graph import dot, rows, table
from choreo.render.mermaid import flowchart
from choreo.testing import Harness
from choreo.verify import verify
from tests.scenarios.wide import Wide, wide

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
SIZES = tuple(product((12, 14, 16, 17, 20, 30), (1, 2, 3)))


def written(made: Wide) -> list[str]:
    return [write_manifest(manifest_of(each, {})) for each in made.participants]


@pytest.mark.parametrize(("width", "ends"), SIZES if FUZZ else [(14, 2), (20, 3)])
def test_it_is_read_back_from_its_manifest(width: int, ends: int) -> None:
    """And so are the compensations that wait for all branches, from the lock."""
    manifests = [manifest_of(each, {}) for each in wide(width, ends, hosts=2).participants]
    lock = lock_of(choreography_of(manifests))

    assert [
        replace(read_manifest(write_manifest(each), ""), origin=each.origin) for each in manifests
    ] == manifests
    assert read_lock(write_lock(lock), "") == lock
    assert not any(lock.is_stale(each) for each in manifests)
    (saga,) = lock.sagas
    assert [len(edges["wide.Started"]) for step, edges in saga.edges.items() if step == "start"] == [width]


@pytest.mark.parametrize("joins", [1, 4])
def test_what_is_written_grows_with_its_branches(joins: int) -> None:
    """Twice the branches make twice the bytes: in manifests, lock, table and diagrams."""

    def sizes(width: int) -> list[int]:
        made = wide(width, 3, joins=joins)
        graph = choreography_of(read_manifest(text, "") for text in written(made)).sagas[0]
        texts = [
            *written(made),
            write_lock(lock_of(choreography_of(manifest_of(each, {}) for each in made.participants))),
        ]
        return [len(text) for text in (*texts, dot(graph), flowchart(graph), "".join(map(str, rows(graph))))]

    small, large = sizes(10), sizes(20)
    assert all(more <= 2.2 * one for one, more in zip(small, large, strict=True))


def test_a_join_of_joins_is_one_join() -> None:
    """However its branches are grouped, the manifests say the same."""
    one, other = (
        [manifest_of(each, {}) for each in wide(20, 2, joins=joins).participants] for joins in (1, 5)
    )
    assert list(map(digest_of, one)) == list(map(digest_of, other))


def test_the_table_has_a_line_for_each_branch() -> None:
    """A join of 20 is not a line of 20."""
    graph = choreography_of(manifest_of(each, {}) for each in wide(20, 2).participants).sagas[0]
    lines = table(graph).splitlines()

    assert max(map(len, lines)) < 300
    assert sum("& (Done" in line for line in lines) == 19
    assert sum("& (Failed" in line for line in lines) == 19


@pytest.mark.parametrize(("width", "ends"), SIZES if FUZZ else [(14, 1)])
def test_it_is_verified(width: int, ends: int) -> None:
    """To the end, and nothing is wrong with it."""
    verdict = verify(choreography_of(manifest_of(each, {}) for each in wide(width, ends).participants))

    assert not verdict.scope.unfinished
    assert {each.level for each in verdict.findings} <= {"warning"}


def test_it_runs_to_its_end_and_back_from_each_branch() -> None:
    """On the broker in memory: one saga in which nothing fails, and one for each step that may."""
    width = 20
    made = wide(width, 2, hosts=2, joins=4)
    steps = [*(f"do{number}" for number in range(width)), "meet", "pay"]
    with Harness(made.participants) as harness:
        for name in ("calm", *steps):
            harness.start(made.started("k"), name)
        harness.run()

        assert not harness.letters()
        assert {name: harness.state(name) for name in steps} == dict.fromkeys(steps, "failed")
        assert harness.state("calm") == "completed"
        for name in steps:
            events = harness.events(name)
            undone = [each.step for each in events if each.outcome == COMPENSATED]
            failed = [each.step for each in events if each.outcome == FAILED]
            done = [each.step for each in events if each.outcome not in (COMPENSATED, FAILED)]
            assert sorted(undone) == sorted(done)
            assert sorted({*undone, *failed}) == sorted([*undone, *failed])
            assert undone[-1] == "start"
            assert f"desk.{name}" in failed or any(each.endswith(f".{name}") for each in failed)

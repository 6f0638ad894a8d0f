"""Stores of before: they open, their chains hold, and the same is told of them as was told then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import assert_refused, invoke
from tests.upgrade.world import BEFORE, World, told, unpack

MANY = ("--limit", "1000", "--format", "json")
GRAPH = ("--graph", "manifests")


def test_the_chains_hold(world: World) -> None:
    """The heads of then fit; of what was pruned since, and erased, too."""
    (world.folder / "heads.jsonl").write_text(world.golden("heads.jsonl"))
    assert told("log", "verify", "--heads", "heads.jsonl") == world.golden("verify.txt")
    if (BEFORE / "golden" / world.name / "heads-earlier.jsonl").exists():
        (world.folder / "earlier.jsonl").write_text(world.golden("heads-earlier.jsonl"))
        assert told("log", "verify", "--heads", "earlier.jsonl") == world.golden("verify-earlier.txt")


def test_the_heads_are_the_same(world: World) -> None:
    """Each link is made as it was made then."""
    assert told("log", "heads") == world.golden("heads.jsonl")


def test_the_same_sagas_are_listed(world: World) -> None:
    """Where they stand, and what they wait for; with their graph, what they will wait for."""
    assert json.loads(told("sagas", *MANY)) == json.loads(world.golden("sagas.json"))
    assert json.loads(told("sagas", *GRAPH, *MANY)) == json.loads(world.golden("sagas-graph.json"))


def test_the_same_sagas_are_stuck(world: World) -> None:
    """In which nothing has happened for a minute."""
    stuck = told("sagas", "--stuck", "--threshold", "1m", "--format", "json", code=1)
    assert json.loads(stuck) == json.loads(world.golden("stuck.json"))


def test_the_same_story_is_told_of_each_saga(world: World) -> None:
    """Moment by moment."""
    golden = json.loads(world.golden("traces.json"))
    assert set(golden) == set(world.sagas())
    for saga_id, story in golden.items():
        assert json.loads(told("trace", saga_id, "--format", "json")) == story


def test_the_same_story_is_told_with_the_graph(world: World) -> None:
    """Of sagas that have not ended: what remains is told, too."""
    golden = json.loads(world.golden("traces-graph.json"))
    listed = json.loads(world.golden("sagas.json"))
    for saga_id in (each["saga_id"] for each in listed if each["state"] not in ("completed", "failed")):
        assert json.loads(told("trace", saga_id, *GRAPH, "--format", "json")) == golden[saga_id]


def test_the_same_dead_letters_are_listed(world: World) -> None:
    """Those that are open, and those that were settled."""
    assert json.loads(told("dlq", "list", "--all", "--format", "json")) == json.loads(
        world.golden("dlq.json")
    )


def test_every_store_is_what_its_log_says(world: World) -> None:
    """Row by row, by the fold of today; of sagas in flight what they owe, too."""
    for participant in (each.name for each in world.participants):
        golden = json.loads(world.golden(f"fold-{participant}.json"))
        result = world.fold(participant, list(golden))
        assert result.exit_code == 0, result.output
        reports = {each["saga_id"]: {**each, "rows": len(each["rows"])} for each in json.loads(result.stdout)}
        assert reports == golden


@pytest.mark.parametrize("name", ["schema-1"])
def test_who_only_reads_changes_no_store(folder: Path, name: str) -> None:
    """One of an older schema is refused, and says what brings it up to date."""
    unpack(name, folder)
    before = {path: path.read_bytes() for path in folder.glob("*.db")}
    result = invoke("sagas")
    assert_refused(result.exit_code, result.stderr, "not a store of this version")
    assert {path: path.read_bytes() for path in folder.glob("*.db")} == before

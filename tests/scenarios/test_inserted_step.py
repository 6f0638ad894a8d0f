"""A step is put into the middle of a saga, two of which are in flight: one goes on, one is aborted.

`verify` says beforehand that both are stranded. The worker says how many are past the new step, and one
command has it done in these; sagas of a version of their own need none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from choreo.graph import choreography_of, derive
from choreo.manifest import manifest_of
from choreo.testing import Harness
from choreo.verify import verify
from tests.cli.command import invoke
from tests.scenarios.midstep import Shop, Started, checking, first, versioned

ORDERS = (("till", "dock", "belt"), ("belt", "dock", "till"))
DONE = ("Checked", "Packed", "Paid", "Shipped")


def found(new: Shop, old: Shop) -> set[str]:
    """Return the errors of a release."""
    graphs = [choreography_of(manifest_of(each, {}) for each in shop) for shop in (new, old)]
    verdict = verify(graphs[0], older=graphs[1])
    return {each.rule for each in verdict.findings if each.level == "error"}


def test_verify_finds_who_is_stranded() -> None:
    assert found(checking(), first()) == {"CHO801"}
    assert found(versioned(), first()) == set()


@pytest.fixture
def halfway(tmp_path: Path, saga_harness: Callable[..., Harness]) -> Harness:
    """Return both sagas where the dock has answered, and the belt has read nothing of what is paid."""
    harness = saga_harness(*first(), folder=tmp_path)
    for saga_id in ("aborted", "going"):
        harness.start(Started(saga_id), saga_id)
    harness.processes["belt"].rests_until = harness.clock.now() + 1
    answers = {"midstep.Shipped", "midstep.NotShipped"}
    harness.run(until=lambda: answers <= {each.type for each in harness.events()})
    return harness


def done(harness: Harness, saga_id: str) -> list[str]:
    """Return what is done in a saga, and not undone."""
    query = "select what from done where n = ?"
    rows = (each.execute(query, [saga_id]).fetchall() for each in harness.databases.values())
    return sorted(what for each in rows for (what,) in each)


def ended(harness: Harness, sagas: Iterable[str]) -> dict[str, tuple[str, list[str]]]:
    return {saga_id: (harness.state(saga_id), done(harness, saga_id)) for saga_id in sagas}


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_newly_declared_is_done_where_somebody_asks_for_it(
    halfway: Harness,
    order: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The saga that goes on is checked and completes; the aborted one is not checked, and is undone."""
    caplog.set_level(logging.INFO, "choreo.worker")
    bodies = {
        headers["ce_id"].decode(): each.value for each in halfway.records() if (headers := dict(each.headers))
    }  # type: ignore[union-attr]
    monkeypatch.setattr("choreo.cli.releases.apply.bodies_of", lambda cluster, rows: bodies)
    release(halfway, checking(), order)
    assert "till.checked is new: 2 sagas in flight are past what calls it" in caplog.text
    assert set(halfway.ends()).isdisjoint({"completed", "failed"})
    store = str(tmp_path / "till.db")
    asked = invoke(
        *("releases", "apply", "till.checked", "--store", store, "--bootstrap", "kafka:9092", "--yes")
    )
    assert asked.exit_code == 0, asked.output
    halfway.processes["till"].faulty_store.was_touched = True
    halfway.run()
    assert ended(halfway, ("aborted", "going")) == {
        "aborted": ("failed", []),
        "going": ("completed", [*DONE]),
    }
    assert halfway.letters() == []


@pytest.mark.parametrize("order", ORDERS)
def test_a_version_of_its_own_strands_nobody(halfway: Harness, order: tuple[str, ...]) -> None:
    """In any order: what is started by then is checked, what was in flight is not, and all of it ends."""
    release(halfway, versioned(), order)
    halfway.start(Started("late"), "late")
    halfway.run()
    assert ended(halfway, ("aborted", "going", "late")) == {
        "aborted": ("failed", []),
        "going": ("completed", ["Packed", "Paid", "Shipped"]),
        "late": ("completed", [*DONE]),
    }
    assert halfway.letters() == []


def release(harness: Harness, shop: Shop, order: Iterable[str]) -> None:
    """Replace the participants one after the other."""
    derive(shop)
    harness.release(*(getattr(shop, name) for name in order))
    harness.run()

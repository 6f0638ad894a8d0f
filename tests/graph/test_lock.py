"""The choreography's lock: what each compensation's trigger resolves to, and when it is out of date."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from choreo.errors import ManifestError
from choreo.graph import Lock, choreography_of, lock_of, read_lock, trigger_of, write_lock
from choreo.manifest import Manifest, write_manifest
from choreo.manifest.document import hash_of
from choreo.outcome import START
from choreo.protocol import Trigger
from tests.graph.small_sagas import choreography_from, manifests_of, step_of
from tests.protocol import sagas
from tests.protocol.sagas import Saga, chain
from tests.protocol.triggers import alternatives


def lock(saga: Saga, *, derived: bool = False) -> Lock:
    return lock_of(choreography_from(saga, derived=derived), "0.1.0")


@pytest.mark.parametrize("saga", [chain(3), sagas.JOIN, sagas.CHOICE, sagas.PIVOT_MIDDLE, sagas.LEAF])
def test_a_lock_is_read_as_it_was_written(saga: Saga) -> None:
    """Nothing is lost, and writing it again gives the same text."""
    text = write_lock(lock(saga))
    assert read_lock(text, "choreography.json") == lock(saga)
    assert write_lock(read_lock(text.encode(), "")) == text


def test_a_lock_gives_the_reverse_edges_of_a_step() -> None:
    """By saga, step and success event; the start is a step, and what isn't undone is in no lock."""
    locked = lock(sagas.PIVOT_MIDDLE, derived=True)
    (edges,) = (locked.edges("pivot-middle", step_of("A")),)
    assert edges == {"ADone": (frozenset({"BFailed"}),)}
    assert trigger_of(edges["ADone"]).satisfied({"BFailed"})
    assert locked.edges("pivot-middle", START) == {"Started": (frozenset({"AFailed", "AUndone"}),)}
    assert locked.edges("pivot-middle", step_of("B")) is None
    assert locked.edges("another", START) is None


def test_a_lock_is_stale_when_a_participant_declares_something_else() -> None:
    """Another trigger makes it so; another line of code, or another participant, doesn't."""
    locked = lock(chain(3))
    orders, first, *others = manifests_of(chain(3))
    action, undo = first.handlers
    moved = replace(first, handlers=(replace(action, place="a.py:99", timeout_ms=1), undo))
    assert not any(locked.is_stale(manifest) for manifest in (orders, first, moved, *others))
    assert locked.is_stale(replace(first, handlers=(replace(action, kind="pivot"), undo)))
    assert locked.is_stale(replace(first, participant="newcomer"))


@pytest.mark.parametrize("saga", [chain(3), sagas.JOIN, sagas.CHOICE_INTO_JOINS])
def test_a_lock_of_the_former_format_is_still_of_the_same_declarations(saga: Saga) -> None:
    """Its digests are of triggers multiplied out."""
    manifests = manifests_of(saga)
    content = json.loads(write_lock(lock(saga)))
    del content["hash"]
    content["format"] = 1
    content["participants"] = {each.participant: _former_digest(each) for each in manifests}
    before = read_lock(json.dumps({**content, "hash": hash_of(content)}), "choreography.json")

    assert before.sagas == lock(saga).sagas
    assert not any(before.is_stale(each) for each in manifests)
    _, changed, *_ = manifests
    action, *undos = changed.handlers
    assert before.is_stale(replace(changed, handlers=(replace(action, trigger=Trigger.of("Else")), *undos)))


def _former_digest(manifest: Manifest) -> str:
    names = ("name", "task", "step", "saga", "kind", "emits", "results")
    whole = json.loads(write_manifest(manifest))
    handlers = [
        {
            **{name: written[name] for name in names},
            "trigger": list(map(sorted, alternatives(handler.trigger))),
        }
        for handler, written in zip(manifest.handlers, whole["handlers"], strict=True)
    ]
    content = {
        "participant": manifest.participant,
        "sagas": whole["sagas"],
        "handlers": sorted(handlers, key=lambda each: each["name"]),
        "external": [],
    }
    return hash_of(content)


def test_the_same_choreography_is_locked_the_same_whatever_the_order() -> None:
    """Manifests may come in any order, triggers derived or written out: the edges are the same."""
    given = manifests_of(sagas.CHOICE_INTO_JOINS)
    assert write_lock(lock_of(choreography_of(given[::-1]))) == write_lock(lock_of(choreography_of(given)))
    derived, written = lock(sagas.CHOICE, derived=True), lock(sagas.CHOICE)
    assert derived.sagas == written.sagas


def test_a_wide_fork_stays_small() -> None:
    """Ten branches make ten slots, not two to the tenth combinations."""
    branches = tuple(sagas.step(f"B{number}", sagas.STARTED) for number in range(10))
    locked = lock(Saga("wide", branches), derived=True)
    assert len(locked.sagas[0].edges[START]["Started"]) == 10
    assert len(write_lock(locked)) < 20_000


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', b"\x00", "{}"])
def test_a_bad_lock_is_refused(text: bytes | str) -> None:
    """In one line that says what to run."""
    with pytest.raises(ManifestError) as caught:
        read_lock(text, "choreography.json")
    assert str(caught.value).startswith("choreography.json: ")


def test_a_merged_lock_is_refused() -> None:
    """A lock that two branches changed has to be written anew."""
    content = json.loads(write_lock(lock(chain(2))))
    content["sagas"][0]["edges"][START]["Started"] = [["AFailed"]]
    with pytest.raises(ManifestError, match="the hash doesn't fit"):
        read_lock(json.dumps(content), "choreography.json")
    content["sagas"][0]["edges"][START]["Started"] = [[]]
    content["hash"] = hash_of({name: value for name, value in content.items() if name != "hash"})
    with pytest.raises(ManifestError, match="is not a list of lists"):
        read_lock(json.dumps(content), "choreography.json")

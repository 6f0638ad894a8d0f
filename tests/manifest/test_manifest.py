"""Manifests: written and read again, the same for the same declarations, and refused where they are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from choreo.errors import ManifestError
from choreo.manifest import (
    MAX_BYTES,
    ExternalEntry,
    Manifest,
    RetryEntry,
    SchemaEntry,
    Suppression,
    digest_of,
    read_manifest,
    write_manifest,
)
from choreo.manifest.document import hash_of
from choreo.protocol import NEVER, Trigger
from choreo.saga import Versions
from tests.graph.small_sagas import manifests_of
from tests.protocol import sagas
from tests.protocol.triggers import alternatives

SCHEMA = {"type": "record", "name": "ADone", "fields": [{"name": "n", "type": "long"}]}


def full() -> Manifest:
    """Return a manifest in which nothing is left out."""
    given = manifests_of(sagas.CHOICE.with_watch("A"), cancellable=True)[1]
    action, *others = given.handlers
    changed = {
        **vars(action),
        "retry": RetryEntry(5, 10_000, 2.0, 60_000),
        "timeout_ms": 60_000,
        "earlier": frozenset({"Started"}),
        "runs": "coroutine",
        "partial": True,
        "formerly": ("pay", "act"),
    }
    return Manifest(
        "a",
        given.sagas,
        (type(action)(**changed), *others),
        (ExternalEntry("Delivered", "choice", "carrier", "import"),),
        {"ADone": SchemaEntry(SCHEMA, "e80776f4dc4c0c43", (SCHEMA,))},
        (Suppression("CHO204", "a.py:3", "we know"),),
        "0.1.0",
        "2.3.1",
        "a.choreo.json",
    )


def changed(change: Callable[[dict[str, Any]], object], *, signed: bool = True) -> str:
    """Change a manifest's JSON, and give it a hash that fits, or leave the old one."""
    content = json.loads(write_manifest(full()))
    old = content.pop("hash")
    change(content)
    return json.dumps({**content, "hash": hash_of(content) if signed else old})


def test_a_manifest_is_read_as_it_was_written() -> None:
    """Nothing is lost, and writing it again gives the same text."""
    text = write_manifest(full())
    assert read_manifest(text, "a.choreo.json") == full()
    assert write_manifest(read_manifest(text.encode(), "a.choreo.json")) == text


@pytest.mark.parametrize("saga", [sagas.JOIN, sagas.CHOICE, sagas.PIVOT_MIDDLE, sagas.MERGE])
def test_every_participant_s_manifest_comes_back(saga: sagas.Saga) -> None:
    """Actions, pivots, joins, choices, compensations and deadlines."""
    for manifest in manifests_of(saga.with_watch("A"), cancellable=True):
        assert read_manifest(write_manifest(manifest), "") == manifest


def test_the_spacing_doesn_t_matter() -> None:
    """The hash is over what a manifest says: a formatter may have been over it."""
    text = json.dumps(json.loads(write_manifest(full())))
    assert read_manifest(text, "a.choreo.json") == full()


def test_the_digest_is_of_the_event_graph_alone() -> None:
    """Another line, timeout or version changes the manifest, and not its digest; another trigger does."""
    moved = json.loads(write_manifest(full()))
    moved["code"], moved["handlers"][0]["place"], moved["handlers"][0]["timeout_ms"] = "9", "b.py:7", 1
    moved["hash"] = hash_of({name: value for name, value in moved.items() if name != "hash"})
    assert digest_of(read_manifest(json.dumps(moved), "")) == digest_of(full())
    moved["handlers"][0]["trigger"] = [["Elsewhere"]]
    moved["hash"] = hash_of({name: value for name, value in moved.items() if name != "hash"})
    assert digest_of(read_manifest(json.dumps(moved), "")) != digest_of(full())


@pytest.mark.parametrize("versions", [Versions(2), Versions(until=1), Versions(2, 3)])
def test_versions_of_a_handler_are_kept_in_a_format_of_their_own(versions: Versions) -> None:
    """An earlier choreo, which would run the handler for each saga, refuses to read it."""
    plain = full()
    ranged = replace(plain, handlers=(replace(plain.handlers[0], versions=versions), *plain.handlers[1:]))
    text = write_manifest(ranged)
    assert read_manifest(text, "a.choreo.json") == ranged
    assert (json.loads(text)["format"], json.loads(write_manifest(plain))["format"]) == (3, 2)
    assert digest_of(ranged) != digest_of(plain)


def test_former_names_are_written_where_there_are_any() -> None:
    """What was never renamed has the manifest, and the digest, of an earlier choreo; a former name counts."""
    written = json.loads(write_manifest(full()))["handlers"]
    assert [each.get("formerly") for each in written] == [["pay", "act"], *[None] * (len(written) - 1)]
    read = full()
    other = replace(read, handlers=(replace(read.handlers[0], formerly=()), *read.handlers[1:]))
    assert digest_of(other) != digest_of(read)


@pytest.mark.parametrize("names", [["not a name"], ["a.pay"], ["pay", ""], "pay", [5]])
def test_a_former_name_could_be_code(names: Any) -> None:
    """It is printed in code to paste."""
    assert "'formerly' is not" in refused(
        changed(lambda content: content["handlers"][0].update(formerly=names))
    )


def refused(text: bytes | str) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(text, "x.choreo.json")
    message = str(caught.value)
    assert message.startswith("x.choreo.json: ")
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_manifest_is_refused(share: float) -> None:
    """Wherever it was cut."""
    text = write_manifest(full())
    assert "not JSON, or cut off" in refused(text[: int((len(text) - 2) * share)])


def test_a_large_file_is_refused_before_it_is_parsed() -> None:
    """Its size alone says no."""
    assert "larger than" in refused(b" " * (MAX_BYTES + 1))


def test_a_newer_format_is_refused() -> None:
    """And the hint is to upgrade."""
    assert "of format 4" in refused(changed(lambda content: content.update(format=4)))


def test_a_changed_manifest_is_refused() -> None:
    """Who edits it by hand, or merges two, has to write it anew."""
    text = changed(lambda content: content.update(participant="b"), signed=False)
    assert "the hash doesn't fit" in refused(text)


def test_another_s_step_can_t_be_claimed() -> None:
    """Neither a handler's name nor a step."""

    def claim(field: str) -> Callable[[dict[str, Any]], object]:
        return lambda content: content["handlers"][0].update({field: "payments.charge"})

    assert "claims payments.charge" in refused(changed(claim("step")))
    assert "claims payments.charge" in refused(changed(claim("name")))


@pytest.mark.parametrize(
    "text", ["null", "[]", "7", '"x"', "{}", '{"format": "1"}', '{"format": true}', b"\xff\xfe"]
)
def test_other_json_is_refused(text: bytes | str) -> None:
    """Whatever it is."""
    refused(text)


def former(manifest: Manifest, change: Callable[[dict[str, Any]], object] = lambda content: None) -> str:
    """Return a manifest in the format of before: for each way to meet a trigger a list of its events."""
    content = json.loads(write_manifest(manifest))
    del content["hash"]
    for handler, entry in zip(content["handlers"], manifest.handlers, strict=True):
        handler["trigger"] = list(map(sorted, alternatives(entry.trigger)))
    content["format"] = 1
    change(content)
    return json.dumps({**content, "hash": hash_of(content)})


CONDITIONS = {
    "one event": Trigger.of("A"),
    "any of several": Trigger.of("A", "B", "C"),
    "a join of 13 branches with two ends each": Trigger.all_of(
        *(Trigger.of(f"A{n}", f"B{n}") for n in range(13))
    ),
    "a join or an event": Trigger.any_of(Trigger.of("A"), Trigger.all_of(Trigger.of("B"), Trigger.of("C"))),
    "a join of joins and unions": Trigger.all_of(
        Trigger.any_of(Trigger.of("A"), Trigger.all_of(Trigger.of("B", "C"), Trigger.of("D"))),
        Trigger.of("E", "F"),
    ),
    "two of three": Trigger.of_alternatives([{"A", "B"}, {"B", "C"}, {"A", "C"}]),
    "none": NEVER,
}


@pytest.mark.parametrize("what", CONDITIONS)
def test_the_former_format_is_read(what: str) -> None:
    """Exactly: the triggers are those that today's declarations have."""
    action, *others = full().handlers
    today = replace(full(), handlers=(replace(action, trigger=CONDITIONS[what]), *others))
    assert read_manifest(former(today), "a.choreo.json") == today
    assert read_manifest(write_manifest(today), "a.choreo.json") == today


@pytest.mark.parametrize(
    "trigger",
    [
        [[]],
        ["Started"],
        [["e"] * 1001],
        [[["e"]]],
        [[f"e{n}"] for n in range(10_001)],
        [[f"e{n}x{m}" for m in range(100)] for n in range(2001)],
    ],
    ids=["an empty option", "flat", "a wide join", "nested", "many options", "many events in all"],
)
def test_a_wrong_trigger_of_the_former_format_is_refused(trigger: Any) -> None:
    """Before anything is made of it."""
    text = former(full(), lambda content: content["handlers"][0].update(trigger=trigger))
    assert "'trigger' is not" in refused(text)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_without_end_is_refused(opening: str) -> None:
    """It doesn't reach the end of the stack."""
    refused(opening * 200_000)
    deep = json.loads("[" * 900 + "]" * 900)
    text = changed(lambda content: content["schemas"]["ADone"].update(schema=deep))
    assert read_manifest(text, "x").schemas["ADone"].schema == deep


def nested(levels: int) -> list[Any]:
    """Return the slots of a condition in which joins and unions alternate."""
    slots: list[Any] = [["e"], ["f"]]
    for level in range(levels):
        slots = [[f"e{level}", slots], [f"f{level}"]]
    return slots


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "participant": lambda c: c.update(participant=7),
    "control characters": lambda c: c.update(participant="a\x1b[31m"),
    "long": lambda c: c.update(code="x" * 3000),
    "handlers": lambda c: c.update(handlers={}),
    "a handler": lambda c: c["handlers"].append(7),
    "no handlers": lambda c: c.pop("handlers"),
    "many": lambda c: c.update(suppressions=[{}] * 10_001),
    "a task": lambda c: c["handlers"][0].update(task="exec"),
    "a kind": lambda c: c["handlers"][0].update(kind="start"),
    "an empty option": lambda c: c["handlers"][0].update(trigger=[[]]),
    "a flat trigger": lambda c: c["handlers"][0].update(trigger=["Started"]),
    "an empty join": lambda c: c["handlers"][0].update(trigger=[["e", []]]),
    "an empty slot of a join": lambda c: c["handlers"][0].update(trigger=[["e", [["f"], []]]]),
    "a number in a join": lambda c: c["handlers"][0].update(trigger=[["e", [["f"], [7]]]]),
    "an object for a slot": lambda c: c["handlers"][0].update(trigger=[{"e": "f"}]),
    "a wide slot": lambda c: c["handlers"][0].update(trigger=[[f"e{n}" for n in range(10_001)]]),
    "many slots": lambda c: c["handlers"][0].update(trigger=[[f"e{n}"] for n in range(10_001)]),
    "many events in all": lambda c: c["handlers"][0].update(trigger=[["e", "f", "g"]] * 4000),
    "joins in joins": lambda c: c["handlers"][0].update(trigger=nested(70)),
    "a negative time": lambda c: c["handlers"][0].update(timeout_ms=-1),
    "a huge time": lambda c: c["handlers"][0].update(timeout_ms=10**400),
    "a flag": lambda c: c["handlers"][0].update(partial=1),
    "a factor": lambda c: c["handlers"][0]["retry"].update(factor="2"),
    "schemas": lambda c: c.update(schemas=[]),
    "a schema": lambda c: c["schemas"].update(ADone=7),
    "a direction": lambda c: c["external"][0].update(direction="sideways"),
    "a version": lambda c: c["sagas"][0].update(version=True),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_refused(what: str) -> None:
    """Every field has a type and a bound, and the message says which field it is."""
    refused(changed(WRONG[what]))

"""Sagas that a choreo of before has begun: the workers of today bring them to their end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import unquote

import pytest

from choreo.testing import Harness
from examples.travel import flight
from tests.upgrade.world import EXAMPLES, SCHEMAS, World, told

Opened = Callable[..., Harness]

GARBLED = {
    "order_id": "order-garbled",
    "customer": "ada",
    "sku": "apple",
    "quantity": 2,
    "total": 500,
    "address": "12 Elm Street",
}
"""What the event was of which the topic holds rubbish."""


@pytest.fixture(autouse=True)
def airline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an airline in the place of the one over HTTP that has a seat for everybody."""

    async def ask(method: str, path: str) -> int:
        assert unquote(path).startswith("/bookings/trip-")
        await asyncio.sleep(0.2)
        return 201 if method == "PUT" else 204

    monkeypatch.setattr(flight, "ask", ask)


def settle(world: World) -> None:
    """Mend what made dead letters, and settle them: on stores that no worker of today has seen yet."""
    if world.example == "orders":
        saga_id = "order-stuck" if world.name == "orders" else "old-stuck"
        with closing(sqlite3.connect("payments.db")) as payments, payments:
            payments.execute("insert into charges values (?, 'ada', 500)", [saga_id])
    (world.folder / "event.json").write_text(json.dumps(GARBLED))
    for letter in json.loads(told("dlq", "list", "--format", "json")):
        named = (str(letter["number"]), "--participant", letter["participant"])
        if letter["reason"] == "unreadable-headers":
            told("dlq", "discard", *named, "--because", "nobody's")
            continue
        if letter["reason"] == "unreadable-body":
            told("dlq", "edit", *named[:1], "event.json", *named[1:], "--schemas", str(SCHEMAS))
        told("dlq", "requeue", *named)


def test_sagas_in_flight_go_on_to_their_end(world: World, saga_harness: Opened) -> None:
    """Each participant publishes what its outbox holds, and does what is due; the books balance.

    A call that was out when the process ended is called again once all else is quiet, so trips end later.
    """
    settle(world)
    harness = saga_harness(*world.participants, folder=world.folder)
    world.tell_again(harness)
    known = len(harness.records())
    harness.run()
    ends = {saga_id: _end(harness, saga_id) for saga_id in world.sagas()}
    assert ends == json.loads(world.golden("ends.json"))
    published, golden = _published(harness, known), json.loads(world.golden("published.json"))
    if world.example == "travel":
        published, golden = _without_times(published), _without_times(golden)
    assert published == golden
    assert _waiting(harness) == []
    assert [each for each in world.balance(harness.databases) if not each.holds] == []
    harness.close()
    (world.folder / "heads.jsonl").write_text(world.golden("heads.jsonl"))
    assert told("log", "verify", "--heads", "heads.jsonl").endswith("no findings\n")
    for participant in (each.name for each in world.participants):
        result = world.fold(participant, world.sagas())
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("world", EXAMPLES, indirect=True)
def test_what_comes_twice_changes_nothing(world: World, saga_harness: Opened) -> None:
    """Of sagas that had ended; of some of them, the log has kept no more than the end."""
    harness = saga_harness(*world.participants, folder=world.folder)
    world.tell_again(harness)
    ended = {saga: harness.states(saga) for _, saga in harness.sagas() if _has_ended(harness, saga)}
    assert any("-ancient" in saga for saga in ended)
    letters = harness.letters()
    twice = [harness.broker.repeat(each) for each in harness.records() if _saga_of(each) in ended]
    known = len(harness.records())
    harness.run()
    assert len(twice) >= 2 * len(ended)
    assert not [each for each in harness.records()[known:] if _saga_of(each) in ended]
    assert {saga: harness.states(saga) for saga in ended} == ended
    assert harness.letters() == letters


def _has_ended(harness: Harness, saga_id: str) -> bool:
    states = harness.states(saga_id)
    return len(states) == len(harness.processes) and set(states.values()) <= {"completed", "failed"}


def _saga_of(record: Any) -> str:
    return (record.key or b"").decode()


def _waiting(harness: Harness) -> list[object]:
    tables = ("select 'outbox', saga_id from outbox", "select 'schedule', saga_id from schedule")
    databases = harness.databases.values()
    waiting = [
        row for database in databases for table in tables for row in database.execute(table).fetchall()
    ]
    return [*waiting, *harness.letters()]


def _without_times(published: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {
        saga_id: [[[each for each in headers if each[0] != "ce_time"], body] for headers, body in records]
        for saga_id, records in published.items()
    }


def _published(harness: Harness, known: int) -> dict[str, list[Any]]:
    """Return what is new in the topic, saga by saga, as it stands there: headers and body.

    Whether somebody traces this process is another matter.
    """
    found: dict[str, list[Any]] = {}
    for record in harness.records()[known:]:
        every = [(name, (value or b"").decode()) for name, value in record.headers]
        headers = [[name, value] for name, value in every if not name.startswith("ce_trace")]
        found.setdefault(_saga_of(record), []).append([headers, (record.value or b"").hex()])
    return dict(sorted(found.items()))


def _end(harness: Harness, saga_id: str) -> list[str]:
    assert len(harness.states(saga_id)) == len(harness.processes)
    records = (dict(record.headers) for record in harness.records() if _saga_of(record) == saga_id)
    return [harness.state(saga_id), *((headers["ce_type"] or b"").decode() for headers in records)]

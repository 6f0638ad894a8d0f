"""Turns that make no savepoints, as each is a round trip to a server: until one is missed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from choreo import Context, Participant, Permanent, Retry
from choreo.store.postgresql.guard import GuardedConnection
from tests.worker.rig import Rig
from tests.worker.trip import HotelBooked, HotelCancelled, HotelFull, TripFailed, TripRequested, trip

SEEDS = range(400 if os.environ.get("CHOREO_FUZZ") else 4)
SAGAS = 12


def _ask(ctx: Context) -> None:
    ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, f"{ctx.task} {ctx.attempt}"])


def _fail(error: Exception, before: Callable[[Context], None] = _ask) -> Callable[[Context], Any]:
    def act(ctx: Context) -> None:
        before(ctx)
        raise error

    return act


def _commit(ctx: Context) -> None:
    _ask(ctx)
    with suppress(Exception):
        ctx.db.execute("COMMIT")


def _answer(event: Any, before: Callable[[Context], None] = _ask) -> Callable[[Context], Any]:
    return lambda ctx: (before(ctx), event)[1]


WAYS: dict[str, Callable[[Context], Any]] = {
    "does": _answer(HotelBooked("t")),
    "does again": _answer(HotelBooked("t")),
    "asks nothing": _answer(HotelBooked("t"), lambda _: None),
    "refuses": _answer(HotelFull("t", "full")),
    "fails": _fail(ConnectionError("busy")),
    "fails at once": _fail(ConnectionError("busy"), lambda _: None),
    "fails for good": _fail(Permanent("no")),
    "leaves": _fail(SystemExit(1)),  # type: ignore[arg-type]
    "ends the turn": lambda ctx: (_commit(ctx), HotelBooked("t"))[1],
    "returns what it may not": _answer(TripFailed("t", "?")),
}

DONE = [*WAYS][:4]


class Plan:
    """What the attempts of each saga do, drawn by chance, and those that were made."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        most = chance.choice((1, 3, len(WAYS)))  # few fail, or many
        names = [*WAYS][:3] * 3 + chance.sample([*WAYS], most)
        self.ways = {f"s{n}": [chance.choice(names) for _ in range(3)] for n in range(SAGAS)}
        self.made: list[tuple[str, int]] = []

    def __call__(self, ctx: Context) -> Any:
        self.made.append((ctx.saga_id, ctx.attempt))
        return WAYS[self.way_of(ctx.saga_id, ctx.attempt)](ctx)

    def way_of(self, saga_id: str, attempt: int) -> str:
        """Return what an attempt does."""
        return self.ways[saga_id][attempt - 1]


def _hotel(plan: Callable[[Context], Any]) -> Participant:
    def prepare(db: Any) -> None:
        db.execute("create table if not exists effects (saga_id text, what text)")

    retry = Retry(attempts=3, delay=timedelta(seconds=10))
    participant = Participant("hotel", sagas=[trip], prepare=prepare, retry=retry)

    @participant.action(fails=HotelFull, timeout=None)
    def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        return plan(ctx)  # type: ignore[no-any-return]

    @participant.compensation(of=book)
    def cancel(event: TripFailed, booked: HotelBooked, ctx: Context) -> HotelCancelled:
        return HotelCancelled("t")

    return participant


def _run(plan: Plan, folder: Path) -> tuple[dict[str, Any], list[Any]]:
    rig = Rig(_hotel(plan), folder)
    rig.open()
    for saga_id in plan.ways:
        rig.append(TripRequested("t"), saga_id)
    for _ in range(4):
        rig.settle()
        rig.clock.advance(60)
    effects = rig.store.db.execute("select saga_id, what from effects order by 1, 2").fetchall()
    told = {each: rig.history(each) for each in plan.ways}
    rig.close()
    return told, [tuple(each) for each in effects]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_turn_without_them_does_what_one_with_them_does(
    seed: int, postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows as on SQLite, the same effects; and no attempt that has failed is made twice."""
    monkeypatch.setenv("CHOREO_TEST_POSTGRESQL", postgresql)
    done, plans = [], []
    for store in ("sqlite", "postgresql"):
        monkeypatch.setenv("STORE", store)
        plans.append(Plan(seed))
        done.append(_run(plans[-1], tmp_path))
    assert done[1] == done[0]
    assert {*plans[1].made} == {*plans[0].made}
    failed = [each for each in plans[1].made if plans[1].way_of(*each) not in DONE]
    assert len(failed) == len({*failed})


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the statements of stores, each in a round trip of its own, or in one with the one before."""
    made: list[str] = []
    real = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *values: Any, **more: Any) -> Any:
        if isinstance(self.connection, GuardedConnection) and self.connection._pipeline is None:
            made.append(query.decode() if isinstance(query, bytes) else query)
        return real(self, query, *values, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    return made


def test_events_share_their_round_trips(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trips: list[str]
) -> None:
    """What an event costs is what its handler asks: the rest is of the turn, for new sagas and for old."""
    monkeypatch.setenv("CHOREO_TEST_POSTGRESQL", postgresql)
    monkeypatch.setenv("STORE", "postgresql")
    rig = Rig(_hotel(_answer(HotelBooked("t"))), tmp_path)
    rig.open()
    sagas = [f"s{number}" for number in range(100)]
    trips.clear()
    for saga_id in sagas:
        rig.append(TripRequested("t"), saga_id)
    rig.settle()
    assert len(trips) <= 100 + 15, trips
    rig.restart()  # so that no saga is in memory
    trips.clear()
    for saga_id in sagas:
        rig.append(TripFailed("t", "no"), saga_id)
    rig.settle()
    assert len(trips) <= 100 + 30, trips  # each compensation reads what it undoes
    assert {rig.history(each)[-1].saga_state for each in sagas} == {"failed"}
    rig.close()

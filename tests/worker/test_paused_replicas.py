"""A replica that is paused at any point of its turn while its partitions move: it commits nothing more.

It is told nothing by its group when it goes on, so what keeps it from doing anything is the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from choreo import Context
from choreo.store.postgresql import turn as turns
from choreo.worker import Worker
from tests.worker.provider import Provider
from tests.worker.provider import hotel as calling_hotel
from tests.worker.replicas import Replica, Replicas, Traced
from tests.worker.services import hotel
from tests.worker.stopping import IN_HANDLER, POINTS, Stopping
from tests.worker.trip import FlightFull, HotelBooked, TripRequested

PATIENCE = 20.0


class Pause:
    """Stops the thread that comes to a point, until it may go on."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._is_set = False
        self.is_over = False
        self.reached = threading.Event()
        self.may_go_on = threading.Event()

    def set(self) -> None:
        """Stop whoever comes next."""
        self._is_set = True

    def pass_by(self, name: str) -> None:
        """Come to a point."""
        if self._is_set and name == self._point:
            self._is_set = False
            self.reached.set()
            assert self.may_go_on.wait(PATIENCE)
            self.is_over = True


class Zombie:
    """A replica in a thread of its own, which is paused."""

    def __init__(self, many: Replicas, pause: Pause) -> None:
        self.pause = pause
        self.log: Any = None
        self.worker: Any = None
        self.failure: BaseException | None = None
        self.rounds = 0
        self.is_live = threading.Event()
        self._many = many
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.is_live.wait(PATIENCE)

    def _run(self) -> None:
        replica = Replica(self._many.rig, self._many.address, self._many.make, self._many.options)
        self.log = replica.log
        rig = self._many.rig
        store: Any = Stopping(replica.store, self.pause)
        records: Any = Stopping(replica.log, self.pause)
        participant = self._many.make()
        worker = Worker(participant, store, records, rig.codec, rig.clock, self._many.options)
        self.worker = worker
        try:
            worker.start()
            while not self._ends.is_set():
                worker.turn()
                self.rounds += 1
                if worker.is_live:
                    self.is_live.set()
        except BaseException as error:
            self.failure = error
        worker._calls.stop(1)
        replica.store.close()

    def come_to(self, work: Callable[[], None]) -> None:
        """Let it do some work, until it has come to its point."""
        self.pause.set()
        work()
        assert self.pause.reached.wait(PATIENCE), self.failure

    def go_on(self) -> None:
        """Let it go on, for as long as it takes to do anything that it might."""
        self.pause.may_go_on.set()
        until = self.rounds + 10
        give_up = threading.Event()
        for _ in range(2_000):
            if self.rounds > until or self.failure is not None:
                return
            give_up.wait(0.01)
        raise AssertionError("it does not go on")

    def end(self) -> None:
        """End it."""
        self.pause.may_go_on.set()
        self._ends.set()
        self._thread.join(PATIENCE)


def rows(address: str) -> dict[str, list[Any]]:
    """Return all that is in the database."""
    with psycopg.connect(address) as connection:
        names = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('choreo', 'public')"
        ).fetchall()
        return {
            name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}".encode()).fetchall()))
            for (name,) in names
        }


class Halting(Traced):
    """A handler that comes to the points around its statement."""

    def __init__(self, pause: Pause) -> None:
        super().__init__()
        self._pause = pause

    def __call__(self, ctx: Context) -> None:
        self._pause.pass_by(IN_HANDLER[0])
        super().__call__(ctx)
        self._pause.pass_by(IN_HANDLER[1])


@pytest.mark.parametrize("point", [*POINTS, *IN_HANDLER])
def test_a_replica_that_was_paused_commits_nothing_more(
    empty_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Whoever took its partitions over waits no longer than for the open turn, and has done it all."""
    monkeypatch.setattr(turns, "_PAUSED_MS", 400)
    pause = Pause(point)
    many = Replicas(tmp_path, empty_store, lambda: hotel(Halting(pause), Traced()))
    zombie = Zombie(many, pause)
    try:
        zombie.come_to(lambda: many.rig.append(TripRequested("s1"), "s1"))
        many.broker.expel(zombie.log)
        many.start()
        assert [type(each) for each in many.rig.published()][-1:] == [HotelBooked]
        before = rows(empty_store)
        zombie.go_on()
        assert rows(empty_store) == before
        assert zombie.failure is None
        assert zombie.worker._partitions.positions == {}
        many.feed(lambda saga_id: FlightFull(saga_id, "full"), ["s1"])
        assert many.effects() == {("s1", "action"): 1, ("s1", "compensation"): 1}
        many.check_chains(["s1"])
        # What was on its way is published at least once, with the same id.
        is_on_its_way = point in ("after turn", "unpublished", "before publish", "after publish")
        assert max(many.published().values()) == (2 if is_on_its_way else 1)
    finally:
        zombie.end()
        many.close()


def test_a_turn_that_is_open_is_waited_for(empty_store: str, tmp_path: Path) -> None:
    """Whoever goes on before the server ends it has committed it; the next owner knows of it, and goes on."""
    pause = Pause("end of turn")
    many = Replicas(tmp_path, empty_store, lambda: hotel(Halting(pause), Traced()))
    zombie = Zombie(many, pause)
    try:
        zombie.come_to(lambda: many.rig.append(TripRequested("s1"), "s1"))
        many.broker.expel(zombie.log)
        going_on = threading.Thread(target=_go_on_once_waited_for, args=(empty_store, zombie))
        going_on.start()
        many.start()
        going_on.join(PATIENCE)
        before = rows(empty_store)
        zombie.go_on()
        assert rows(empty_store) == before
        many.feed(lambda saga_id: FlightFull(saga_id, "full"), ["s1"])
        assert many.effects() == {("s1", "action"): 1, ("s1", "compensation"): 1}
        many.check_chains(["s1"])
    finally:
        zombie.end()
        many.close()


def _go_on_once_waited_for(address: str, zombie: Zombie) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        for _ in range(10_000):
            if connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (0,):
                break
    zombie.pause.may_go_on.set()


def test_the_result_of_a_call_that_was_out_is_dropped(empty_store: str, tmp_path: Path) -> None:
    """The next owner has called again, with the same key, and its result counts alone."""
    provider = Provider()
    pause = Pause("after take")
    many = Replicas(tmp_path, empty_store, lambda: calling_hotel(provider))
    zombie = Zombie(many, pause)
    try:
        many.rig.append(TripRequested("s1"), "s1")
        _until(lambda: bool(provider.keys))
        zombie.come_to(lambda: many.rig.append(TripRequested("s2"), "s2"))
        many.broker.expel(zombie.log)
        many.begin()
        for _ in range(3):
            many.go_round()
        many.rig.clock.advance(6)  # what was under way as a process ended waits a while for all else
        _until(lambda: many.go_round() >= 0 and len(provider.keys) == 3)
        provider.answer(None, None, None)
        _until(lambda: many.go_round() >= 0 and len(many.published()) == 2)
        before = rows(empty_store)
        zombie.go_on()
        assert rows(empty_store) == before
        assert set(many.published().values()) == {1}
        assert len(set(provider.keys)) == 2
        many.check_chains(["s1", "s2"])
    finally:
        zombie.end()
        many.close()


def _until(is_done: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if is_done():
            return
        waiting.wait(0.005)
    raise AssertionError("it never comes")

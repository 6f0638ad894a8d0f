"""What the worker remembers of a saga is what its saga log says, however little fits into its memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.envelope import Envelope
from choreo.protocol import (
    Action,
    Begin,
    Buried,
    Compensation,
    Contract,
    Deadline,
    Deferred,
    Discarded,
    Due,
    Ended,
    Input,
    Observed,
    Observer,
    Requeued,
    Role,
    Trigger,
    fold,
)
from choreo.protocol.recorded_inputs import INPUT_NAMES, input_of, rebuild
from choreo.records import Entry
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.rows import Rows
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.rig import ManualClock
from tests.worker.services import Script, agency, flight, hotel, ticket
from tests.worker.trip import EVENTS, TripCancelled, TripRequested

BOOKED = Envelope(
    "e2", "hotel", "trip.HotelBooked", 7, "s1", "trip", 1, "hotel.book", "succeeded", "pivot", "e1"
)

INPUTS: tuple[Input, ...] = (
    BOOKED,
    Begin("hotel.book"),
    Begin("hotel.book", joining=True),
    Ended("hotel.book", "succeeded", "trip.HotelBooked"),
    Ended("hotel.book", "failed", "", "raised", "no rooms"),
    Ended("hotel.book", "failed", "", "partial", "cut off"),
    Deferred("hotel.book", "busy"),
    Deferred("hotel.look"),
    Buried("hotel.book", "gave-up"),
    Requeued("hotel.look", "e1"),
    Discarded("hotel.book", "by hand", "e2"),
    Observed("hotel.look"),
    Due("hotel.late"),
)


def test_every_kind_of_input_is_written() -> None:
    """One that is not here would be lost at a restart."""
    assert {type(each) for each in INPUTS} == set(INPUT_NAMES)


@pytest.mark.parametrize("input", INPUTS, ids=lambda each: type(each).__name__)
def test_an_input_comes_back_from_its_row(input: Input) -> None:
    """The input that is read is the one that was written."""
    hotels = Role(
        "hotel",
        Contract("trip", "trip.TripRequested", "trip.TripBooked", "trip.TripFailed"),
        (
            Action(
                "hotel.book", Trigger.of("trip.TripRequested"), compensations=(Compensation(Trigger(), "x"),)
            ),
        ),
        (Observer("hotel.look", Trigger.of("trip.TripRequested")),),
        (Deadline("hotel.late", "flight.fly", Trigger.of("trip.HotelBooked"), "late"),),
    )
    item = Item(hotels, "trip", "s1", TriggerEvent(BOOKED, b"", "trip", 0, 3, 7))
    before = rebuild(hotels, [])
    after, _ = fold(hotels, before, input)
    row, *_ = Rows(item, before, after, input, 9).entries()
    assert input_of(row) == input


class Town:
    """The trip's four participants on one broker, by the clock, each with a store of its own."""

    def __init__(self, folder: Path, seed: int, sagas_in_memory: int) -> None:
        self.clock = ManualClock()
        self.broker = MemoryBroker(2, self.clock)
        self.chance = random.Random(seed)
        # A turn that the machine's speed cut short would tell the chances apart.
        options = Options(idle_seconds=0.0, turn_seconds=60, sagas_in_memory=sagas_in_memory)
        codec = AvroCodec(EVENTS)
        self.participants = [
            agency(self._script(), None),
            hotel(self._script(), self._script()),
            flight(self._script(fatal=True)),
            ticket(self._script()),
        ]
        self.stores = [open_store(folder / f"{each.name}.db") for each in self.participants]
        self.workers = []
        for participant, store in zip(self.participants, self.stores, strict=True):
            log = self.broker.log(participant.name)
            self.workers.append(Worker(participant, store, log, codec, self.clock, options))
            participant.connect(StoreConnection(participant, lambda store=store: store, codec, self.clock))  # type: ignore[misc]
            self.workers[-1].start()

    def _script(self, fatal: bool = False) -> Script:
        errors: list[BaseException | None] = []
        for _ in range(400):
            errors.append(ConnectionError() if self.chance.random() < 0.25 else None)
            if fatal and self.chance.random() < 0.3:
                errors += [ConnectionError()] * 5
        return Script(errors)

    def live(self) -> None:
        """Let trips be requested and cancelled at random, until all have come to rest."""
        for number in range(12):
            with self.participants[0].transaction() as tx:
                tx.start(TripRequested(f"t{number}"), f"s{number}")
                if self.chance.random() < 0.3:
                    tx.cancel(f"s{self.chance.randrange(12)}", TripCancelled("t"))
            for worker in self.chance.sample(self.workers, 2):
                worker.turn()
        while True:
            while sum(worker.turn() for worker in self.workers):
                pass
            due = [at for store in self.stores if (at := store.next_due()) is not None]
            if not due:
                return
            self.clock.time = max(self.clock.time, min(due))

    def logs(self) -> list[list[Entry]]:
        """Return every participant's view of every saga."""
        return [list(store.history(f"s{number}")) for store in self.stores for number in range(12)]

    def check(self) -> None:
        """Compare what each worker remembers with what its saga log says."""
        for participant, store, worker in zip(self.participants, self.stores, self.workers, strict=True):
            role = participant.roles()["trip"]
            remembered = worker._processor.instances._known
            assert remembered
            for (_, saga_id), saga in remembered.items():
                assert saga == rebuild(role, store.history(saga_id)), (participant.name, saga_id)


@pytest.fixture
def towns(tmp_path: Path) -> Iterator[Any]:
    made: list[Town] = []

    def make(seed: int, sagas_in_memory: int) -> Town:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Town(folder, seed, sagas_in_memory))
        return made[-1]

    yield make
    for town in made:
        for store in town.stores:
            store.close()


def _ends(town: Town) -> list[str]:
    return [entries[-1].saga_state for entries in town.logs()]


@pytest.mark.parametrize("seed", range(6))
def test_the_saga_log_gives_back_what_the_worker_remembers(towns: Any, seed: int) -> None:
    """After any mixture of successes, failures, retries and cancellations, for every participant (R9)."""
    town = towns(seed, 20_000)
    town.live()
    town.check()
    assert {"completed", "failed"} <= set(_ends(town))


@pytest.mark.parametrize("seed", range(3))
def test_a_memory_of_two_sagas_gives_the_same_results_as_a_big_one(towns: Any, seed: int) -> None:
    """What does not fit is folded again, from the saga log."""
    big, small = towns(seed, 20_000), towns(seed, 2)
    big.live()
    small.live()
    small.check()
    assert all(len(worker._processor.instances._known) <= 2 for worker in small.workers)
    assert small.logs() == big.logs()


def test_a_saga_that_is_touched_stays_in_memory(rig: Rigs) -> None:
    """The one that was not touched for the longest time goes."""
    shop = rig(hotel(), options=Options(idle_seconds=0.0, sagas_in_memory=2))
    for saga_id in ("s1", "s2", "s1", "s3"):
        shop.feed(TripRequested("t"), saga_id=saga_id)
    assert set(shop.worker._processor.instances._known) == {("trip", "s1"), ("trip", "s3")}

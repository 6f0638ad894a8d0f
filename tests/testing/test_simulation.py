"""The simulation: a run is a function of the participants, of what the test asks for, and of the seed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Permanent, Retry, Saga, event
from choreo.errors import ConfigurationError
from choreo.testing import Budget, Harness, check
from choreo.testing.harness import Opened
from choreo.testing.schedule import Scripted, Seeded
from examples.orders.contract import OrderCreated
from examples.scenarios.orders import scenario
from tests.worker.services import agency, flight, hotel
from tests.worker.trip import FlightBooked, FlightFull, TripBooked, TripRequested, trip


@event(namespace="clinic")
class Asked:
    patient: str


@event(namespace="clinic")
class Scanned:
    patient: str


@event(namespace="clinic")
class NotScanned:
    patient: str
    reason: str


@event(namespace="clinic")
class Unscanned:
    patient: str


@event(namespace="clinic")
class Seen:
    patient: str


@event(namespace="clinic")
class Unseen:
    patient: str


visit = Saga("visit", starts=Asked, completes=Seen, fails=Unseen)
desk = Participant("desk", sagas=[visit])


@desk.compensation(of=visit.start)
def send_home(event: NotScanned | Unscanned, asked: Asked, ctx: Context) -> Unseen:
    return Unseen(asked.patient)


@desk.action(kind="retriable")
def see(event: Scanned, ctx: Context) -> Seen:
    return Seen(event.patient)


class Scanner:
    """A slow machine, whose log says when it was used."""

    def __init__(self, seconds: float = 0.0, broken: int = 0) -> None:
        self.seconds, self.broken = seconds, broken
        self.used: list[tuple[str, int, str]] = []
        self.threads: set[str] = set()

    def note(self, what: str, ctx: Context) -> None:
        self.used.append((what, ctx.attempt, ctx.idempotency_key))
        self.threads.add(threading.current_thread().name)
        if len(self.used) <= self.broken:
            raise ConnectionError("no answer")

    def radiology(self, blocking: bool = False) -> Participant:
        made = Participant("radiology", sagas=[visit], retry=Retry(attempts=3, delay=timedelta(minutes=1)))

        async def scan(event: Asked, ctx: Context) -> Scanned:
            await asyncio.sleep(self.seconds)
            self.note("scan", ctx)
            return Scanned(event.patient)

        def scan_in_a_thread(event: Asked, ctx: Context) -> Scanned:
            self.note("scan", ctx)
            return Scanned(event.patient)

        action: Any = scan_in_a_thread if blocking else scan
        day = timedelta(days=1)
        made.action(fails=NotScanned, timeout=day, **({"blocking": True} if blocking else {}))(action)

        @made.compensation(of=action)
        def forget(event: Aborted, scanned: Scanned | None, ctx: Context) -> Unscanned:
            return Unscanned(ctx.saga_id)

        return made


def run_orders(seed: int, budget: Budget) -> tuple[Any, ...]:
    """Run the orders of the demo, and give all that can be seen of it."""
    with Harness(scenario.participants, chooser=Seeded(seed), budget=budget) as harness:
        for case in scenario.cases:
            case.begin()
        harness.run()
        stores = {name: seat.store.image() for name, seat in harness.processes.items()}
        return harness.moves, harness.records(), stores, harness.choices.schedule


TROUBLE = Budget(crashes=2, repeats=2, failures=1, leaps=2)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    """The log (ids, times, offsets, bodies), the databases whole, and the way there."""
    assert run_orders(seed, TROUBLE) == run_orders(seed, TROUBLE)


def test_another_seed_goes_another_way() -> None:
    """Seeds are not for decoration."""
    assert len({tuple(run_orders(seed, TROUBLE)[0]) for seed in range(5)}) == 5


def test_a_schedule_repeats_a_run_without_its_seed() -> None:
    """What a seed chose can be written down."""
    trace, records, stores, schedule = run_orders(3, TROUBLE)
    with Harness(scenario.participants, chooser=Scripted(schedule), budget=TROUBLE) as harness:
        for case in scenario.cases:
            case.begin()
        harness.run()
        assert (harness.moves, harness.records()) == (trace, records)
        assert {name: seat.store.image() for name, seat in harness.processes.items()} == stores


def test_what_lasts_hours_takes_no_time(saga_harness: Opened) -> None:
    """A coroutine sleeps on virtual time; its retries wait on it, too."""
    scanner = Scanner(seconds=3600, broken=2)
    clinic = saga_harness(desk, scanner.radiology())
    begun, really = clinic.clock.now(), time.monotonic()
    saga_id = clinic.start(Asked("ada"))
    clinic.run()
    assert clinic.state(saga_id) == "completed"
    assert [attempt for _, attempt, _ in scanner.used] == [1, 2, 3]
    assert clinic.clock.now() - begun == 1000 * (3 * 3600 + 60 + 2 * 60)
    assert time.monotonic() - really < 10


def test_what_blocks_is_called_in_its_place(saga_harness: Opened) -> None:
    """No thread is started, for coroutines neither."""
    for blocking in (True, False):
        scanner = Scanner()
        clinic = saga_harness(desk, scanner.radiology(blocking))
        clinic.start(Asked("ada"), "visit-1")
        clinic.run()
        assert clinic.state("visit-1") == "completed"
        assert scanner.threads == {threading.current_thread().name}


def test_a_call_that_is_out_when_its_process_crashes_is_called_again(saga_harness: Opened) -> None:
    """With the same key."""
    scanner = Scanner(seconds=60)
    clinic = saga_harness(desk, scanner.radiology())
    clinic.start(Asked("ada"), "visit-1")
    clinic.run(before=clinic.clock.now() + 59_000)
    clinic.crash("radiology")
    clinic.run()
    assert clinic.state("visit-1") == "completed"
    assert len(scanner.used) == 1
    assert clinic.clock.now() - clinic.events()[0].time == 60_000


def test_an_id_that_nobody_gave_is_the_same_every_time(saga_harness: Opened) -> None:
    """Saga ids are a matter of the run, too."""
    ids = []
    for _ in range(2):
        with Harness([desk, Scanner().radiology()]) as clinic:
            ids += [clinic.start(Asked("ada")), clinic.start(Asked("ada"))]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


def test_wait_lets_the_simulation_go_on(saga_harness: Opened) -> None:
    """It waits on virtual time, and not longer than it was told."""
    clinic = saga_harness(desk, Scanner(seconds=60).radiology())
    clinic.start(Asked("ada"), "visit-1")
    begun = clinic.clock.now()
    status = desk.wait("visit-1", timeout=timedelta(seconds=30))
    assert status is not None
    assert not status.is_ended
    assert clinic.clock.now() - begun == 30_000
    status = desk.wait("visit-1", timeout=timedelta(hours=1))
    assert status is not None
    assert status.state == "completed"
    assert clinic.clock.now() - begun == 60_000


def test_databases_may_be_files(saga_harness: Opened, tmp_path: Path) -> None:
    """For whoever wants to look at them afterwards."""
    clinic = saga_harness(desk, Scanner().radiology(), folder=tmp_path)
    clinic.start(Asked("ada"), "visit-1")
    clinic.run()
    assert clinic.state("visit-1") == "completed"
    assert {path.name for path in tmp_path.glob("*.db")} == {"desk.db", "radiology.db"}


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[object]:
    """Let the desk be connected to something, as it is in the service's own process."""
    before = desk.connection
    desk.connect(given := object())  # type: ignore[arg-type]
    yield given
    desk.connect(before)


def test_a_harness_leaves_participants_as_they_were(connected: object) -> None:
    """Their connection comes back."""
    with Harness([desk, Scanner().radiology()]) as clinic:
        clinic.start(Asked("ada"))
        assert desk.connection is not connected
    assert desk.connection is connected


def test_who_starts_the_saga_must_be_there(saga_harness: Opened) -> None:
    """The error says whom to add."""
    clinic = saga_harness(Scanner().radiology())
    with pytest.raises(ConfigurationError, match="starts no saga of radiology"):
        clinic.start(Asked("ada"))


def test_only_participants_can_be_run(saga_harness: Opened) -> None:
    """A list is not one."""
    with pytest.raises(ConfigurationError, match="is not a Participant"):
        saga_harness([desk])  # type: ignore[arg-type]


def test_a_handler_has_no_network(saga_harness: Opened) -> None:
    """What came from there would not be the same twice."""
    radiology = Participant("radiology", sagas=[visit])
    errors: list[Exception] = []

    @radiology.action(fails=NotScanned)
    async def scan(event: Asked, ctx: Context) -> Scanned | NotScanned:
        try:
            await asyncio.open_connection("127.0.0.1", 1)
        except Exception as error:
            errors.append(error)
        return NotScanned(event.patient, "no network")

    @radiology.compensation(of=scan)
    def forget(event: Aborted, scanned: Scanned | None, ctx: Context) -> Unscanned:
        return Unscanned(ctx.saga_id)

    clinic = saga_harness(desk, radiology)
    clinic.start(Asked("ada"), "visit-1")
    clinic.run()
    assert clinic.state("visit-1") == "failed"
    assert [str(error) for error in errors if "stub in memory" in str(error)] != []


def test_what_is_given_to_a_thread_runs_in_its_place(saga_harness: Opened) -> None:
    """`asyncio.to_thread` too."""
    radiology = Participant("radiology", sagas=[visit])
    names: list[str] = []

    @radiology.action(fails=NotScanned, partial=False)
    async def scan(event: Asked, ctx: Context) -> Scanned:
        names.append(await asyncio.to_thread(lambda: threading.current_thread().name))
        async with asyncio.timeout(5):
            await asyncio.sleep(1)
        return Scanned(event.patient)

    @radiology.compensation(of=scan)
    def forget(event: Aborted, scanned: Scanned, ctx: Context) -> Unscanned:
        return Unscanned(ctx.saga_id)

    clinic = saga_harness(desk, radiology)
    clinic.start(Asked("ada"), "visit-1")
    clinic.run()
    assert clinic.state("visit-1") == "completed"
    assert names == [threading.current_thread().name]


def test_the_orders_balance_in_the_simulation(saga_harness: Opened) -> None:
    """The demo's own checks hold."""
    shop = saga_harness(*scenario.participants)
    ends = {case.begin(): case.ends for case in scenario.cases}
    shop.start(OrderCreated("o-1", "ada", "apple", 1, 100, "12 Elm Street"))
    shop.run()
    assert {saga_id: shop.state(saga_id) for saga_id in ends} == ends
    assert shop.letters() == []


def test_work_done_by_hand_ends_with_its_event(saga_harness: Opened) -> None:
    """What the step can't end with is refused; nothing of it is done."""

    def stuck(event: FlightBooked, ctx: Context) -> TripBooked:
        raise Permanent("the printer is on fire")

    ticket = Participant("ticket", sagas=[trip])
    stuck.__name__ = "send"
    ticket.action(kind="retriable")(stuck)
    agents = agency(), hotel(), flight(), ticket
    travel = saga_harness(*agents)
    with pytest.raises(ConfigurationError, match="0 dead letters are open"):
        travel.resolve(TripBooked("t"))
    travel.start(TripRequested("t"), "t")
    travel.run()
    with pytest.raises(ConfigurationError, match="does not end with"):
        travel.resolve(FlightFull("t", "no"))
    assert len(travel.letters()) == 1
    travel.resolve(TripBooked("t"))
    travel.run()
    assert travel.state("t") == "completed"
    check(travel)

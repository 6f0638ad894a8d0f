"""Trips whose branches are fast or slow, late or full, as a plan says: the travel example on a stage.

Time stands still but where the test moves it: what is slow waits at a gate until the test opens it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

from choreo.graph import derive
from choreo.ports import Publication
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options
from examples.travel.agency import agency, cancel_trip, request_trip
from examples.travel.airline import Airline, serving
from examples.travel.car import car
from examples.travel.contract import TripRequested
from examples.travel.flight import flight
from examples.travel.hotel import hotel
from tests.broker.any_broker import AnyBroker, InMemoryBroker
from tests.scenarios.stage import Stage, header
from tests.worker.rig import ManualClock

PARTICIPANTS = (agency, hotel, flight, car)
BRANCH = ("prompt", "full", "slow", "late", "full late")
"""What a branch may do: book at once, refuse, book before its deadline or after it, refuse after it."""
AIRLINE = (*BRANCH, "hangs", "mute")
"""The airline may never answer a request, too, or lose all its answers."""
CANCELLED = ("never", "at once", "midway", "after all")


class Plan(NamedTuple):
    """How each branch of one trip goes, who pays, and when the trip is cancelled."""

    hotel: str = "prompt"
    flight: str = "prompt"
    car: str = "prompt"
    traveller: str = "ada"
    cancelled: str = "never"

    @property
    def trip_id(self) -> str:
        """The saga's id."""
        return "-".join(self).replace(" ", "_")

    @property
    def end(self) -> str:
        """How the trip must end."""
        branches = self[:3]
        in_time = all(branch in ("prompt", "slow") for branch in branches)
        too_late = {"never": True, "at once": False, "midway": "slow" not in branches, "after all": True}
        booked = in_time and self.traveller == "ada" and too_late[self.cancelled]
        return "completed" if booked else "failed"

    @property
    def request(self) -> TripRequested:
        """The event that starts it."""
        return TripRequested(
            self.trip_id,
            self.traveller,
            "Seaview" if self.hotel.startswith("full") else "Grand",
            self.flight,
            "cabriolet" if self.car.startswith("full") else "compact",
        )


def every_plan() -> list[Plan]:
    """Return every combination; who can't pay comes where nothing is cancelled."""
    branches = product(BRANCH, AIRLINE, BRANCH)
    return [
        Plan(*each, traveller=traveller, cancelled=cancelled)
        for each in branches
        for traveller, cancelled in [*(("ada", when) for when in CANCELLED), ("bob", "never")]
    ]


class GatedAirline(Airline):
    """An airline whose slow flights wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.seats = {flight: 0 if flight.startswith("full") else 100_000 for flight in AIRLINE}
        self.gates = {pace: threading.Event() for pace in ("slow", "late", "hangs")}
        self.waiting: list[str] = []

    def wait(self, name: str, flight: str) -> None:
        """Keep a request until its gate opens."""
        gate = self.gates.get(_pace(flight))
        if gate is not None:
            self.waiting.append(name)
            assert gate.wait(120)

    def book(self, name: str, flight: str) -> int:
        """Book, and let it be known that the request waits no longer."""
        status = super().book(name, flight)
        if name in self.waiting:
            self.waiting.remove(name)
        return status


class Gate:
    """Keeps what a hotel or a car rental publishes of a slow trip, from its first answer on."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._plans = {plan.trip_id: plan for plan in plans}
        self._closed = {"slow", "late"}
        self.kept: list[Publication] = []
        self.passed = 0

    def __call__(self, publication: Publication) -> Iterable[Publication]:
        if self._pace_of(publication) in self._closed:
            self.kept.append(publication)
            return ()
        self.passed += 1
        return (publication,)

    def open(self, pace: str) -> list[Publication]:
        """Let everything of that pace pass from now on; give what was kept."""
        self._closed.discard(pace)
        free = [each for each in self.kept if self._pace_of(each) == pace]
        self.kept = [each for each in self.kept if self._pace_of(each) != pace]
        self.passed += len(free)
        return free

    def kept_of(self, participant: str) -> int:
        """Return how much of a participant is kept."""
        return sum(header(each, "ce_source") == participant for each in self.kept)

    def _pace_of(self, publication: Publication) -> str:
        source = header(publication, "ce_source")
        plan = self._plans[header(publication, "ce_subject")]
        return _pace({"hotel": plan.hotel, "car": plan.car}.get(source, "prompt"))


def _pace(branch: str) -> str:
    """Return the gate's name of what is slow, late, or hangs."""
    return branch.split()[-1]


class Trips(Stage):
    """The travel example on a stage, with the airline beside it."""

    def __init__(
        self,
        any_broker: AnyBroker,
        folder: Path,
        topic: str,
        plans: Sequence[Plan],
        clock: ManualClock,
        airline: GatedAirline,
    ) -> None:
        self.plans, self.clock, self.airline = plans, clock, airline
        self.gate = Gate(plans)
        idle = 0.0 if any_broker.name == "memory" else 0.002
        options = Options(idle_seconds=idle, calls=1000)
        derive(PARTICIPANTS)
        super().__init__(
            any_broker, folder, topic, PARTICIPANTS, options=options, change=self.gate, clock=clock
        )

    def request(self) -> None:
        """Ask for every trip, and cancel some in the same breath."""
        for plan in self.plans:
            request_trip(plan.request)
            if plan.cancelled == "at once":
                cancel_trip(plan.trip_id)

    def cancel(self, when: str) -> None:
        """Cancel the trips that are to be cancelled then."""
        for plan in self.plans:
            if plan.cancelled == when:
                cancel_trip(plan.trip_id)

    def open_gates(self, pace: str) -> None:
        """Let what is of that pace go on."""
        self.airline.gates[pace].set()
        for each in self.gate.open(pace):
            self.wires[header(each, "ce_source")].log.publish([each])

    def settle(self) -> None:
        """Let the workers go round until each waits for a gate, for the clock, or for nothing."""
        self.until(lambda: all(self._is_settled(name) for name in self.stores), 120)

    def _is_settled(self, name: str) -> bool:
        store, now = self.stores[name], self.clock.now()
        lanes = (store.next_due(), store.next_due("call"))
        return (
            not any(due is not None and due <= now for due in lanes)
            and not (name in self.workers and self.workers[name]._calls.overdue(now))
            and sum(store.positions().values()) == self.gate.passed
            and len(store.unpublished(0, 10_000)) == self.gate.kept_of(name)
            and self._waits_at_gates(name)
        )

    def _waits_at_gates(self, name: str) -> bool:
        """Whether every call that is out stands before a gate of the airline."""
        out = self.stores[name].db.execute("select task, saga_id from schedule where lane = 'out'")
        return all(task == "action" and trip in self.airline.waiting for task, trip in out.fetchall())


def in_memory(clock: ManualClock) -> InMemoryBroker:
    """Return a broker whose records are stamped by the test's clock."""
    any_broker = InMemoryBroker()
    any_broker.broker = MemoryBroker(clock=clock)
    return any_broker


@contextmanager
def travelling(
    any_broker: AnyBroker, folder: Path, topic: str, plans: Sequence[Plan], clock: ManualClock
) -> Iterator[Trips]:
    """Open the stage and the airline; open all gates at the end, so that no request outlives the test."""
    with serving(GatedAirline()) as airline:
        trips = Trips(any_broker, folder, topic, plans, clock, airline)
        try:
            yield trips
        finally:
            for gate in airline.gates.values():
                gate.set()
            for worker in trips.workers.values():
                worker._calls.stop(1)
            trips.close()

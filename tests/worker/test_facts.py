"""What was queued, waits or is armed is a fact (R9): another role that folds the log changes none of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Retry, all_of
from choreo.protocol import Instance
from choreo.worker.instances import stored_instance
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import SECOND, prepare
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    FlightLate,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripCancelled,
    TripRequested,
    trip,
)

TRIGGERS = (TripRequested, FlightBooked, TripRequested | FlightBooked, all_of(TripRequested, FlightBooked))
CALLS = (Aborted, FlightFull | Aborted)
KINDS = ("compensatable", "pivot", "retriable")
SEEN = (TripRequested, FlightBooked, TripRequested | FlightBooked, FlightBooked | FlightFull, None)
ARMED = (TripRequested, HotelBooked, None)


Tried = Callable[[Context, str], None]


@dataclass(frozen=True)
class Declared:
    """What one release declares: what calls each handler, and whether the step runs outside."""

    trigger: Any
    call: Any
    kind: str
    seen: Any
    armed: Any
    is_outside: bool

    @classmethod
    def at(cls, chance: random.Random) -> Declared:
        """Return one of all of them."""
        pick = chance.choice
        return cls(
            *(pick(TRIGGERS), pick(CALLS), pick(KINDS), pick(SEEN), pick(ARMED), chance.random() < 0.3)
        )

    def participant(self, errors: dict[str, int]) -> Participant:
        """Return the hotel of this release; ``errors`` says how often each handler still fails."""
        declared = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=3, delay=SECOND))

        def tried(ctx: Context, what: str) -> None:
            if errors.get(what):
                errors[what] -= 1
                raise ConnectionError(what)
            if what != "book" or not self.is_outside:
                ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, what])

        self._declare_step(declared, tried)
        if self.seen is not None:
            self._declare_observer(declared, tried)
        if self.armed is not None:
            self._declare_deadline(declared)
        return declared

    def _declare_step(self, declared: Participant, tried: Tried) -> None:
        def book(event: Any, ctx: Context) -> HotelBooked | HotelFull:
            tried(ctx, "book")
            return HotelBooked("t")

        def cancel(event: Any, booked: HotelBooked, ctx: Context) -> HotelCancelled:
            tried(ctx, "cancel")
            return HotelCancelled(booked.trip)

        options: dict[str, Any] = {"kind": self.kind, "blocking": self.is_outside, "on": self.trigger}
        if self.trigger in TRIGGERS[:3]:
            book.__annotations__["event"] = options.pop("on")
        else:
            book.__annotations__["event"] = TripRequested | FlightBooked
        if self.kind != "retriable":
            options |= {"fails": HotelFull, "partial": False}
        declared.action(**options)(book)
        if self.kind == "compensatable":
            cancel.__annotations__["event"] = self.call
            declared.compensation(of=book)(cancel)

    def _declare_observer(self, declared: Participant, tried: Tried) -> None:
        def look(event: Any, ctx: Context) -> None:
            tried(ctx, type(event).__name__)

        look.__annotations__["event"] = self.seen
        declared.observer(look)

    def _declare_deadline(self, declared: Participant) -> None:
        def late(event: Any, ctx: Context) -> FlightLate:
            return FlightLate("t")

        late.__annotations__["event"] = self.armed
        declared.deadline(of="flight.fly", within=timedelta(hours=1))(late)


FEEDS: tuple[Any, ...] = (
    TripRequested("t"),
    FlightBooked("t"),
    FlightFull("t", "full"),
    TripCancelled("t"),
)


def facts(saga: Instance, *, seen: bool, armed: bool) -> tuple[Any, ...]:
    """Return what a saga has of its participant's own; of observers and deadlines where both have them."""
    step = saga.step("hotel.book")
    return (
        step._replace(reason=""),
        saga.observers.get("hotel.look") if seen else None,
        saga.deadlines.get("hotel.late") == "armed" if armed else None,
        frozenset(saga.types),
        saga.outcomes,
        saga.compensated,
        (saga.failing, saga.end, saga.aborted, saga.state),
    )


def lived(rig: Rigs, old: Declared, chance: random.Random) -> tuple[Rig, dict[str, int]]:
    """Let a saga come to some point under a release."""
    errors = {
        what: chance.choice((0, 0, 1, 3)) for what in ("book", "cancel", "TripRequested", "FlightBooked")
    }
    shop = rig(old.participant(errors))
    events = [FEEDS[0], *chance.sample(FEEDS[1:], chance.randrange(3))]
    if chance.random() < 0.2:
        chance.shuffle(events)
    for event in events:
        shop.append(event)
        if chance.random() < 0.5:
            shop.worker.turn()
    for _ in range(chance.randrange(8)):
        shop.worker.turn()
        shop.clock.advance(chance.choice((0, 0, 1.5)))
    return shop, errors


_UNREADABLE = ("unreadable-body", "unanswerable", "incomplete-history")
"""The reasons of dead letters of a step that needs the body of an event which no handler took before."""

SEEDS = range(2_000 if os.environ.get("CHOREO_FUZZ") else 16)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_role_that_folds_the_log_changes_no_fact(rig: Rigs, seed: int) -> None:
    """Whatever was called, whatever waits: what today's role would have done is not taken as done."""
    chance = random.Random(seed)
    old, new = Declared.at(chance), Declared.at(chance)
    shop, _ = lived(rig, old, chance)
    both = {"seen": old.seen is not None, "armed": old.armed is not None and new.armed is not None}
    if new.seen != old.seen:
        both["seen"] = False
    before = facts(shop.saga_in_memory(), **both)
    roles = new.participant({}).roles_by_version()
    after = facts(stored_instance(shop.store, roles, "trip", "s1"), **both)
    assert after == before


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_release_a_saga_goes_on_and_nothing_is_done_twice(rig: Rigs, seed: int) -> None:
    """Events that come after it call whatever is declared then."""
    chance = random.Random(seed)
    old, new = Declared.at(chance), Declared.at(chance)
    shop, errors = lived(rig, old, chance)
    errors.clear()
    shop.close()
    shop.participant = new.participant({})
    names = [each.known_as for each in old.participant({}).handlers if each.task != "compensation"]
    shop.options = replace(shop.options, retire=tuple(names))
    shop.open()
    known = {envelope.type for _, envelope in shop.records()}
    came = [event for event in FEEDS if f"trip.{type(event).__name__}" not in known]
    for event in came:
        shop.feed(event)
    for _ in range(4):
        shop.clock.advance(2)
        shop.settle()
    done = shop.effects()
    assert len(set(done)) == len(done)
    valid = {row.event_type for row in shop.history() if row.input == "event" and row.note != "void"}
    looks = [] if new.seen is None else [type(each).__name__ for each in came if isinstance(each, new.seen)]
    assert {look for look in looks if f"trip.{look}" in valid} <= set(done)
    letters = {letter.reason for letter in shop.letters() if letter.state == "open"}
    gone = {"retired"} if new.seen is None or new.armed is None or new.kind != old.kind else set()
    gone |= {"not-taken"} if new.seen != old.seen else set()
    assert letters <= gone | {"gave-up", *_UNREADABLE}

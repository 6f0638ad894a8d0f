"""Renamed handlers (R9): a saga goes on with the names that it knows, whatever releases call them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo import Aborted, Context, Participant, Retry
from choreo.events import event_name
from choreo.replay.rebuild import rebuild
from choreo.replay.stored_saga import stored_sagas
from choreo.worker.dead_letters import settle
from tests.replay.memory_topics import MemoryTopics
from tests.stores import open_store
from tests.worker.provider import until
from tests.worker.rig import Rig
from tests.worker.services import prepare
from tests.worker.trip import (
    FlightBooked,
    FlightFull,
    FlightLate,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    HotelLate,
    TripFailed,
    TripRequested,
    trip,
)

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
BUSY = ConnectionError("busy")
SLOW = timedelta(minutes=10)


class Names(NamedTuple):
    """What one release calls a handler, and what it says it was called before."""

    function: str
    formerly: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The name that new sagas know."""
        return (self.function, *self.formerly)[-1]

    def of(self, handler: str) -> dict[str, Any]:
        """Return the option of a handler, whose names are told apart from those of others."""
        return {"formerly": tuple(f"{handler}_{each}" for each in self.formerly)} if self.formerly else {}


class World:
    """What handlers do outside of their database, in all releases: calls by key, and what observers saw.

    ``failing`` are how often each handler raises before it succeeds.
    """

    def __init__(self, failing: dict[str, int]) -> None:
        self.failing = Counter(failing)
        self.keys: dict[str, set[str]] = {"act": set(), "undo": set()}

    def call(self, ctx: Context, what: str) -> None:
        """Note a call, which fails as often as was asked for."""
        self.keys[what].add(ctx.idempotency_key)
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, what])
        self.fail(what)

    def fail(self, what: str) -> None:
        """Raise, as often as was asked for."""
        if self.failing[what] > 0:
            self.failing[what] -= 1
            raise BUSY


def release(names: Names, world: World, *, outside: bool) -> Participant:
    """Return the hotel as one release declares it: every handler but the compensation may be renamed."""
    retry = Retry(attempts=3, delay=timedelta(seconds=5))
    hotel = Participant("hotel", sagas=[trip], prepare=prepare, retry=retry)

    def act(event: TripRequested, ctx: Context) -> HotelBooked:
        if not outside:
            world.call(ctx, "act")
            return HotelBooked(event.trip)
        world.keys["act"].add(ctx.idempotency_key)
        world.fail("act")
        return HotelBooked(event.trip)

    def undo(event: FlightFull | FlightLate, booked: HotelBooked, ctx: Context) -> HotelCancelled:
        world.call(ctx, "undo")
        return HotelCancelled(booked.trip)

    def look(event: TripRequested | HotelBooked | FlightFull | HotelCancelled, ctx: Context) -> None:
        world.fail("look")
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, f"saw {type(event).__name__}"])

    def late(event: HotelBooked, ctx: Context) -> FlightLate:
        world.fail("late")
        return FlightLate(event.trip)

    for function in (act, look, late):
        kind = function.__name__
        function.__name__ = f"{kind}_{names.function}"
    timeout = timedelta(days=1)
    hotel.action(fails=HotelFull, timeout=timeout, blocking=outside, partial=False, **names.of("act"))(act)
    hotel.compensation(of=act)(undo)
    hotel.observer(**names.of("look"))(look)
    hotel.deadline(of="flight.fly", within=SLOW, **names.of("late"))(late)
    return hotel


@pytest.mark.parametrize("first", [Names("one"), Names("three", ("two", "one")), Names("one", ("two",))])
@pytest.mark.parametrize("then", [Names("two", ("three", "one")), Names("one", ("three", "two"))])
@pytest.mark.parametrize("crashed", [False, True])
def test_an_own_deadline_times_the_step_out_that_others_see(
    tmp_path: Path, first: Names, then: Names, crashed: bool
) -> None:
    """Whatever its handler and the step's are called in the release in which the time is over."""

    def declared(names: Names) -> Participant:
        hotel = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=9, delay=SLOW))

        def act(event: TripRequested) -> HotelBooked:
            raise BUSY

        def undo(event: FlightFull | Aborted, booked: HotelBooked) -> HotelCancelled: ...
        def late(event: TripRequested) -> HotelLate:
            return HotelLate(event.trip)

        act.__name__, late.__name__ = f"act_{names.function}", f"late_{names.function}"
        hotel.action(fails=HotelFull, timeout=None, **names.of("act"))(act)
        hotel.compensation(of=act)(undo)
        hotel.deadline(of=act, within=timedelta(minutes=1), **names.of("late"))(late)
        return hotel

    rig = Rig(declared(first), tmp_path)
    try:
        rig.open()
        rig.feed(TripRequested("t"))
        rig.close() if crashed else rig.settle()
        rig.close()
        rig.participant = declared(then)
        rig.open()
        rig.clock.advance(61)
        rig.settle()
        step = f"hotel.act_{first.identity}"
        own = [(each.step, each.outcome) for _, each in rig.records() if each.source == "hotel"]
        # Nobody waits for a failure any more, so it confirms that nothing was done (R5).
        assert own == [(step, "timed_out"), (step, "compensated")]
        assert rig.letters() == []
        with rig.store.turn():
            (stored,) = stored_sagas(rig.participant, rig.store, "s1")
        assert stored.differences() == []
    finally:
        rig.close()


def letters_of(names: Names, broken: bool) -> Participant:
    """Return the hotel whose handlers all fail, or all work."""
    hotel = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=1))

    def act(event: TripRequested, ctx: Context) -> HotelBooked:
        if broken:
            raise BUSY
        return HotelBooked(event.trip)

    def look(event: TripRequested, ctx: Context) -> None:
        if broken:
            raise BUSY
        ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, event.trip])

    for function in (act, look):
        function.__name__ = f"{function.__name__}_{names.function}"
    hotel.action(kind="retriable", retry=Retry(attempts=None, delay=SLOW), **names.of("act"))(act)
    hotel.observer(**names.of("look"))(look)
    return hotel


@pytest.mark.parametrize("first", [Names("one"), Names("three", ("two", "one")), Names("one", ("two",))])
@pytest.mark.parametrize("then", [Names("two", ("three", "one")), Names("one", ("three", "two"))])
@pytest.mark.parametrize("how", ["requeued", "discarded", "edited"])
def test_a_dead_letter_is_settled_under_whatever_name(
    tmp_path: Path, first: Names, then: Names, how: str
) -> None:
    """By the handler of today, once, and with the body that an operator gave it."""
    rig = Rig(letters_of(first, broken=True), tmp_path)
    try:
        rig.open()
        rig.feed(TripRequested("t"))
        (letter,) = rig.letters()
        assert letter.name == f"hotel.look_{first.identity}"
        rig.close()
        rig.participant = letters_of(then, broken=False)
        rig.open()
        if how == "edited":
            with rig.store.turn():
                assert rig.store.edit_dead_letter(letter.id, rig.codec.encode(TripRequested("mended")))
        settle(rig.store, letter, "discarded" if how == "discarded" else "requeued", "", rig.clock.now())
        rig.clock.advance(SLOW.total_seconds() + 1)
        rig.settle()
        assert [each.state for each in rig.store.dead_letters()] == [
            "discarded" if how == "discarded" else "requeued"
        ]
        assert rig.effects() == {"requeued": ["t"], "discarded": [], "edited": ["mended"]}[how]
        assert {each.step for _, each in rig.records() if each.source == "hotel"} == {
            f"hotel.act_{first.identity}"
        }
    finally:
        rig.close()


ALL = ("one", "two", "three")


def chains() -> Iterator[tuple[Names, tuple[Names, ...]]]:
    """Yield the release that a saga begins with, and those that may come after it, in any order.

    One that declares no former name can be rolled back to where its name is the identity of all others. Else
    the others know all names.
    """
    known = [Names(each[0], each[1:]) for length in (2, 3) for each in permutations(ALL, length)]
    everything = tuple(each for each in known if len(each.formerly) == 2)
    for function in ALL:
        first = Names(function)
        yield first, (first, *(each for each in known if each.identity == function))
        yield first, everything
    for first in everything:
        yield first, everything


CHAINS = list(chains())
MOVES = st.lists(
    st.sampled_from(["turn", "turn", "release", "kill", "fail", "wait"]), min_size=1, max_size=12
)


@given(
    st.sampled_from(CHAINS),
    MOVES,
    st.data(),
    st.booleans(),
    st.sampled_from(["full", "late", "booked"]),
    st.fixed_dictionaries({each: st.sampled_from([0, 0, 1, 2]) for each in ("act", "undo", "look", "late")}),
)
@settings(max_examples=1500 if FUZZ else 15, deadline=None, derandomize=not FUZZ)
def test_no_rename_is_seen_by_a_saga_in_flight(  # type: ignore[no-untyped-def]
    chain, moves, data, outside, ending, failing
) -> None:
    """At each moment of a saga, forth and back: effects once, one key and one name, everything undone."""
    first, others = chain
    world = World(failing)
    with TemporaryDirectory() as folder:
        rig = Rig(release(first, world, outside=outside), Path(folder))
        try:
            rig.begin()
            rig.append(TripRequested("t"))
            until(rig, lambda: bool(rig.history()))
            failed = ending == "booked"
            for move in moves:
                match move:
                    case "turn":
                        rig.worker.turn()
                    case "wait":
                        rig.clock.advance(5)
                    case "fail" if not failed and HotelBooked("t") in rig.published():
                        failed = True
                        end_flight(rig, ending)
                    case "release" | "kill":
                        if move == "release":
                            rig.settle()
                        rig.close()
                        names = data.draw(st.sampled_from(others))
                        rig.participant = release(names, world, outside=outside)
                        rig.begin()
            check(rig, world, first, ending, failed=failed)
        finally:
            rig.close()


def end_flight(rig: Rig, ending: str) -> None:
    """Let the flight be full, or have no outcome in time."""
    if ending == "full":
        rig.append(FlightFull("t", "full"))
    else:
        rig.clock.advance(SLOW.total_seconds() + 1)


def go_on(rig: Rig, wanted: object) -> None:
    """Let the worker go on until an event is published and nothing is due that is not far away."""

    def is_quiet() -> bool:
        return wanted in rig.published() and (rig.due_in() or SLOW.total_seconds()) > 60

    def is_done() -> bool:
        if rig.worker.turn() == 0 and (rig.due_in() or 0) <= 60:
            rig.clock.advance(5)
        if is_quiet():
            rig.settle()  # a worker that has just started may not have read all of its topic
        return is_quiet()

    until(rig, is_done)


def check(rig: Rig, world: World, first: Names, ending: str, *, failed: bool) -> None:
    """Let the saga end, and compare everything with a saga that saw one release only."""
    go_on(rig, HotelBooked("t"))
    if ending == "booked":
        rig.feed(FlightBooked("t"))
        wanted: list[Any] = [HotelBooked("t")]
    else:
        if not failed:
            end_flight(rig, ending)
        go_on(rig, HotelCancelled("t"))
        late = [FlightLate("t")] if ending == "late" else []
        wanted = [HotelBooked("t"), *late, HotelCancelled("t")]
        rig.feed(TripFailed("t", "no"))
    go_on(rig, wanted[-1])
    seen(f"{ending}, {'undone' if len(wanted) > 1 else 'done'}")
    step = f"hotel.act_{first.identity}"
    own = {each.id: each for _, each in rig.records() if each.source == "hotel"}  # published once at least
    assert [each.type for each in own.values()] == [event_name(type(each)) for each in wanted]
    assert {each.step for each in own.values()} <= {step, "flight.fly"}
    assert rig.letters() == []
    assert [len(keys) for keys in world.keys.values()] == [1, int(ending != "booked")]
    flight = [FlightFull("t", "full")] if ending == "full" else []
    looked = [TripRequested("t"), HotelBooked("t"), *flight, *wanted[2 if ending == "late" else 1 :]]
    effects = rig.effects()
    assert [each for each in effects if each.startswith("saw")] == [f"saw {type(e).__name__}" for e in looked]
    assert effects.count("act") == int("act" in effects)
    assert effects.count("undo") == int(ending != "booked")
    assert rig.state(step) == ("completed" if ending == "booked" else "compensated")
    assert rig.participant.status("s1").steps[step] == rig.state(step)  # type: ignore[union-attr]
    with rig.store.turn():
        (stored,) = stored_sagas(rig.participant, rig.store, "s1")
    assert stored.differences() == []
    with closing(open_store(Path(f"{rig.path}.lost"))) as store:
        assert rebuild(rig.participant, store, MemoryTopics(rig.broker, rig.participant), 0).left == []
        with store.turn():
            (again,) = stored_sagas(rig.participant, store, "s1")
        assert again.replay.saga.step(step) == stored.replay.saga.step(step)
        assert not again.unpublished()

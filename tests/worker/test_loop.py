"""The loop: where it begins, when it is live, how it stops, and what makes it refuse to go on."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from choreo.errors import Fenced, LogError, StoreError, StoreMismatch
from choreo.ports import Assignment, Taken
from choreo.records import Partition
from choreo.store.sqlite.guard import Guard
from choreo.testing.broker import MemoryBroker, MemoryLog
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock
from choreo.worker.composition import open_worker
from tests.stores import in_postgresql, open_store, place
from tests.worker.conftest import Rigs
from tests.worker.rig import NOON, Rig
from tests.worker.services import Script, agency, flight, hotel, ticket
from tests.worker.test_store_away import COMMITTED, away_in_turn
from tests.worker.trip import (
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
)

TRIP = Partition("trip", 0)


def options(**given: Any) -> Options:
    return Options(idle_seconds=0.0, **given)


def moment(seconds: float) -> datetime:
    """Return a time that many seconds after the clock's first."""
    return datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("start", "acted_on"),
    [("earliest", ["s1", "s2"]), ("latest", []), (moment(5), ["s2"]), (moment(60), [])],
)
def test_start_limits_acting_and_never_folding(rig: Rigs, start: Any, acted_on: list[str]) -> None:
    """A participant that is new to a topic acts from where it is told; it knows all that was before."""
    shop = rig(hotel(), opened=False, options=options(start=start))
    shop.append(TripRequested("t"), "s1")
    shop.clock.advance(10)
    shop.append(TripRequested("u"), "s2")
    shop.open()
    assert [saga_id for saga_id in ("s1", "s2") if shop.published(saga_id)] == acted_on
    assert all(shop.saga(saga_id).started for saga_id in ("s1", "s2"))
    shop.feed(TripRequested("v"), saga_id="s3")
    assert shop.published("s3") == [HotelBooked("v")]


def test_start_is_for_the_first_time_only(rig: Rigs) -> None:
    """Later a participant goes on where its store stands, whatever is said then."""
    shop = rig(hotel())
    shop.close()
    shop.append(TripRequested("t"))
    shop.options = options(start="latest")
    shop.open()
    assert shop.published() == [HotelBooked("t")]


def test_an_observer_does_not_look_at_what_lies_before_its_beginning(rig: Rigs) -> None:
    """Nor does it lose what comes after."""
    look = Script()
    shop = rig(agency(look), opened=False, options=options(start="latest"))
    for event in (HotelBooked("t"), FlightBooked("t")):
        shop.append(event)
    shop.open()
    assert look.calls == []
    shop.feed(FlightFull("u", "full"), saga_id="s2")
    assert len(look.calls) == 1
    assert shop.saga().observers == {}


def test_what_is_due_waits_until_all_that_lay_in_the_log_is_folded(rig: Rigs) -> None:
    """R4: the saga was aborted later in the log, so its step is refused and not executed."""
    book = Script()
    shop = rig(hotel(book), opened=False, options=options(turn_items=1))
    shop.append(TripRequested("t"))
    shop.append(FlightFull("t", "full"))
    shop.open()
    assert book.calls == []
    assert shop.state("hotel.book") == "refused"


class Gap(MemoryLog):
    """A log whose last offset is never delivered: a transaction's marker, say."""

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        def assigned(given: Sequence[Assignment]) -> Sequence[int]:
            return on_assign([each._replace(high=each.high + 1) for each in given])

        super().subscribe(topics, assigned, on_revoke)


@pytest.mark.parametrize("turn_items", [1, 500])
def test_a_gap_at_the_end_of_the_log_does_not_keep_the_worker_from_going_live(
    rig: Rigs, turn_items: int
) -> None:
    """The log says that its end was reached, together with the last records."""
    shop = rig(hotel(), opened=False, options=options(turn_items=turn_items))
    shop.append(TripRequested("t"))
    shop.append(TripRequested("u"), "s2")
    shop.wrap = lambda log: Gap(shop.broker, "gap")
    shop.open()
    assert shop.published("s1")
    assert shop.published("s2")


class Marker(Gap):
    """A log that says once that its end, which it does not deliver, was reached."""

    def take(self, limit: int, wait: float) -> Taken:
        taken = super().take(limit, wait)
        return taken._replace(ended={each: end + 1 for each, end in taken.ended.items()})


@COMMITTED
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_end_of_the_log_is_not_forgotten_while_the_store_is_away(
    rig: Rigs, number: int, is_committed: bool
) -> None:
    """The worker goes live, and the saga goes on, in whichever transaction that was."""
    shop = rig(hotel(), opened=False)
    shop.append(TripRequested("t"))
    shop.wrap = lambda log: Marker(shop.broker, "marker")
    shop.begin()
    with away_in_turn(shop, number, is_committed=is_committed):
        for _ in range(5):
            shop.worker.turn()
    assert shop.worker.is_live
    assert shop.published() == [HotelBooked("t")]


def test_a_turn_is_bounded_by_its_time(rig: Rigs) -> None:
    """Each record, and each thing that is due, gets a turn of its own where there is no time."""
    book = Script([ConnectionError()] * 3)
    shop = rig(hotel(book), options=options(turn_seconds=-1.0))
    for number in range(3):
        shop.append(TripRequested("t"), f"s{number}")
    assert [shop.worker.turn() for _ in range(4)] == [1, 1, 1, 0]
    shop.clock.advance(10)
    for count in (4, 5, 6):
        shop.worker.turn()
        assert len(book.calls) == count
    shop.settle()
    assert all(shop.published(f"s{number}") for number in range(3))


class Stutter(MemoryLog):
    """A log that delivers everything twice, as after a rebalance."""

    def take(self, limit: int, wait: float) -> Taken:
        taken = super().take(limit, wait)
        return taken._replace(records=[*taken.records, *taken.records])


def test_what_is_delivered_again_is_not_folded_again(rig: Rigs) -> None:
    """The position says so, before the saga is even looked at."""
    shop = rig(hotel(book := Script()), opened=False)
    shop.wrap = lambda log: Stutter(shop.broker, "stutter")
    shop.append(TripRequested("t"))
    shop.broker.append("trip", b"s1", [], b"rubbish")
    shop.open()
    assert len(book.calls) == 1
    assert len(shop.letters()) == 1


def test_no_more_is_in_flight_than_allowed(rig: Rigs) -> None:
    """The outbox is published bit by bit, as the log acknowledges it."""
    shop = rig(hotel(), options=options(in_flight=2))
    for number in range(5):
        shop.append(TripRequested("t"), f"s{number}")
    shop.worker.turn()
    assert len(shop.records_of("hotel")) == 2
    shop.settle()
    assert len(shop.records_of("hotel")) == 5


class Waits(MemoryLog):
    """A log that notes how long it was asked to wait."""

    waits: list[float]

    def take(self, limit: int, wait: float) -> Taken:
        self.waits.append(wait)
        return super().take(limit, 0)


def waiting(shop: Rig) -> list[float]:
    """Let a worker's waits be noted from now on."""
    waits: list[float] = []

    def wrap(log: MemoryLog) -> Waits:
        made = Waits(shop.broker, log.group)
        made.waits = waits
        return made

    shop.wrap = wrap
    return waits


def test_the_worker_waits_until_something_is_due_and_no_longer(rig: Rigs) -> None:
    """And never longer than its idle time, as another process may start a saga."""
    shop = rig(hotel(Script([ConnectionError()])), opened=False, options=Options(idle_seconds=0.025))
    waits = waiting(shop)
    shop.append(TripRequested("t"))
    shop.open()
    assert waits[-1] == 0.025
    shop.clock.advance(9.99)
    shop.worker.turn()
    assert waits[-1] == pytest.approx(0.01)


def test_a_worker_that_may_not_act_yet_does_not_spin(rig: Rigs) -> None:
    """Something is due, but its partitions are another's, or the broker is down: it waits for the log."""
    shop = rig(hotel(Script([ConnectionError()])), options=Options(idle_seconds=0.025))
    shop.feed(TripRequested("t"))
    shop.close()
    shop.clock.advance(60)
    waits = waiting(shop)
    shop.begin()
    shop.broker.stop()
    shop.worker.turn()
    shop.worker.turn()
    assert waits == [0.025, 0.025]


@pytest.mark.parametrize(("before", "after"), [(700, 20_000), (50_000, 50_000), (0, 0)])
def test_garbage_is_looked_for_less_often(rig: Rigs, before: int, after: int) -> None:
    """Unless the application does so already, or not at all."""
    young, *older = gc.get_threshold()
    gc.set_threshold(before, *older)
    try:
        run = rig(hotel())
        assert gc.get_threshold() == (before, *older)  # a test kit's process isn't the worker's own
        run.worker.stop()
        run.worker.run()
        assert gc.get_threshold() == (after, *older)
    finally:
        gc.set_threshold(young, *older)


def test_stop_finishes_the_turn_and_waits_for_acknowledgements(rig: Rigs) -> None:
    """What was published is out of the outbox, and the position is told to the log."""
    shop = rig(hotel(), opened=False, options=Options())
    shop.append(TripRequested("t"))
    with open_worker(
        shop.participant, place(shop.path), log := shop.broker.log("hotel"), clock=shop.clock
    ) as worker:
        thread = threading.Thread(target=_stop_when_published, args=(shop, worker))
        thread.start()
        worker.run()
        thread.join()
    store = open_store(shop.path)
    assert not store.unpublished(0, 1)
    assert log.committed == dict(store.positions())
    assert store.positions()[TRIP] >= 1
    store.close()
    with pytest.raises(StoreError):
        store.positions()


def _stop_when_published(shop: Rig, worker: Worker) -> None:
    with shop.broker.changed:
        shop.broker.changed.wait_for(lambda: len(shop.records()) == 2, 10)
    worker.stop()


def test_the_log_is_left_even_when_the_worker_can_not_start(rig: Rigs) -> None:
    """Or its partitions would stay with a member that is dead."""
    shop = rig(hotel())
    shop.close()
    closed: list[MemoryLog] = []
    log = MemoryBroker().log("hotel")
    log.close = lambda: closed.append(log)  # type: ignore[method-assign]
    with open_worker(shop.participant, place(shop.path), log) as worker, pytest.raises(StoreMismatch):
        worker.run()
    assert closed == [log]


def test_an_error_of_the_log_ends_the_worker(rig: Rigs) -> None:
    """Crash-only: whoever runs it starts it anew."""
    shop = rig(hotel())
    shop.broker.log("hotel", "i")
    shop.worker._log.fenced = True  # type: ignore[attr-defined]
    with pytest.raises(LogError, match="fenced"):
        shop.worker.turn()


@pytest.mark.parametrize("steps", [[KeyboardInterrupt()], [None, KeyboardInterrupt()]])
def test_a_worker_that_goes_on_after_an_error_is_refused(rig: Rigs, steps: list[Any]) -> None:
    """The records of the turn that was rolled back are not delivered to it again, so it would lose them."""
    shop = rig(hotel(Script(steps)))
    for saga_id in ("s1", "s2"):
        shop.append(TripRequested("t"), saga_id)
    with pytest.raises(KeyboardInterrupt):
        shop.worker.turn()
    shop.append(TripRequested("t"), "s3")
    with pytest.raises(Fenced, match="is not at"):
        shop.settle()
    shop.restart()
    assert all(shop.published(saga_id) for saga_id in ("s1", "s2", "s3"))


def test_a_store_of_another_cluster_is_refused(rig: Rigs) -> None:
    """Its positions mean nothing there."""
    shop = rig(hotel())
    shop.close()
    shop.broker = MemoryBroker()
    with pytest.raises(StoreMismatch, match="belongs to the cluster"):
        shop.open()


def test_a_store_of_another_participant_is_refused(rig: Rigs) -> None:
    """It would repeat, or miss, what that one did."""
    shop = rig(hotel())
    shop.close()
    shop.participant = agency()
    with pytest.raises(StoreMismatch, match="belongs to the participant 'hotel', not to 'agency'"):
        shop.open()


def test_a_position_beyond_the_end_of_the_log_is_refused(rig: Rigs) -> None:
    """The topic was made anew, on a cluster that gives topics no ids of their own."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"))
    shop.close()
    shop.broker._topics.clear()
    shop.broker._made.clear()
    with pytest.raises(StoreMismatch, match=r"stands at offset 2, the log holds 0 to 0 .*made anew"):
        shop.open()


def test_a_position_before_the_beginning_of_the_log_is_refused(rig: Rigs) -> None:
    """Retention deleted what was not read: sagas would miss a part of their history."""
    shop = rig(hotel())
    shop.close()
    for number in range(5):
        shop.append(TripRequested("t"), f"s{number}")
    shop.broker.forget(TRIP, 3)
    with pytest.raises(StoreMismatch, match="stands at offset 0, the log holds 3 to 5"):
        shop.open()


@pytest.mark.skipif(in_postgresql(), reason="it drops its partitions there, and goes on")
def test_a_worker_whose_positions_another_one_moved_is_fenced_and_repeats_nothing(rig: Rigs) -> None:
    """Two workers on one store, both believing that the partition is theirs."""
    book = Script()
    shop = rig(hotel(book), opened=False)
    twin_log = shop.broker.log("twin")  # a group of its own: the broker fences nobody
    store = open_store(shop.path)
    twin = Worker(shop.participant, store, twin_log, shop.codec, shop.clock, shop.options)
    twin.start()
    twin.turn()
    store._claim._token = ""  # as if it had none: the positions alone must do, too
    shop.open()
    shop.feed(TripRequested("t"))
    with pytest.raises(Fenced, match="is not at 0 any more"):
        twin.turn()
    store.close()
    assert shop.published() == [HotelBooked("t")]
    assert shop.effects() == ["action"]
    assert len(shop.records()) == 2


def test_partitions_move_between_workers_of_a_group(rig: Rigs) -> None:
    """What is revoked is not folded any more; what comes back is folded from where the store stands."""
    shop = rig(flight(), partitions=4)
    other = shop.broker.log("flight")
    begun: list[Partition] = []

    def on_assign(given: Sequence[Assignment]) -> list[int]:
        begun.extend(each.partition for each in given)
        return [each.high for each in given]

    other.subscribe(["trip"], on_assign, lambda _: None)
    shop.worker.turn()
    other.take(1, 0)
    assert {each.number for each in begun} == {1, 3}
    sagas = [f"s{number}" for number in range(8)]
    for saga_id in sagas:
        shop.append(TripRequested("t"), saga_id)
        shop.append(HotelBooked("t"), saga_id)
    shop.settle()
    done = [saga_id for saga_id in sagas if shop.published(saga_id)]
    assert 0 < len(done) < 8
    other.close()
    shop.settle()
    assert all(shop.published(saga_id) == [FlightBooked("t")] for saga_id in sagas)


def test_the_machines_clock_tells_milliseconds() -> None:
    """Since the epoch."""
    assert abs(SystemClock().now() - datetime.now(UTC).timestamp() * 1000) < 10_000


def test_a_newcomer_does_nothing_for_a_saga_that_ended_without_it_though_it_can_not_fail(rig: Rigs) -> None:
    """A retriable step is never refused, but nobody waits for the newcomer's."""
    send = Script()
    shop = rig(ticket(send), opened=False)
    for event in (TripRequested("t"), FlightBooked("t"), TripFailed("t", "x")):
        shop.append(event)
    shop.open()
    assert send.calls == []
    assert shop.published() == []
    assert shop.state("ticket.send") == "refused"


def test_who_was_away_does_what_it_was_triggered_to_do_where_it_can_not_fail(rig: Rigs) -> None:
    """The trigger came while it was a member of the topic."""
    send = Script()
    shop = rig(ticket(send))
    shop.close()
    for event in (TripRequested("t"), FlightBooked("t"), TripFailed("t", "x")):
        shop.append(event)
    shop.open()
    assert len(send.calls) == 1


def test_a_refusal_waits_until_all_that_lay_in_the_log_is_folded(rig: Rigs) -> None:
    """R4: who was refused in a saga that ended without him says nothing; else he answers, once, and late."""
    shop = rig(flight(), opened=False, options=options(turn_items=1))
    for saga_id in ("s1", "s2"):
        for event in (TripRequested("t"), HotelBooked("t"), TripCancelled("t")):
            shop.append(event, saga_id)
    shop.append(TripFailed("t", "x"), "s2")
    shop.begin()
    for _ in range(6):
        shop.worker.turn()
    assert len(shop.records()) == 7
    shop.restart()
    assert shop.published("s1") == [FlightFull("t", "the saga is aborted")]
    assert shop.published("s2") == []
    assert len(shop.records()) == 8
    assert shop.due_in() is None
    assert shop.history()[-1].saga_state == "compensating"
    shop.restart()
    assert len(shop.records()) == 8


def test_a_late_refusal_of_a_step_that_timed_out_meanwhile_is_its_compensated_event(rig: Rigs) -> None:
    """R5: a failure would be void by now."""
    shop = rig(flight(), opened=False)
    for event in (TripRequested("t"), HotelBooked("t"), TripCancelled("t")):
        shop.append(event)
    shop.append(FlightFull("t", "late"), outcome="timed_out", source="agency", id="x")
    shop.open()
    assert shop.published() == [FlightCancelled("t")]


def test_a_late_refusal_that_can_not_be_built_is_a_dead_letter(rig: Rigs) -> None:
    """Its trigger's body is rubbish."""
    shop = rig(flight(), opened=False)
    shop.append(TripRequested("t"))
    shop.append(HotelBooked("t"), body=b"rubbish")
    shop.append(TripCancelled("t"))
    shop.open()
    (letter,) = shop.letters()
    assert letter.reason == "unanswerable"
    assert shop.published() == []


@pytest.mark.skipif(in_postgresql(), reason="it is SQLite that asks")
def test_a_turn_prepares_no_statement_anew(rig: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite asks the guard at each preparation: from the second saga on, only for the two commits."""
    asked: list[tuple[Any, ...]] = []
    judge = Guard._authorize

    def note(guard: Guard, *what: Any) -> int:
        asked.append(what)
        return judge(guard, *what)

    monkeypatch.setattr(Guard, "_authorize", note)
    shop = rig(hotel())
    for saga_id in ("s1", "s2"):
        asked.clear()
        shop.append(TripRequested("t"), saga_id)
        shop.settle()
    assert [what[1] for what in asked] == ["COMMIT", "COMMIT"]

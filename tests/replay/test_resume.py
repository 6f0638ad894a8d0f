"""Resuming: what a saga owes and its store has lost is asked for again, and nothing else is."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo import Aborted, Context, Permanent, Retry
from choreo.errors import ReplayError
from choreo.participant import Participant as Declared
from choreo.replay.resume import Resumed, resume
from examples.orders.contract import order_fulfilment
from tests.broker.any_broker import InMemoryBroker
from tests.replay.watching import differences
from tests.scenarios.shop import PARTICIPANTS, Shop, compensated, scenarios, transitions
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.provider import Hotel, Provider, asked
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, agency, hotel
from tests.worker.test_deadlines import clerk
from tests.worker.trip import (
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelLate,
    TripBooked,
    TripCancelled,
    TripRequested,
)

BUSY = ConnectionError("busy")


def resumed(rigged: Rig, **options: Any) -> Resumed:
    """Resume the saga as another process would."""
    with closing(open_store(rigged.path)) as store:
        (result,) = resume(rigged.participant, store, "s1", rigged.clock.now(), **options)
    return result


def delete(path: Path, table: str, where: str = "1") -> int:
    """Delete rows by hand."""
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        return connection.execute(f"delete from {table} where {where}").rowcount


def test_nothing_is_done_about_a_saga_that_has_ended(rig: Rigs) -> None:
    """Nor about one that waits for others."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    assert resumed(rigged).is_idle
    rigged.feed(TripBooked("t"))
    before = len(rigged.records())
    result = resumed(rigged)
    assert (result.is_idle, result.state) == (True, "completed")
    rigged.settle()
    assert len(rigged.records()) == before


def test_an_event_that_the_outbox_lost_is_published_by_the_running_worker(rig: Rigs) -> None:
    """With the same id and headers, so that it is the same event for everybody."""
    rigged = rig(hotel(), opened=False)
    worker = rigged.begin()
    rigged.append(TripRequested("t"))
    worker._publishing.publish = lambda **_: None  # type: ignore[method-assign]  # it commits, and publishes nothing
    rigged.settle()
    lost = rigged.store.unpublished(0, 9)[0]
    assert delete(rigged.path, "outbox") == 1
    del worker._publishing.publish  # type: ignore[method-assign]
    rigged.settle()
    assert rigged.published() == []
    assert [entry.event_id for entry in resumed(rigged, dry_run=True).published] == [lost.event_id]
    assert rigged.store.unpublished(0, 9) == []
    assert [entry.event_id for entry in resumed(rigged).published] == [lost.event_id]
    again = rigged.store.unpublished(0, 9)[0]
    assert again._replace(seq=0) == lost._replace(seq=0)
    assert resumed(rigged).is_idle
    rigged.settle()
    assert rigged.published() == [HotelBooked("t")]
    assert rigged.state("hotel.book") == "completed"


def test_an_event_that_the_topic_holds_is_not_published_again(rig: Rigs) -> None:
    """The topic knows better than the outbox."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.begin()
    with closing(sqlite3.connect(rigged.path)) as connection, connection:
        connection.execute("drop trigger saga_log_refuses_DELETE")
        connection.execute("delete from saga_log where input = 'event' and event_type = 'trip.HotelBooked'")
    identity = rigged.records()[-1][1].id
    assert resumed(rigged, topic={identity}).is_idle
    assert [entry.event_id for entry in resumed(rigged).published] == [identity]


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_retry_that_the_schedule_lost_is_due_again(rig: Rigs, running: bool) -> None:
    """Its attempts count on. The worker does it in its next turn, or when it starts."""
    script = Script([BUSY, BUSY])
    rigged = rig(hotel(script, retry=Retry(attempts=3, delay=10 * SECOND)))
    rigged.feed(TripRequested("t"))
    assert delete(rigged.path, "schedule") == 1
    rigged.clock.advance(60)
    rigged.settle()
    assert len(script.calls) == 1
    if not running:
        rigged.close()
    assert [str(work) for work in resumed(rigged).due] == ["action hotel.book"]
    assert resumed(rigged).is_idle
    rigged.settle() if running else rigged.open()
    assert [ctx.attempt for ctx in script.calls] == [1, 2]
    rigged.clock.advance(60)
    rigged.settle()
    assert rigged.published() == [HotelBooked("t")]


def test_a_deadline_that_the_schedule_lost_counts_from_the_same_record(rig: Rigs) -> None:
    """It fires when it would have fired."""
    rigged = rig(clerk())
    rigged.feed(TripRequested("t"))
    due = rigged.due_in()
    delete(rigged.path, "schedule")
    rigged.clock.advance(10)
    assert [str(work) for work in resumed(rigged).due] == ["deadline clerk.hotel_is_late"]
    assert due is not None
    assert rigged.due_in() == due - 10
    rigged.clock.advance(50)
    rigged.settle()
    assert rigged.published() == [HotelLate("t")]


def test_a_call_that_the_schedule_lost_is_made_again(rig: Rigs, make: Hotel) -> None:
    """With the same key; both may be out, and the result of one counts."""
    provider = Provider()
    rigged = rig(make(provider))
    rigged.feed(TripRequested("t"))
    asked(rigged, provider, 1)
    delete(rigged.path, "schedule")
    assert [str(work) for work in resumed(rigged).due] == ["action hotel.book"]
    asked(rigged, provider, 2)
    provider.answer(None, None)
    for _ in range(10_000):
        rigged.settle()
        if rigged.published():
            break
    assert rigged.published() == [HotelBooked("t")]
    assert len(set(provider.keys)) == 1
    assert resumed(rigged).is_idle


def test_an_observer_that_the_schedule_lost_sees_its_events(rig: Rigs) -> None:
    """All that waited, in their order."""
    script = Script([BUSY])
    rigged = rig(agency(script, Retry(attempts=3, delay=10 * SECOND)))
    rigged.feed(HotelBooked("t"), FlightFull("t", "no"))
    delete(rigged.path, "schedule")
    assert [str(work) for work in resumed(rigged).due] == ["observer agency.look"]
    rigged.settle()
    assert [what for what in rigged.effects() if what != "observer"] == ["HotelBooked", "FlightFull"]


def test_dead_letters_are_requeued_and_only_so_often(rig: Rigs) -> None:
    """Until somebody has to look at them."""
    rigged = rig(hotel(cancel=Script([Permanent("no")] * 7)))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    for _ in range(5):
        assert len(resumed(rigged).requeued) == 1
        rigged.settle()
    result = resumed(rigged)
    assert (result.requeued, result.left) == (
        [],
        ["dead letter 6 was requeued 5 times: edit or discard it"],
    )
    assert len(resumed(rigged, limit=9).requeued) == 1
    rigged.settle()
    assert len(resumed(rigged, limit=9).requeued) == 1
    rigged.settle()
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]
    assert resumed(rigged).is_idle


def test_a_dead_letter_that_somebody_deleted_is_tried_again_too(rig: Rigs) -> None:
    """The saga log knows that the step is dead."""
    rigged = rig(hotel(cancel=Script([Permanent("no")])))
    rigged.feed(TripRequested("t"), FlightFull("t", "full"))
    delete(rigged.path, "dead_letters")
    assert [str(each) for each in differences(rigged.participant, rigged.store, "s1")] == [
        "hotel.book: dead_letters is nothing, folded it is compensation due"
    ]
    assert [str(work) for work in resumed(rigged).due] == ["compensation hotel.book"]
    rigged.settle()
    assert rigged.published() == [HotelBooked("t"), HotelCancelled("t")]


def test_an_answer_that_the_schedule_lost_is_given(rig: Rigs) -> None:
    """What was refused while the participant caught up."""
    rigged = rig(hotel(), opened=False)
    rigged.append(TripRequested("t"))
    rigged.append(FlightFull("t", "full"))
    worker = rigged.begin()
    worker._processor.due = lambda row, **_: None  # type: ignore[method-assign]
    while not worker.is_live:
        worker.turn()
    rigged.close()
    assert delete(rigged.path, "schedule", "task = 'answer'") == 1
    rigged.begin()
    assert [str(work) for work in resumed(rigged).due] == ["answer hotel.book"]
    rigged.settle()
    assert [type(each).__name__ for each in rigged.published()] == ["HotelFull"]


def test_what_lies_before_a_participant_s_beginning_is_not_resumed(rig: Rigs) -> None:
    """``--from`` limits acting; it is no loss."""
    from choreo.worker import Options

    rigged = rig(hotel(), opened=False, options=Options(idle_seconds=0.0, start="latest"))
    rigged.append(TripRequested("t"))
    rigged.open()
    assert differences(rigged.participant, rigged.store, "s1") == []
    assert resumed(rigged).is_idle


def with_a_flight() -> Declared:
    """Return the hotel of a later release, which books a flight of its own once the room is booked."""
    made = hotel()

    @made.action(fails=FlightFull)
    def fly(event: HotelBooked, ctx: Context) -> FlightBooked:
        return FlightBooked(event.trip)

    @made.compensation(of=fly)
    def stay(event: Aborted, done: FlightBooked, ctx: Context) -> FlightCancelled:
        return FlightCancelled(done.trip)

    return made


def test_a_step_that_a_release_has_added_is_resumed_from_an_own_event(rig: Rigs) -> None:
    """Its body is in the row that published it; the record that came back was not kept by the old release."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    rigged.close()
    rigged.participant = with_a_flight()
    rigged.open()
    assert [str(work) for work in resumed(rigged).due] == ["action hotel.fly"]
    rigged.settle()
    assert rigged.published() == [HotelBooked("t"), FlightBooked("t")]
    assert [letter.state for letter in rigged.letters()] == ["requeued"]


def test_a_step_that_a_release_has_added_owes_nothing_for_what_was_aborted_before(rig: Rigs) -> None:
    """Nor does its saga count as damaged; whoever wants it refused has to say so."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    rigged.feed(TripCancelled("t"))
    rigged.close()
    rigged.participant = with_a_flight()
    rigged.open()
    before = rigged.history()
    result = resumed(rigged)
    assert (result.published, result.due, result.requeued) == ([], [], [])
    assert ["choreo releases apply hotel.fly" in why for why in result.left] == [True]
    rigged.settle()
    assert rigged.history() == before


def test_a_log_that_does_not_hold_together_is_not_acted_on(rig: Rigs) -> None:
    """One line, and nothing is changed."""
    rigged = rig(hotel(Script([BUSY]), retry=Retry(attempts=3, delay=10 * SECOND)))
    rigged.feed(TripRequested("t"))
    with closing(sqlite3.connect(rigged.path)) as connection, connection:
        connection.execute("drop trigger saga_log_refuses_UPDATE")
        connection.execute("update saga_log set saga_state = 'failed' where id = 1")
    delete(rigged.path, "schedule")
    with pytest.raises(ReplayError, match="does not hold together: row 1: start: saga_state is failed"):
        resumed(rigged)
    assert rigged.store.scheduled("s1", "trip") == []


@pytest.mark.parametrize("seed", range(40 if os.environ.get("CHOREO_FUZZ") else 1))
def test_sagas_whose_stores_lose_rows_all_the_time_end_as_they_should(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Anybody resumes anything at any time, needed or not; every effect comes once."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    shop, chance = Shop(InMemoryBroker(), tmp_path), random.Random(seed)
    placed = {shop.place(each.order): each for i in range(3) for each in scenarios(f"o{i}")}
    lost = 0
    for _ in range(300):
        participant = chance.choice(PARTICIPANTS)
        shop.workers[participant.name].turn() if chance.random() < 0.7 else _commit(shop, participant)
        if chance.random() < 0.3:
            lost += delete(tmp_path / f"{participant.name}.db", chance.choice(["outbox", "schedule"]))
        _resume_any(tmp_path, chance, list(placed))
    for participant in PARTICIPANTS:
        for saga_id in placed:
            _resume(tmp_path, participant, saga_id)
    shop.until_quiet(list(placed))
    assert lost > 0
    for saga_id, scenario in placed.items():
        assert shop.ends(saga_id) == {"failed" if scenario.fails_at else "completed"}
        for participant in PARTICIPANTS:
            history = shop.history(participant.name, saga_id)
            assert tuple(compensated(history)) == scenario.undone
            for step in {entry.step for entry in history}:
                moves = transitions(history, step)
                assert len(moves) == len(set(moves)), (step, moves)
            assert differences(participant, shop.stores[participant.name], saga_id) == []
    shop.assert_balance(fulfilled=sum(not each.fails_at for each in placed.values()))
    shop.close()


def _commit(shop: Shop, participant: Declared) -> None:
    """Let a worker do a turn whose publications wait for its next one."""
    worker: Any = shop.workers[participant.name]
    publishing = worker._publishing
    give, publishing.publish = publishing.publish, lambda **_: None
    try:
        worker.turn()
    finally:
        publishing.publish = give


def _resume_any(folder: Path, chance: random.Random, saga_ids: list[str]) -> None:
    for saga_id in chance.sample(saga_ids, 2):
        _resume(folder, chance.choice(PARTICIPANTS), saga_id)


def _resume(folder: Path, participant: Declared, saga_id: str) -> None:
    """Resume as another process does; the worker then notices the commit."""
    with closing(open_store(folder / f"{participant.name}.db")) as store:
        if store.history(saga_id):
            resume(participant, store, saga_id, 0)

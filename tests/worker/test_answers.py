"""Answers that no handler writes: refusals, timeouts, and what can't be answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from choreo import Context, Participant, Permanent, Retry
from choreo.avro import AvroCodec
from choreo.errors import UnknownFingerprint
from choreo.worker import Worker
from tests.worker.conftest import Rigs
from tests.worker.services import SECOND, Script, flight, hotel, prepare, ticket
from tests.worker.trip import (
    FlightBooked,
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
    trip,
)

ANSWERED = HotelFull("asked", "because")


def test_answer_builds_the_failure_event(rig: Rigs) -> None:
    """It is given the events that triggered the step, and the reason."""
    asked: list[Any] = []

    def answer(event: TripRequested, reason: str) -> HotelFull:
        asked.append((event, reason))
        return ANSWERED

    shop = rig(hotel(Script([Permanent("no rooms")]), answer=answer))
    shop.feed(TripRequested("t"))
    assert shop.published() == [ANSWERED]
    assert asked == [(TripRequested("t"), "no rooms")]


def _raises(event: TripRequested, reason: str) -> HotelFull:
    raise KeyError(event.trip)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (_raises, "KeyError"),
        (lambda event, reason: HotelBooked(event.trip), "not a trip.HotelFull"),
        (lambda event, reason: HotelFull(event.trip, 7), "trip.HotelFull"),
    ],
    ids=["raises", "gives another event", "gives an event that can't be encoded"],
)
def test_an_answer_that_can_not_be_built_is_a_dead_letter_of_its_saga(
    rig: Rigs, answer: Any, detail: str
) -> None:
    """The worker goes on with all the other sagas."""
    shop = rig(hotel(Script([Permanent("no rooms")]), answer=answer))
    shop.feed(TripRequested("t"))
    shop.feed(TripRequested("u"), saga_id="s2")
    (letter,) = shop.letters()
    assert letter.reason == "unanswerable"
    assert detail in letter.detail
    assert shop.published("s1") == []
    assert shop.published("s2") == [HotelBooked("u")]


def test_a_refusal_is_built_from_the_triggers_fields(rig: Rigs) -> None:
    """The saga was cancelled before the step's trigger: it is not executed, and answers (R4)."""
    book = Script()
    shop = rig(hotel(book))
    shop.feed(TripCancelled("t"), TripRequested("t"))
    assert shop.published() == [HotelFull("t", "the saga is aborted")]
    assert shop.state("hotel.book") == "refused"
    assert book.calls == []


def test_a_refusal_whose_trigger_can_not_be_read_is_a_dead_letter(rig: Rigs) -> None:
    """There is nothing to build the answer from."""
    shop = rig(hotel())
    shop.feed(TripCancelled("t"))
    shop.feed(TripRequested("t"), body=b"rubbish")
    (letter,) = shop.letters()
    assert letter.reason == "unanswerable"
    assert shop.published() == []


def test_a_step_whose_time_has_passed_fails_without_being_executed(rig: Rigs) -> None:
    """Its timeout counts from its trigger's record in the log; the very millisecond is still in time."""
    book = Script()
    shop = rig(hotel(book, timeout=timedelta(minutes=2)), opened=False)
    shop.append(TripRequested("t"))
    shop.clock.advance(0.001)
    shop.append(TripRequested("u"), "s2")
    shop.clock.advance(120)
    shop.open()
    assert shop.published("s1") == [HotelFull("t", "timed out")]
    assert shop.published("s2") == [HotelBooked("u")]
    assert len(book.calls) == 1


def test_the_timeout_includes_the_retries(rig: Rigs) -> None:
    """Once it has passed there is no further attempt."""
    book = Script(last=ConnectionError())
    shop = rig(hotel(book, timeout=timedelta(seconds=25)))
    shop.feed(TripRequested("t"))
    for pause in (10, 15):
        assert shop.due_in() == pytest.approx(pause, abs=0.001)
        shop.clock.advance(shop.due_in() or 0)
        shop.settle()
    assert shop.published() == [HotelFull("t", "timed out")]
    assert len(book.calls) == 2


def test_a_leaf_is_compensated_on_the_first_failure_with_an_aborted(rig: Rigs) -> None:
    """No event of another step calls it (R7)."""
    shop = rig(flight())
    shop.feed(TripRequested("t"), HotelBooked("t"))
    shop.feed(HotelFull("t", "late"), step="elsewhere", outcome="timed_out", id="x")
    assert shop.published() == [FlightBooked("t"), FlightCancelled("t")]


def test_a_handler_that_returns_what_it_did_not_declare_fails_its_step(rig: Rigs) -> None:
    """The guard that makes the manifest trustworthy: nothing undeclared is published, and nothing kept."""
    participant = Participant("hotel", sagas=[trip], prepare=prepare)

    @participant.action(fails=HotelFull)
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        ctx.db.execute("insert into effects values (?, 'book')", [ctx.saga_id])
        return HotelCancelled("t")  # type: ignore[return-value]

    @participant.compensation(of=book)
    def cancel(event: FlightFull, booked: HotelBooked, ctx: Context) -> HotelCancelled:
        return None  # type: ignore[return-value]

    @participant.observer
    def watch(event: TripFailed, ctx: Context) -> None:
        return 7  # type: ignore[return-value]

    shop = rig(participant)
    shop.feed(TripRequested("t"), TripFailed("t", "x"))
    assert shop.published() == [HotelFull("t", "UndeclaredEvent")]
    assert shop.effects() == []
    (letter,) = shop.letters()
    assert letter.task == "observer"
    assert letter.detail.startswith("UndeclaredEvent: hotel.watch is an observer and returned int")


def test_a_handler_that_commits_fails_its_step(rig: Rigs) -> None:
    """The transaction is the turn's, not the handler's."""
    participant = Participant("hotel", sagas=[trip], prepare=prepare)

    @participant.action(fails=HotelFull, kind="pivot")
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        ctx.db.execute("insert into effects values (?, 'book')", [ctx.saga_id])
        ctx.db.execute("commit")
        return HotelBooked(event.trip)

    shop = rig(participant)
    shop.feed(TripRequested("t"))
    assert shop.published() == [HotelFull("t", "TransactionControl")]
    assert shop.effects() == []


def test_a_body_that_can_not_be_used_is_a_dead_letter_and_its_saga_goes_on_by_its_headers(rig: Rigs) -> None:
    """R1: the headers suffice to fold; only the dispatch is a dead letter."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"), body=b"rubbish")
    (letter,) = shop.letters()
    assert (letter.reason, letter.value) == ("unreadable-body", b"rubbish")
    assert shop.saga().started
    assert shop.saga().step("hotel.book").activity == "dead"


def test_a_body_that_is_too_long_is_not_decoded(rig: Rigs) -> None:
    """Half a megabyte at most."""
    shop = rig(hotel())
    shop.feed(TripRequested("x" * 600_000))
    (letter,) = shop.letters()
    assert letter.reason == "unreadable-body"
    assert "524288 at most" in letter.detail


def test_an_unknown_schema_is_waited_for_and_then_a_dead_letter(rig: Rigs) -> None:
    """The producer may have been deployed first; even a step that can't fail does not wait for ever."""
    shop = rig(ticket())
    shop.feed(TripRequested("t"), HotelBooked("t"))
    shop.feed(FlightBooked("t"), body=b"\xc3\x01unknown!xx")
    pauses = []
    while (pause := shop.due_in()) is not None:
        pauses.append(pause)
        shop.clock.advance(pause)
        shop.settle()
    assert pauses == [1, 2, 4, 8, 16]
    (letter,) = shop.letters()
    assert (letter.reason, letter.attempt) == ("unknown-fingerprint", 0)


def test_a_wait_for_a_schema_is_said_once_and_so_is_its_end(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many sagas wait for it."""
    shop = rig(hotel())
    with monkeypatch.context() as patch:
        patch.setattr(AvroCodec, "decode", _unknown)
        for number in range(3):
            shop.feed(TripRequested("t"), saga_id=f"s{number}")
        shop.clock.advance(1)
        shop.settle()
    shop.clock.advance(2)
    shop.settle()
    assert all(shop.published(f"s{number}") for number in range(3))
    told = [
        f"{each.levelname} {each.getMessage()}" for each in caplog.records if "schema" in each.getMessage()
    ]
    assert told == [
        "WARNING hotel: waits for a schema: trip.TripRequested: no schema has the fingerprint ab",
        "WARNING hotel: the schema that it waited for is there",
    ]


def _unknown(codec: object, name: str, body: bytes) -> object:
    raise UnknownFingerprint(f"{name}: no schema has the fingerprint ab")


def test_a_version_that_is_not_known_is_folded_and_not_acted_on(rig: Rigs) -> None:
    """And said so, in a dead letter."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"), saga_version=2)
    (letter,) = shop.letters()
    assert letter.reason == "unknown-version"
    assert shop.saga().version == 2
    assert shop.published() == []


def test_a_saga_whose_start_was_never_seen_is_not_acted_on(rig: Rigs) -> None:
    """Its history is incomplete: a dead letter."""
    shop = rig(flight())
    shop.feed(HotelBooked("t"))
    (letter,) = shop.letters()
    assert (letter.reason, letter.name) == ("incomplete-history", "flight.fly")
    assert shop.published() == []


def test_headers_that_can_not_be_read_are_a_dead_letter(rig: Rigs) -> None:
    """And so is a record of another saga; the offset moves on."""
    shop = rig(hotel())
    shop.broker.append("trip", b"s1", [("ce_id", b"\xff"), ("other", None)], None)
    shop.append(TripRequested("t"), saga_type="journey")
    shop.feed(TripRequested("t"))
    assert [letter.reason for letter in shop.letters()] == ["unreadable-headers"] * 2
    assert "'trip'" in shop.letters()[1].detail
    assert shop.state("hotel.book") == "completed"


def test_a_duplicate_changes_nothing(rig: Rigs) -> None:
    """R2: not even the saga log."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"))
    before = shop.history()
    shop.feed(TripRequested("t"))
    for record, _ in shop.records():
        shop.broker.repeat(record)
    shop.settle()
    assert shop.history() == before


def test_a_void_outcome_is_recorded_and_dispatched_to_nobody(rig: Rigs) -> None:
    """R3: the first outcome of a step is its outcome, a later one is void."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"))
    shop.feed(FlightBooked("t"), FlightFull("t", "too late"))
    assert shop.history()[-1].note == "void"
    assert shop.published() == [HotelBooked("t")]
    shop.feed(TripBooked("t"))
    assert shop.saga().end == "completed"


def test_a_worker_that_is_careful_after_a_crash_gives_answers_and_comes_to_rest(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is not put off from one turn to the next until the worker is trusted again."""
    shop, turns, turn = rig(hotel()), [], Worker.turn
    monkeypatch.setattr(Worker, "turn", lambda worker: (turns.append(1), turn(worker))[1])
    for number in range(3):
        shop.close()  # without its release, as a crash leaves it
        shop.append(TripRequested("t"), f"s{number}")
        shop.append(FlightFull("t", "full"), f"s{number}")
        shop.open()
        shop.feed(FlightFull("u", "full"), TripRequested("u"), saga_id=f"live-{number}")
        assert [type(each) for each in shop.published(f"s{number}")] == [HotelFull]
        assert shop.due_in() is None
    assert len(turns) < 200


@pytest.mark.parametrize("knows", [True, False])
def test_a_step_that_an_earlier_release_called_is_answered_from_what_is_there(rig: Rigs, knows: bool) -> None:
    """The event that calls it now came by its headers only, and the one that called it may not be known."""

    def released(called_by: type, *, looks: bool) -> Participant:
        hotel = Participant("hotel", sagas=[trip], prepare=prepare, retry=Retry(attempts=9, delay=SECOND))

        def book(event: Any) -> HotelBooked:
            raise ConnectionError("away")

        def cancel(event: FlightFull, booked: HotelBooked) -> HotelCancelled:
            return HotelCancelled(booked.trip)

        def look(event: TripRequested) -> None: ...

        book.__annotations__["event"] = called_by
        hotel.action(fails=HotelFull)(book)
        hotel.compensation(of=book)(cancel)
        if looks:
            hotel.observer(look)
        return hotel

    rigged = rig(released(TripRequested, looks=True))
    rigged.feed(TripRequested("t"))
    rigged.feed(FlightBooked("t"))
    rigged.close()
    rigged.participant = released(FlightBooked, looks=knows)
    rigged.open()
    rigged.feed(TripCancelled("t"))
    assert [type(each) for each in rigged.published()] == [HotelFull]
    assert rigged.letters() == []

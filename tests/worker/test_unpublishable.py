"""An event that the topic refuses is its own saga's dead letter; everybody else's go on."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from choreo import Context, External, Participant
from choreo.errors import LogError
from choreo.ports import Refusal
from choreo.records import Unpublished
from choreo.worker.dead_letters import settle
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import hotel, prepare
from tests.worker.test_dead_letters import ask, open_letters
from tests.worker.trip import HotelBooked, TripRequested, trip

LIMIT = 100


def exporting() -> Participant:
    """Make a hotel that tells its chain, too."""
    chain = Participant(
        "hotel", sagas=[trip], prepare=prepare, external=[External(HotelBooked, topic="chain")]
    )

    @chain.action(kind="retriable")
    def book(event: TripRequested, ctx: Context) -> HotelBooked:
        ctx.db.execute("insert into effects values (?, 'booked')", [ctx.saga_id])
        return HotelBooked(event.trip)

    return chain


def ask_for(rigged: Rig, *sagas: str) -> None:
    for saga_id in sagas:
        name = "long" * LIMIT if saga_id.startswith("bad") else "t"
        rigged.append(TripRequested(name), saga_id)
    rigged.settle()


@pytest.mark.parametrize(
    "sagas", [("bad",), ("bad", "good"), ("a", "bad-1", "b", "bad-2", "c"), ("bad-1", "bad-2")]
)
@pytest.mark.parametrize("restarts", [0, 2])
def test_only_the_saga_of_the_refused_event_waits(rig: Rigs, sagas: tuple[str, ...], restarts: int) -> None:
    """Wherever it stands in the outbox, and however often the worker starts; once mended, it is published."""
    rigged = rig(hotel())
    rigged.broker.configure("trip", {"max.message.bytes": str(LIMIT)})
    ask_for(rigged, *sagas)
    for _ in range(restarts):
        rigged.restart()
    bad = [each for each in sagas if each.startswith("bad")]
    assert [(each.saga_id, each.reason, each.name) for each in open_letters(rigged)] == [
        (each, "unpublishable", "hotel.book") for each in bad
    ]
    assert not rigged.store.unpublished(0, 10)
    for each in set(sagas) - set(bad):
        assert rigged.state("hotel.book", each) == "completed"
        assert rigged.published(each) == [HotelBooked("t")]
    rigged.broker.configure("trip", {"max.message.bytes": str(10_000)})
    for each in bad:
        assert rigged.published(each) == []
    with closing(open_store(rigged.path)) as other:
        for letter in open_letters(rigged):
            assert settle(other, letter, "requeued", "", rigged.clock.now())
    rigged.settle()
    assert not open_letters(rigged)
    for each in bad:
        assert rigged.published(each) == [HotelBooked("long" * LIMIT)]
        assert rigged.effects(each) == ["action"]


def test_what_is_requeued_too_early_is_a_letter_again(rig: Rigs) -> None:
    """With the same event, under another number."""
    rigged = rig(hotel())
    rigged.broker.configure("trip", {"max.message.bytes": str(LIMIT)})
    ask_for(rigged, "bad")
    first = ask(rigged)
    (second,) = open_letters(rigged)
    assert second.id != first.id
    assert second._replace(id=first.id, recorded_at=first.recorded_at) == first


def test_an_event_that_its_saga_waits_for_is_not_discarded(rig: Rigs) -> None:
    """The saga would hang without a letter."""
    rigged = rig(hotel())
    rigged.broker.configure("trip", {"max.message.bytes": str(LIMIT)})
    ask_for(rigged, "bad")
    ask(rigged, "discarded", "by hand")
    (letter,) = open_letters(rigged)
    assert letter.reason == "undiscardable"
    rigged.broker.configure("trip", {"max.message.bytes": str(10_000)})
    ask(rigged)
    assert rigged.published("bad") == [HotelBooked("long" * LIMIT)]


def test_a_copy_for_another_topic_holds_up_nothing(rig: Rigs, caplog: pytest.LogCaptureFixture) -> None:
    """Its saga goes on; the copy may be published later, or discarded."""
    rigged = rig(exporting())
    rigged.broker.configure("chain", {"max.message.bytes": str(LIMIT)})
    with caplog.at_level(logging.ERROR):
        ask_for(rigged, "bad", "good")
    assert "dead letter 1: saga_id=bad unpublishable: chain: the body is larger than 100 bytes" in caplog.text
    assert rigged.state("hotel.book", "bad") == "completed"
    assert [each.key for each in rigged.broker.records("chain")] == [b"good"]
    ask(rigged, "discarded", "nobody reads it")
    assert not open_letters(rigged)


def test_a_deleted_topic_of_a_saga_is_no_saga_s_fault(rig: Rigs) -> None:
    """The worker ends; the outbox keeps the event, and the next start finds it there."""
    rigged = rig(hotel())
    rigged.broker.stop()
    with rigged.store.turn():
        rigged.store.enqueue([Unpublished("e1", "s1", "trip", "trip", "ce_type: trip.HotelBooked", b"x")])
    (row,) = rigged.store.unpublished(0, 2)
    rigged.worker._uncommitted.refused.append(Refusal(row.seq, "trip: unknown topic", is_missing=True))
    with pytest.raises(LogError, match="could not publish to trip: unknown topic"):
        rigged.worker.turn()
    assert [*rigged.store.unpublished(0, 2)] == [row]
    assert not rigged.letters()
    rigged.close()

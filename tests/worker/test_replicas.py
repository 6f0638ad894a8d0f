"""Several workers of one participant that share a store: each has its partitions, and what is theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.cimpl import murmur2

from choreo import Context, Participant, Retry
from choreo.cloudevents import headers_of
from choreo.errors import Fenced
from tests.worker.provider import Provider
from tests.worker.provider import hotel as calling_hotel
from tests.worker.replicas import PARTITIONS, Replicas, Traced, on, place
from tests.worker.rig import envelope_of
from tests.worker.services import SECOND, hotel
from tests.worker.trip import FlightBooked, FlightCancelled, FlightFull, HotelBooked, TripRequested

Make = Callable[..., Replicas]


@pytest.fixture
def replicas(empty_store: str, tmp_path: Path) -> Iterator[Make]:
    """Return a function that opens a participant's store for replicas."""
    opened: list[Replicas] = []

    def make(participant: Callable[[], Participant], count: int = 0) -> Replicas:
        opened.append(Replicas(tmp_path, empty_store, participant))
        opened[0].start(count)
        return opened[0]

    yield make
    for each in opened:
        each.close()


SAGAS = [f"s{number}" for number in range(24)]


def booking(**given: Any) -> Callable[[], Participant]:
    """Return a maker of hotels that leave their traces."""
    return lambda: hotel(Traced(), Traced(), **given)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_saga_is_run_once_by_the_owner_of_its_partition(replicas: Make, count: int) -> None:
    """Side by side; one more than partitions has nothing to do, and does no harm."""
    many = replicas(booking(), count)
    assert sorted(number for each in many.running for number in each.numbers) == list(range(PARTITIONS))
    many.feed(TripRequested, SAGAS)
    many.feed(lambda saga_id: FlightFull(saga_id, "full"), SAGAS)
    assert many.effects() == {(saga, task): 1 for saga in SAGAS for task in ("action", "compensation")}
    assert set(many.published().values()) == {1}
    assert len(many.published()) == 2 * len(SAGAS)
    many.check_chains(SAGAS)
    assert not many.reader.unpublished(0, 9)
    assert many.reader.next_due() is None


def test_replicas_come_and_go_amid_the_work(replicas: Make) -> None:
    """Whoever has the partition goes on where the one before was; nothing is done twice, nothing is lost."""
    many = replicas(booking(), 1)
    many.feed(TripRequested, SAGAS[:12])
    many.start(2)
    many.feed(TripRequested, SAGAS[12:])
    many.expel(many.running[0])
    many.feed(lambda saga_id: FlightFull(saga_id, "full"), SAGAS[:12])
    many.start()
    many.feed(lambda saga_id: FlightFull(saga_id, "full"), SAGAS[12:])
    assert many.effects() == {(saga, task): 1 for saga in SAGAS for task in ("action", "compensation")}
    assert set(many.published().values()) == {1}
    many.check_chains(SAGAS)


def test_what_is_due_is_done_by_the_owner(replicas: Make) -> None:
    """The other one does not see it, however late it is; who takes the partition over does it."""
    retry = Retry(attempts=3, delay=10 * SECOND)
    script = Traced([LookupError()])
    many = replicas(lambda: hotel(script, retry=retry), 2)
    saga_id = on(0)[0]
    many.feed(TripRequested, [saga_id])
    owner = many.owner_of(saga_id)
    (other,) = [each for each in many.running if each is not owner]
    many.rig.clock.advance(11)
    for _ in range(5):
        other.worker.turn()
    assert not many.effects()
    many.expel(owner)
    assert many.effects() == {(saga_id, "action"): 1}


def test_what_was_not_published_is_published_by_the_next_owner(replicas: Make) -> None:
    """Also where its number is lower than that of what the next owner has published already."""
    many = replicas(booking(), 2)
    first, second = on(0)[0], on(1)[0]
    owner = many.owner_of(first)
    owner.worker._publishing.publish = lambda **_: None  # type: ignore[method-assign]
    many.feed(TripRequested, [first])
    many.feed(TripRequested, [second])
    assert len(many.published()) == 1
    many.expel(owner)
    assert set(many.published().values()) == {1}
    assert len(many.published()) == 2


def test_calls_are_cut_with_their_partition_and_called_again(replicas: Make) -> None:
    """By the next owner, with the same key; what the first call returns is dropped."""
    provider = Provider()
    many = replicas(lambda: calling_hotel(provider), 1)
    ids = [on(number)[0] for number in range(PARTITIONS)]
    many.feed(TripRequested, ids)
    _until(many, lambda: len(provider.keys) == len(ids))
    many.start()  # takes every other partition over
    moved = [saga_id for saga_id in ids if many.owner_of(saga_id) is many.running[1]]
    _until(many, lambda: len(provider.keys) == len(ids) + len(moved))
    assert len(set(provider.keys)) == len(ids)
    assert provider.ended == ["cancelled"] * len(moved)
    provider.answer(*[None] * len(ids))
    _until(many, lambda: len(many.published()) == len(ids))
    assert set(many.published().values()) == {1}
    many.check_chains(ids)
    assert not many.reader.dead_letters()


def _until(many: Replicas, is_done: Callable[[], bool]) -> None:
    for _ in range(20_000):
        many.settle()
        if is_done():
            return
    raise AssertionError("it never comes")


def test_a_worker_that_was_replaced_drops_its_partitions_and_goes_on(replicas: Make) -> None:
    """Its turn is refused before it does anything, and it does what is its own still."""
    many = replicas(booking(), 2)
    zombie, other = many.running
    gone, kept = zombie.numbers
    with other.store.turn():
        other.store.take_over([place(gone)])
    saga_id, own = on(gone)[0], on(kept)[0]
    many.rig.append(TripRequested(saga_id), saga_id)
    many.rig.append(TripRequested(own), own)
    zombie.worker.turn()
    assert zombie.numbers == [kept]
    assert not many.reader.history(saga_id)
    many.settle()
    assert many.effects() == {(own, "action"): 1, (saga_id, "action"): 1}
    assert [type(each) for each in many.rig.published(own)] == [HotelBooked]


def test_a_partition_that_was_taken_over_too_late_comes_back(replicas: Make) -> None:
    """By a worker on which the group had given up: whoever had it asks the group again, and keeps it."""
    many = replicas(booking(), 2)
    late = many.running[0]
    number = late.numbers[0]
    many.expel(late)
    with pytest.raises(Fenced), late.store.turn():
        raise AssertionError("the turn was opened")
    with late.store.turn():
        late.store.take_over([place(number)])
    many.feed(TripRequested, SAGAS)
    assert many.effects() == {(saga_id, "action"): 1 for saga_id in SAGAS}
    assert set(many.published().values()) == {1}
    many.check_chains(SAGAS)


def watched_hotel(seen: list[tuple[str, str]]) -> Participant:
    """Return the hotel of a later release, which observes what came before, too."""
    participant = hotel(Traced(), Traced())

    @participant.observer
    def look(event: TripRequested | FlightBooked, ctx: Context) -> None:
        seen.append((ctx.saga_id, type(event).__name__))

    return participant


@pytest.mark.parametrize("is_back", [False, True])
def test_replicas_of_two_releases_share_a_store(replicas: Make, is_back: bool) -> None:
    """While one is rolled out: a partition goes from one release to the other, and back."""
    seen: list[tuple[str, str]] = []
    many = replicas(booking(), 1)
    many.feed(TripRequested, SAGAS[:8])
    many.start(make=lambda: watched_hotel(seen))
    new = many.running[1]
    many.feed(TripRequested, SAGAS[8:])
    of_new = {saga_id for saga_id in SAGAS if many.owner_of(saga_id) is new}
    many.expel(many.running[0])
    many.feed(FlightBooked, SAGAS[:20])
    if is_back:
        many.start(make=booking())
        many.expel(new)
    many.feed(lambda saga_id: FlightFull(saga_id, "late"), SAGAS[20:])
    wanted = {(saga_id, "FlightBooked") for saga_id in SAGAS[:20]}
    wanted |= {(saga_id, "TripRequested") for saga_id in SAGAS[8:] if saga_id in of_new}
    assert 0 < len(of_new & {*SAGAS[8:20]}) < 12
    assert sorted(seen) == sorted(wanted)
    booked = {(saga_id, "action"): 1 for saga_id in SAGAS}
    assert many.effects() == {**booked, **{(saga_id, "compensation"): 1 for saga_id in SAGAS[20:]}}
    assert not many.reader.dead_letters()
    many.check_chains(SAGAS)


@pytest.mark.parametrize("order", sorted({*permutations([0, 0, 1, 1], 3)}))
def test_a_saga_whose_events_lie_on_several_partitions(replicas: Make, order: tuple[int, ...]) -> None:
    """As those of a producer with another partitioner, or of before a topic grew: one by one."""
    many = replicas(booking(), 2)
    saga_id = on(0)[0]
    events = (TripRequested(saga_id), FlightFull(saga_id, "full"), FlightCancelled(saga_id))
    for event, number in zip(events, order, strict=True):
        envelope = envelope_of(event, saga_id, many.rig.clock.now())
        many.broker.append(
            "trip", saga_id.encode(), headers_of(envelope), many.rig.codec.encode(event), number
        )
        many.settle()
    assert many.effects() == {(saga_id, "action"): 1, (saga_id, "compensation"): 1}
    assert set(many.published().values()) == {1}
    assert not many.reader.dead_letters()
    many.check_chains([saga_id])


@pytest.mark.parametrize("grows", [False, True])
def test_only_a_partition_that_was_added_is_acted_on_from_its_beginning(
    empty_store: str, tmp_path: Path, grows: bool
) -> None:
    """A replica that begins while the others have joined some takes the rest for what they are: old ones."""
    many = Replicas(tmp_path, empty_store, booking(), "latest")
    try:
        for number in range(PARTITIONS):
            saga_id = on(number)[0]
            many.rig.append(TripRequested(saga_id), saga_id)
        many.begin(2)
        first, second = many.running
        first.worker.turn()
        assert len(first.numbers) == PARTITIONS // 2
        if grows:
            many.broker.add_partitions("trip", PARTITIONS)
            grown = next(
                saga_id
                for saga_id in SAGAS
                if murmur2(saga_id.encode(), 2 * PARTITIONS) == 2 * PARTITIONS - 1
            )
            many.rig.append(TripRequested(grown), grown)
        many.broker.expel(second.log)
        many.running.remove(second)
        many.start()
        assert many.effects() == ({(grown, "action"): 1} if grows else {})
    finally:
        many.close()

"""What every log must do (`choreo.ports.Log`): in memory, on the embedded broker, on a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from choreo.errors import Fenced, LogError
from choreo.ports import Assignment, Log, Publication
from choreo.records import Partition
from tests.broker.any_broker import AnyBroker, unique
from tests.kafka.recording_reader import DEADLINE, RecordingReader, publications, publish

pytestmark = pytest.mark.usefixtures("any_broker")


@pytest.fixture
def made(any_broker: AnyBroker, topic: str) -> str:
    """Return the name of a topic that exists, with four partitions."""
    return any_broker.create_topic(topic)


@pytest.fixture
def log(any_broker: AnyBroker) -> Log:
    """Return the log of some participant."""
    return any_broker.log(unique("group"))


def _others(any_broker: AnyBroker, topic: str) -> RecordingReader:
    return RecordingReader(any_broker.log(unique("group")), topic).subscribe()


def test_names_the_cluster_always_alike(any_broker: AnyBroker, log: Log) -> None:
    """Two participants must find the same name, or a store could not tell two clusters apart."""
    assert log.cluster_id() == any_broker.log(unique("group")).cluster_id() != ""


def test_order_is_kept_per_key(any_broker: AnyBroker, log: Log, made: str) -> None:
    """What was published in order for a saga is read in that order."""
    publish(log, made, 1000, keys=7)
    seen = _others(any_broker, made).until_records(1000)
    for key in range(7):
        assert seen.values(f"saga-{key}".encode()) == [str(n).encode() for n in range(key, 1000, 7)]


def test_records_come_as_they_were_published(any_broker: AnyBroker, log: Log, made: str) -> None:
    """Key, headers and value are bytes that nobody touches; the time is the cluster's."""
    before = time.time_ns() // 1_000_000 - 1000
    log.publish([Publication(7, made, b"k", [("ce_id", b"1"), ("x", b"\xff")], b"\x00\xff")])
    log.flush(10)
    (record,) = _others(any_broker, made).until_records(1).records
    assert (record.topic, record.offset, record.key, record.value) == (made, 0, b"k", b"\x00\xff")
    assert list(record.headers) == [("ce_id", b"1"), ("x", b"\xff")]
    assert before < record.timestamp < before + 120_000


def test_a_key_has_the_same_partition_on_every_broker(any_broker: AnyBroker, log: Log, made: str) -> None:
    """The hashes are those of `UtilsTest.testMurmur2` in Apache Kafka: a Java producer chooses alike."""
    hashes = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    }
    expected = {key: (number & 0x7FFFFFFF) % 4 for key, number in hashes.items()}
    log.publish(Publication(n, made, key, [], b"") for n, key in enumerate(expected))
    log.flush(10)
    seen = _others(any_broker, made).until_records(4)
    assert {each.key: each.partition for each in seen.records} == expected


def test_an_empty_topic_has_ended_at_once(log: Log, made: str) -> None:
    """Every partition is assigned with watermarks 0 and 0, and has ended."""
    seen = RecordingReader(log, made).subscribe().until_ended()
    assert sorted(seen.assigned) == [Partition(made, number) for number in range(4)]
    assert {(each.low, each.high) for each in seen.assigned.values()} == {(0, 0)}
    assert seen.records == []


def test_partitions_end_once_all_that_was_there_came(any_broker: AnyBroker, log: Log, made: str) -> None:
    """The high watermark is the next offset; a partition ends only after its last record."""
    publish(log, made, 200)
    seen = _others(any_broker, made)
    while len(set(seen.ended)) < 4:
        seen.take(limit=17)
        for partition in seen.ended:
            got = [each for each in seen.records if each.partition == partition.number]
            assert len(got) == seen.assigned[partition].high
    assert sum(each.high for each in seen.assigned.values()) == len(seen.records) == 200


def test_the_ends_of_partitions_are_known(any_broker: AnyBroker, log: Log, made: str) -> None:
    """Those that came with the last fetch, of what is assigned."""
    publish(log, made, 200)
    seen = _others(any_broker, made).until_ended()
    partitions = sorted(seen.assigned)
    seen.until(lambda: len(seen.log.ends(partitions)) == len(partitions))
    assert dict(seen.log.ends(partitions)) == {each: seen.assigned[each].high for each in partitions}
    publish(log, made, 200, first=200)
    seen.until(lambda: sum(seen.log.ends(partitions).values()) == 400)


def test_the_end_of_a_partition_is_told_without_delay(any_broker: AnyBroker, log: Log, made: str) -> None:
    """A long poll of the broker (0.5 s) must not hold up who only wants to catch up."""
    publish(log, made, 50)
    seen = _others(any_broker, made).until_records(50)
    started = time.monotonic()
    seen.until_ended()
    assert time.monotonic() - started < 0.3


def test_begins_at_the_offsets_that_were_given(any_broker: AnyBroker, log: Log, made: str) -> None:
    """The truth about positions is in the store: the log begins just there."""
    publish(log, made, 400)
    resumed = RecordingReader(any_broker.log(unique("group")), made, start=lambda each: each.high // 2)
    resumed.subscribe().until_ended()
    for partition, assignment in resumed.assigned.items():
        offsets = [each.offset for each in resumed.records if each.partition == partition.number]
        assert offsets == list(range(assignment.high // 2, assignment.high))


def test_committed_offsets_change_nothing(any_broker: AnyBroker, made: str) -> None:
    """They are for lag monitors; who comes back with an empty store reads from where it says."""
    group = unique("group")
    first = any_broker.log(group)
    publish(first, made, 40)
    seen = RecordingReader(first, made).subscribe().until_records(40)
    first.commit({partition: each.high for partition, each in seen.assigned.items()})
    first.close()
    again = RecordingReader(any_broker.log(group), made).subscribe().until_records(40)
    assert again.per_partition() == seen.per_partition()


def test_what_on_assign_raises_take_raises(log: Log, made: str) -> None:
    """A store that doesn't fit the log must be able to stop the worker."""

    def refuse(_assignments: Sequence[Assignment]) -> Sequence[int]:
        raise LookupError("another store")

    log.subscribe([made], refuse, lambda _: None)
    with pytest.raises(LookupError, match="another store"):
        _take_for(log, DEADLINE)


def test_an_offset_that_the_log_does_not_hold_is_refused(any_broker: AnyBroker, log: Log, made: str) -> None:
    """Never a silent jump: what lies between would be lost."""
    publish(log, made, 40)
    far = RecordingReader(
        any_broker.log(unique("group")), made, start=lambda each: each.high + 1000
    ).subscribe()
    with pytest.raises(LogError, match="hint: retention"):
        far.until_records(1)


def test_publications_are_acknowledged_once_each(log: Log, made: str) -> None:
    """The outbox may forget a row when its number comes back, and not before."""
    seen = RecordingReader(log, made).subscribe().until_ended()
    log.publish(publications(made, 300))
    seen.until(lambda: len(seen.acknowledged) >= 300 and len(seen.records) >= 300)
    assert sorted(seen.acknowledged) == list(range(300))
    assert log.flush(0) == []


def test_the_same_publication_may_come_twice(any_broker: AnyBroker, log: Log, made: str) -> None:
    """A relay that was not told of its success publishes again; both records are in the log."""
    publish(log, made, 3, keys=1)
    publish(log, made, 3, keys=1)
    seen = _others(any_broker, made).until_records(6)
    assert seen.values(b"saga-0") == [b"0", b"1", b"2", b"0", b"1", b"2"]


def test_take_keeps_to_its_limit(any_broker: AnyBroker, log: Log, made: str) -> None:
    """A turn takes no more than it can fold."""
    publish(log, made, 50)
    seen = _others(any_broker, made)
    while len(seen.records) < 50:
        before = len(seen.records)
        seen.take(limit=3)
        assert len(seen.records) - before <= 3


def test_two_groups_see_everything_in_the_same_order(any_broker: AnyBroker, log: Log, made: str) -> None:
    """One saga, one topic, one order: for every participant."""
    first, second = _others(any_broker, made).until_ended(), _others(any_broker, made).until_ended()
    publish(log, made, 500)
    first.until_records(500)
    second.until_records(500)
    assert first.per_partition() == second.per_partition()


def test_two_workers_of_a_group_share_its_partitions(any_broker: AnyBroker, log: Log, made: str) -> None:
    """A second worker takes over a part, and the first is told what it lost."""
    group = unique("group")
    first = RecordingReader(any_broker.log(group, "a"), made).subscribe().until_ended()
    second = RecordingReader(any_broker.log(group, "b"), made).subscribe()
    deadline = time.monotonic() + DEADLINE
    while not second.assigned or len(set(first.revoked)) < 2:
        assert time.monotonic() < deadline
        first.take(wait=0.02)
        second.take(wait=0.02)
    assert 0 < len(second.assigned) < 4


def test_finds_offsets_by_time(any_broker: AnyBroker, log: Log, made: str) -> None:
    """The first record at or after a time, or the partition's end where there is none."""
    if any_broker.name == "embedded":
        pytest.skip("librdkafka's mock cluster keeps no times")
    publish(log, made, 40)
    time.sleep(0.01)
    middle = time.time_ns() // 1_000_000
    time.sleep(0.01)
    publish(log, made, 40, first=40)
    seen = _others(any_broker, made).until_records(80)
    partitions = sorted(seen.assigned)
    expected = [
        min(each.offset for each in seen.records if each.partition == n and each.timestamp >= middle)
        for n in range(4)
        if any(each.partition == n and each.timestamp >= middle for each in seen.records)
    ]
    assert [*log.offsets_at(partitions, 0)] == [0, 0, 0, 0]
    assert len(expected) == 4
    assert [*log.offsets_at(partitions, middle)] == expected
    late = time.time_ns() // 1_000_000 + 60_000
    assert [*log.offsets_at(partitions, late)] == [len(seen.per_partition()[n]) for n in range(4)]


def test_a_killed_worker_is_replaced_at_once(any_broker: AnyBroker, made: str) -> None:
    """Static membership: who starts under the same instance name gets the partitions without a wait."""
    if any_broker.name == "embedded":
        pytest.skip("librdkafka's mock cluster has no static membership")
    group = unique("group")
    abandoned = RecordingReader(any_broker.log(group, "worker-1"), made)
    abandoned.log.subscribe([made], abandoned._on_assign, _fenced)
    abandoned.until_ended()
    publish(abandoned.log, made, 20)
    started = time.monotonic()
    again = RecordingReader(any_broker.log(group, "worker-1"), made).subscribe().until_records(20)
    assert time.monotonic() - started < 5
    assert sorted(again.assigned) == sorted(abandoned.assigned)
    with pytest.raises((Fenced, LogError), match=r"another (worker|member)"):
        _take_for(abandoned.log, DEADLINE)


def _fenced(_partitions: Sequence[Partition]) -> None:
    """Find out, as the worker does, that the store was taken over."""
    raise Fenced("another worker has taken this store over")


def test_a_closed_log_can_be_followed_by_another(any_broker: AnyBroker, made: str) -> None:
    """A clean restart goes on where the store says."""
    group = unique("group")
    first = RecordingReader(any_broker.log(group, "w"), made).subscribe().until_ended()
    publish(first.log, made, 20)
    first.until_records(20)
    first.log.close()
    again = (
        RecordingReader(any_broker.log(group, "w"), made, start=lambda each: each.high)
        .subscribe()
        .until_ended()
    )
    publish(again.log, made, 5, first=20)
    again.until_records(5)
    assert sorted(each.value or b"" for each in again.records) == [b"20", b"21", b"22", b"23", b"24"]


def _take_for(log: Log, seconds: float) -> None:
    """Take until it raises, or time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        log.take(100, 0.05)

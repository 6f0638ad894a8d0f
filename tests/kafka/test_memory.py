"""What the log in memory can do beyond a log: outages, retention, repetition, dead members."""

from __future__ import annotations

import pytest

from choreo.errors import LogError
from choreo.records import Partition
from choreo.testing.broker import MemoryBroker
from tests.kafka.recording_reader import RecordingReader, publications


def test_without_waiting_it_is_deterministic() -> None:
    """One call publishes, the next takes, in one thread."""
    broker = MemoryBroker(partitions=1)
    seen = RecordingReader(broker.log("g"), "t").subscribe()
    seen.take(wait=0)
    assert seen.ended == [Partition("t", 0)]
    seen.log.publish(publications("t", 3))
    seen.take(limit=2, wait=0)
    seen.take(limit=2, wait=0)
    assert [each.value for each in seen.records] == [b"0", b"1", b"2"]
    assert seen.acknowledged == [0, 1, 2]


def test_timestamps_are_those_of_its_clock() -> None:
    """So that time stands still unless a test moves it."""

    class Noon:
        def now(self) -> int:
            return 43_200_000

    assert MemoryBroker(clock=Noon()).append("t", b"k", (), b"").timestamp == 43_200_000


def test_an_outage_holds_publications_back() -> None:
    """They are neither lost nor acknowledged, and come in order afterwards."""
    broker = MemoryBroker(partitions=1)
    seen = RecordingReader(broker.log("g"), "t").subscribe()
    broker.stop()
    seen.log.publish(publications("t", 2))
    seen.take(wait=0)
    assert (seen.records, seen.acknowledged, broker.records()) == ([], [], [])
    with pytest.raises(LogError):
        seen.log.cluster_id()
    broker.start()
    seen.take(wait=0)
    assert [each.value for each in seen.records] == [b"0", b"1"]
    assert seen.acknowledged == [0, 1]


def test_any_record_can_be_appended_and_repeated() -> None:
    """Good or bad: a null key, no value, headers of any kind."""
    broker = MemoryBroker()
    odd = broker.append("t", None, [("x", None)], None)
    again = broker.repeat(odd)
    assert (again.offset, again.headers, again.key) == (1, (("x", None),), None)
    assert broker.records("t") == [odd, again]
    assert broker.records("other") == []


def test_retention_deletes_what_is_old() -> None:
    """The low watermark moves; who stands below it is told."""
    broker = MemoryBroker(partitions=1)
    for _ in range(5):
        broker.append("t", b"k", (), b"")
    broker.forget(Partition("t", 0), before=3)
    seen = RecordingReader(broker.log("g"), "t").subscribe()
    seen.take(wait=0)
    assert seen.assigned[Partition("t", 0)][1:] == (3, 5)
    assert [each.offset for each in seen.records] == [3, 4]
    late = RecordingReader(broker.log("late"), "t", start=lambda _: 1).subscribe()
    with pytest.raises(LogError, match="hint: retention"):
        late.take(wait=0)


def test_a_dead_members_partitions_go_to_the_others() -> None:
    """As when its session runs out."""
    broker = MemoryBroker(partitions=2)
    dead = RecordingReader(broker.log("g", "a"), "t").subscribe()
    alive = RecordingReader(broker.log("g", "b"), "t").subscribe()
    dead.take(wait=0)
    alive.take(wait=0)
    assert len(dead.assigned) == len(alive.assigned) == 1
    broker.expel(dead.log)  # type: ignore[arg-type]
    alive.take(wait=0)
    assert len(alive.assigned) == 2

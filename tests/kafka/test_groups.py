"""The consumer group: the store that it belongs to, partitions that begin late, and members that come back.

Each scenario runs with every group protocol; with ``CHOREO_FUZZ``, both with and without static membership.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from choreo.errors import Fenced, LogError, StoreMismatch
from choreo.kafka import KafkaLog, consumer, create_topics
from choreo.kafka.claim import claim_group
from choreo.records import Partition
from tests.broker.any_broker import KafkaCluster, unique
from tests.broker.unready import Starting
from tests.kafka.recording_reader import DEADLINE, RecordingReader, publish

pytestmark = pytest.mark.kafka

PROTOCOLS = {
    "eager": {},
    "cooperative": {"partition_assignment_strategy": "cooperative-sticky"},
    "kip848": {"group_protocol": "consumer"},
}
EVERY = list(product(PROTOCOLS, (False, True)))
KINDS = EVERY if os.environ.get("CHOREO_FUZZ") else [EVERY[1], EVERY[2], EVERY[5]]


JOIN = """
import json, sys
from confluent_kafka import Consumer
consumer, joined = Consumer(json.loads(sys.argv[1])), []
consumer.subscribe([sys.argv[2]], on_assign=lambda _, partitions: joined.extend(partitions))
while not joined:
    consumer.poll(0.1)
print("joined", flush=True)
while True:
    consumer.poll(0.1)
"""


class Members:
    """The members of one group on one topic of four partitions."""

    def __init__(self, bootstrap: str, protocol: str, is_static: bool) -> None:
        self.cluster = KafkaCluster(bootstrap, embedded=False)
        self.group, self.topic = unique("group"), self.cluster.create_topic(unique("topic"))
        self._settings: dict[str, Any] = dict(PROTOCOLS[protocol])
        self.protocol, self.is_static = protocol, is_static

    def log(self, store: str, **settings: Any) -> KafkaLog:
        """Return the log of a store's worker, which claims the group when it subscribes."""
        instance = f"worker-{store}" if self.is_static else ""
        log = self.cluster.log(self.group, instance, **{**self._settings, **settings})
        assert isinstance(log, KafkaLog)
        return log

    def worker(self, store: str, *, is_new: bool = True, **settings: Any) -> RecordingReader:
        """Return a reader that has subscribed for a store."""
        log = self.log(store, **settings)
        log.claim(store, is_new)
        return RecordingReader(log, self.topic).subscribe()

    def plain(self, name: str, **settings: Any) -> RecordingReader:
        """Return a reader that claims nothing."""
        return RecordingReader(self.log(name, **settings), self.topic)

    def publish(self, count: int, first: int = 0) -> None:
        """Publish records, with a log of its own."""
        publish(self.cluster.log(unique("other")), self.topic, count, first=first)


@pytest.fixture(params=KINDS, ids=[f"{name}{'-static' if fixed else ''}" for name, fixed in KINDS])
def members(request: pytest.FixtureRequest, kafka_bootstrap: str) -> Iterator[Members]:
    """Return a group for each protocol, and with and without static membership."""
    made = Members(kafka_bootstrap, *request.param)
    yield made
    made.cluster.close()


def spin(*readers: RecordingReader, until: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Let all of them take, in turns."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, [each._told() for each in readers]
        for each in readers:
            each.take(wait=0.02)


def test_one_of_two_new_stores_gets_the_group(members: Members) -> None:
    """Both begin at the same moment; the other one has all partitions within seconds, and publishes alone."""
    going = {store: members.worker(store) for store in ("a", "b")}
    for name, each in going.items():
        each.log.publish([])
        publication = [(0, members.topic, b"k", [("n", b"1")], name.encode())]
        each.log.publish(publication)  # type: ignore[arg-type]
    refused: dict[str, StoreMismatch] = {}
    deadline = time.monotonic() + DEADLINE
    while not (refused and len({*next(iter(going.values())).ended}) == 4):
        assert time.monotonic() < deadline, [each._told() for each in going.values()]
        for store, each in list(going.items()):
            try:
                each.take(wait=0.02)
            except StoreMismatch as error:
                refused[store] = error
                going.pop(store).log.close()
    ((winner, reader),) = going.items()
    (error,) = refused.values()
    assert f"belongs to the store {winner}" in error.message
    assert "choreo store claim" in error.hint
    reader.until_records(1)
    assert [each.value for each in reader.records] == [winner.encode()]


@pytest.mark.parametrize(("first", "is_new"), [("running", True), ("stopped", False), ("killed", True)])
def test_another_store_is_refused_before_it_joins(members: Members, first: str, is_new: bool) -> None:
    """Whether the first is there or not, and whether the other is new or older; the first notices nothing."""
    healthy = members.worker("a").until_ended()
    if first == "stopped":
        healthy.log.close()
    with pytest.raises(StoreMismatch, match="belongs to the store a, not to b"):
        members.worker("b", is_new=is_new)
    if first == "running":
        members.publish(20)
        healthy.until_records(20)
        assert healthy.revoked == []


def test_offsets_that_name_no_store_are_nobodys_claim(members: Members, kafka_bootstrap: str) -> None:
    """A worker that claims nothing, an older choreo's, has committed: the next one that claims is served."""
    older = members.plain("a").subscribe().until_ended()
    committer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": members.group})
    older.log.commit(dict.fromkeys(older.assigned, 0))
    deadline = time.monotonic() + DEADLINE
    while any(each.offset < 0 for each in _committed(committer, members.topic)):
        assert time.monotonic() < deadline
        older.take()
    committer.close()
    older.log.close()
    members.worker("a", is_new=False).until_ended()
    with pytest.raises(StoreMismatch):
        members.worker("b")


def test_a_claim_that_has_expired_is_made_again(members: Members, kafka_bootstrap: str) -> None:
    """The broker has forgotten the group's offsets: its own store goes on, and is the only one again."""
    first = members.worker("a", **_short(members)).until_ended()
    first.log.close()
    _forget(kafka_bootstrap, members.group)
    members.worker("a", is_new=False, **_short(members)).until_ended()
    with pytest.raises(StoreMismatch):
        members.worker("b")


def test_a_store_that_replaces_another_says_so(members: Members, kafka_bootstrap: str) -> None:
    """The group must have no members then; the one that was replaced is refused from then on."""
    first = members.worker("a", **_short(members)).until_ended()
    with pytest.raises(LogError, match="a worker is in the consumer group"):
        claim_group(kafka_bootstrap, members.group, [members.topic], "b", patience=0)
    first.log.close()
    assert claim_group(kafka_bootstrap, members.group, [members.topic], "b") == "a"
    members.worker("b").until_ended()
    with pytest.raises(StoreMismatch, match="belongs to the store b, not to a"):
        members.worker("a", is_new=False)


def test_a_group_is_claimed_at_a_broker_that_is_about_to_serve_it(kafka_bootstrap: str, topic: str) -> None:
    """Such as the one of the service that is deployed again right after its broker."""
    group = unique("group")
    create_topics(kafka_bootstrap, [topic], 1, 1)
    with Starting(kafka_bootstrap, [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE]) as way:
        assert claim_group(way.address, group, [topic], "a") == ""
        assert way.left == []
    assert claim_group(kafka_bootstrap, group, [topic], "b") == "a"


def test_partitions_are_revoked_before_they_began(members: Members) -> None:
    """Their leaders don't answer a member when another one joins: both go on, and nothing is lost."""
    members.publish(40)
    first = members.plain("a")
    away = _leaders_away(first.log, range(4))
    first.subscribe()
    spin(first, until=lambda: first.log.arriving() == 4)
    second = members.plain("b").subscribe()
    spin(first, second, until=lambda: len(second.assigned) == 2 and first.log.arriving() == 2)
    assert first.revoked == []
    away.clear()
    spin(first, second, until=lambda: len(_seen(first, second)) == 40)


def test_a_member_too_many_is_a_spare_until_another_one_leaves(members: Members) -> None:
    """It is told so, and is told otherwise."""
    if members.protocol == "kip848":
        pytest.skip("whoever has none is told nothing")
    readers = [members.plain(str(number)).subscribe() for number in range(5)]

    def spares() -> list[RecordingReader]:
        return [each for each in readers if each.log.is_spare()]

    spin(
        *readers, until=lambda: len({at for each in readers for at in each.ended}) == 4 and len(spares()) == 1
    )
    (spare,) = spares()
    if members.is_static:  # its partitions wait for who left
        return
    left = next(each for each in readers if each is not spare)
    left.log.close()
    readers.remove(left)
    spin(*readers, until=lambda: not spares())


def test_partitions_begin_one_by_one(
    members: Members, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One leader is away for a while: the others' records come meanwhile, all once and in order."""
    monkeypatch.setattr(consumer, "_LATE", 0.0)
    members.publish(200)
    reader = members.plain("a")
    away = _leaders_away(reader.log, [1])
    reader.subscribe()
    spin(reader, until=lambda: len(set(reader.ended)) == 3)
    assert {each.partition for each in reader.records} == {0, 2, 3}
    assert reader.log.arriving() == 1
    members.publish(200, first=200)
    away.clear()
    spin(reader, until=lambda: len(reader.records) >= 400)
    assert reader.log.arriving() == 0
    said = [each.getMessage() for each in caplog.records if f"{members.topic}[1] can" in each.getMessage()]
    assert said[-1] == f"{members.topic}[1] can be read again"
    for number in range(4):
        offsets = [each.offset for each in reader.records if each.partition == number]
        assert offsets == list(range(len(offsets)))


def test_who_was_away_for_too_long_comes_back(members: Members) -> None:
    """A turn longer than ``max.poll.interval.ms``, with an answer for the monitors at its end."""
    reader = members.plain("a", **_session(members), max_poll_interval_ms=1500).subscribe().until_ended()
    members.publish(20)
    positions = dict.fromkeys(reader.assigned, 0)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        time.sleep(0.1)  # the turn
    reader.log.commit(positions)
    spin(reader, until=lambda: len(_seen(reader)) == 20 and len(set(reader.revoked)) == 4)
    members.publish(20, first=20)
    spin(reader, until=lambda: len(_seen(reader)) == 40)


def test_who_was_replaced_while_it_was_away_asks_its_store(members: Members) -> None:
    """The group can't tell: another member has had its name. The store knows, and its owner comes back."""
    if not members.is_static or "group_protocol" in members._settings:
        pytest.skip("only a static member of a classic group can be replaced")
    for is_replaced in (False, True):
        patience = {**_session(members), "max_poll_interval_ms": 1500}
        reader = members.plain("a", **patience)
        revoke = _fenced if is_replaced else reader.revoked.extend
        reader.log.subscribe([members.topic], reader._on_assign, revoke)
        reader.until_ended()
        until = time.monotonic() + 2
        other = members.plain("a").subscribe().until_ended()
        other.log.close()
        while time.monotonic() < until:
            time.sleep(0.1)  # the turn
        if is_replaced:
            with pytest.raises(Fenced, match="another worker"):
                reader.until(lambda: False)
        else:
            reader.until(lambda reader=reader: len(set(reader.revoked)) == 4 and len(reader.ended) >= 8)
            reader.log.close()


def test_of_two_that_start_at_once_the_one_stays_that_has_the_store(members: Members) -> None:
    """In the group each puts the other out; the one whose store was taken over doesn't come back."""
    if not members.is_static or "group_protocol" in members._settings:
        pytest.skip("only a static member of a classic group can be replaced")
    owner = members.plain("a").subscribe().until_ended()
    other = members.plain("a")
    other.log.subscribe([members.topic], other._on_assign, _fenced)
    refused: list[Fenced] = []
    members.publish(20)

    def is_settled() -> bool:
        try:
            if not refused:
                other.take()
        except Fenced as error:
            refused.append(error)
        return bool(refused) and len(_seen(owner)) == 20

    owner.until(is_settled)


@pytest.mark.skipif(not os.environ.get("CHOREO_FUZZ"), reason="a session of KIP-848 takes 45 s")
def test_a_killed_worker_has_its_name_back_when_its_session_is_over(members: Members) -> None:
    """In a group of KIP-848 a name is in use until then; in a classic one it is taken over at once."""
    settings = {name.replace("_", "."): value for name, value in members._settings.items()}
    settings |= {"group.id": members.group, "bootstrap.servers": members.cluster.bootstrap}
    settings |= {"group.instance.id": "worker-a"} if members.is_static else {}
    command = [sys.executable, "-c", JOIN, json.dumps(settings), members.topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"joined\n"
        process.kill()
    again = members.plain("a").subscribe()
    spin(again, until=lambda: len(set(again.ended)) == 4, seconds=90)


@pytest.mark.parametrize("ends", ["commit", "abort"])
def test_the_end_is_beyond_a_transaction_s_marker(members: Members, kafka_bootstrap: str, ends: str) -> None:
    """The offsets of markers, and of what was aborted, are never delivered: the end is behind them."""
    topic = unique("topic")
    create_topics(kafka_bootstrap, [topic], 1, 1)
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": unique("t")})
    producer.init_transactions()
    for outcome in ("commit", ends):
        producer.begin_transaction()
        producer.produce(topic, b"v", b"k")
        producer.flush()
        getattr(producer, f"{outcome}_transaction")()
    ends_at: dict[Partition, int] = {}
    log = members.log("a")
    log.subscribe([topic], lambda given: [each.low for each in given], lambda _: None)
    deadline = time.monotonic() + DEADLINE
    while ends_at.get(Partition(topic, 0)) != 4:
        assert time.monotonic() < deadline, ends_at
        ends_at.update(log.take(100, 0.05).ended)


def _leaders_away(log: Any, numbers: Any) -> set[int]:
    """Let the leaders of partitions not answer, as long as their numbers are in the set."""
    away = set(numbers)
    consumer = log._consumer
    ask = consumer._watermarks

    def asked(partition: Partition) -> tuple[int, int]:
        if partition.number in away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        found: tuple[int, int] = ask(partition)
        return found

    consumer._watermarks = asked
    return away


def _session(members: Members) -> dict[str, Any]:
    return {} if "group_protocol" in members._settings else {"session_timeout_ms": 1000}


def _fenced(_partitions: Sequence[Partition]) -> None:
    raise Fenced("another worker has taken this store over")


def _short(members: Members) -> dict[str, Any]:
    """Return settings for a session that is over soon; KIP-848 leaves that to the broker."""
    if "group_protocol" not in members._settings:
        return {"session_timeout_ms": 1000}
    if members.is_static and not os.environ.get("CHOREO_FUZZ"):
        pytest.skip("the broker's session takes 45 s")
    return {}


def _seen(*readers: RecordingReader) -> set[tuple[int, int]]:
    return {(each.partition, each.offset) for reader in readers for each in reader.records}


def _committed(consumer: Consumer, topic: str) -> list[TopicPartition]:
    return consumer.committed([TopicPartition(topic, number) for number in range(4)], timeout=10)


def _forget(bootstrap: str, group: str) -> None:
    """Delete a group, as the broker does with the offsets of one that has had no members for long."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + 60
    while True:
        try:
            return admin.delete_consumer_groups([group])[group].result()
        except KafkaException:
            assert time.monotonic() < deadline
            time.sleep(0.2)

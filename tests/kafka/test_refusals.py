"""What the cluster refuses for good is blamed on that publication alone, wherever it stands."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import choreo.kafka.producer as producer_module
from choreo.errors import LogError
from choreo.kafka import EmbeddedBroker, KafkaLog
from choreo.kafka.producer import KafkaProducer
from choreo.kafka.settings import of_producer
from choreo.ports import Log, Publication, Refusal
from choreo.testing.broker import MemoryBroker
from tests.broker.any_broker import KafkaCluster, unique
from tests.kafka.recording_reader import DEADLINE, RecordingReader

LIMIT = 2_000

AHEAD = b"time"
"""The beginning of a body whose record is stamped two hours ahead."""


class Stamping(Producer):
    """A producer whose host's clock is wrong for some records."""

    def produce(self, topic: str, value: bytes, *arguments: Any, **more: Any) -> None:  # type: ignore[override]
        """Produce a record."""
        if value.startswith(AHEAD):
            more["timestamp"] = time.time_ns() // 1_000_000 + 7_200_000
        super().produce(topic, value, *arguments, **more)


BAD: dict[str, Callable[[Publication], Publication]] = {
    "larger than the topic takes": lambda each: each._replace(value=b"x" * (LIMIT + 500)),
    "larger than any request": lambda each: each._replace(value=b"x" * 2_000_000),
    "of a wrong clock": lambda each: each._replace(value=AHEAD),
    "for a topic that is missing": lambda each: each._replace(topic=unique("missing")),
    "for a topic of no name": lambda each: each._replace(topic="a/b c"),
    "with a header that is none": lambda each: each._replace(headers=[("n", object())]),  # type: ignore[list-item]
}


def settle(log: Log, count: int) -> tuple[list[int], list[Refusal]]:
    """Take until so many publications are acknowledged or refused."""
    acknowledged: dict[int, None] = {}
    refused: list[Refusal] = []
    deadline = time.monotonic() + DEADLINE
    while len(acknowledged) + len(refused) < count:
        taken = log.take(100, 0.02)
        acknowledged |= dict.fromkeys(taken.acknowledged)
        refused += taken.refused
        assert time.monotonic() < deadline, (acknowledged, refused)
    return [*acknowledged], refused


def limited(bootstrap: str, topic: str, partitions: int = 1) -> None:
    """Make a topic that takes small records only."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, partitions, 1, config={"max.message.bytes": str(LIMIT)})
    admin.create_topics([new])[topic].result(10)


def check_reasons(refused: list[Refusal], bad: dict[int, str]) -> None:
    """Check that exactly the bad ones are refused, each with the reason and a hint."""
    assert {each.seq for each in refused} == set(bad)
    for each in refused:
        if each.is_missing:  # a broker may say so of a name that no topic can have
            assert bad[each.seq].startswith("for a topic")
        if bad[each.seq] == "for a topic that is missing":
            assert each.is_missing
        if bad[each.seq] == "of a wrong clock":
            assert "the clock of this host says 20" in each.reason
        if bad[each.seq] == "larger than the topic takes":
            assert "raise the topic's max.message.bytes" in each.reason


@pytest.mark.kafka
@pytest.mark.parametrize("seed", range(4))
def test_every_other_publication_arrives_in_order(
    kafka_bootstrap: str, topic: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad ones of all kinds, at the head, in the middle, one after another, in one batch or in several."""
    chance = random.Random(seed)
    monkeypatch.setattr(producer_module, "Producer", Stamping)
    limited(kafka_bootstrap, topic)
    publications = [
        Publication(seq, topic, b"saga-%d" % chance.randrange(3), [], b"%d" % seq) for seq in range(1, 41)
    ]
    bad = {seq: chance.choice([*BAD]) for seq in chance.sample(range(1, 41), 7)} | {1: [*BAD][seed]}
    for seq, kind in bad.items():
        publications[seq - 1] = BAD[kind](publications[seq - 1])
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    log = cluster.log(unique("group"), topic_metadata_propagation_max_ms=300)
    while publications:
        size = chance.randrange(1, 25)
        log.publish(publications[:size])
        del publications[:size]
    acknowledged, refused = settle(log, 40)
    check_reasons(refused, bad)
    assert sorted(acknowledged) == sorted(set(range(1, 41)) - set(bad))
    seen = RecordingReader(cluster.log(unique("group")), topic).subscribe().until_ended(1).records
    for key in {each.key for each in seen}:
        first = [*dict.fromkeys(int(each.value or b"") for each in seen if each.key == key)]
        assert first == sorted(first), "an event overtook one of the same saga"
    assert {int(each.value or b"") for each in seen} == set(acknowledged)
    log.publish([Publication(99, topic, b"saga-0", [], b"later")])
    assert settle(log, 1) == ([99], [])
    cluster.close()


def test_a_record_too_large_for_any_request_is_refused_on_the_embedded_broker(
    embedded_broker: EmbeddedBroker,
) -> None:
    """The client refuses it; what is behind it goes on."""
    log = KafkaLog(embedded_broker.bootstrap, "g", embedded=True)
    log.publish([Publication(1, "large", b"k", [], b"x" * 2_000_000), Publication(2, "large", b"k", [], b"")])
    acknowledged, refused = settle_produced(log, 2)
    assert (acknowledged, [each.seq for each in refused]) == ([2], [1])
    assert "keep large data elsewhere" in refused[0].reason
    log.close()


def settle_produced(log: KafkaLog, count: int) -> tuple[list[int], list[Refusal]]:
    """Settle the publications of a log that subscribed to nothing."""
    acknowledged: list[int] = []
    refused: list[Refusal] = []
    deadline = time.monotonic() + DEADLINE
    while len(acknowledged) + len(refused) < count and time.monotonic() < deadline:
        acknowledged += log._producer.flush(0.05)
        refused += log._producer.refused()
    return acknowledged, refused


def test_the_broker_in_memory_refuses_alike() -> None:
    """Its topics can have a limit, too."""
    broker = MemoryBroker()
    broker.configure("small", {"max.message.bytes": str(10)})
    log = broker.log("g")
    log.subscribe(["small"], lambda new: [each.low for each in new], lambda _: None)
    log.publish([Publication(seq, "small", b"k", [], b"x" * (11 if seq == 1 else 1)) for seq in (1, 2)])
    acknowledged, refused = settle(log, 2)
    assert (acknowledged, [each.seq for each in refused]) == ([2], [1])


def test_reports_of_what_was_dropped_are_no_refusals() -> None:
    """A fatal error drops what is queued, and the client may report that first, or report nothing at all."""
    settings = of_producer("127.0.0.1:1", {"log_level": 0})
    writer = KafkaProducer(settings)
    for seq in (1, 2, 3, 4):
        writer._sent[seq] = Publication(seq, "large", b"k", [], b"")
    for seq, code in ((1, KafkaError._PURGE_QUEUE), (2, KafkaError.MSG_SIZE_TOO_LARGE)):
        writer._report(seq, "large")(KafkaError(code), Message())
    writer._report(3, "large")(KafkaError(KafkaError._PURGE_INFLIGHT), Message())
    writer._recover()
    assert writer._suspects == {2, 4}  # the fourth was never reported
    assert [each.seq for each in writer._waiting] == [1, 2, 3, 4]
    assert writer.refused() == []
    writer.close()


def test_a_failure_that_no_publication_caused_ends_the_log() -> None:
    """A producer that another one has fenced, say: every later call raises the same error."""
    writer = KafkaProducer(of_producer("127.0.0.1:1", {"log_level": 0}))
    writer._sent[1] = Publication(1, "t", b"k", [], b"")
    writer._fatal = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    for call in (writer.acknowledged, lambda: writer.publish([]), lambda: writer.flush(0)):
        with pytest.raises(LogError, match="could not publish"):
            call()
    writer.close()


@pytest.mark.kafka
def test_many_bad_ones_in_many_batches_hold_nobody_up_for_ever(kafka_bootstrap: str, topic: str) -> None:
    """What is refused while suspects are sent one by one joins them, in its place."""
    limited(kafka_bootstrap, topic, partitions=4)
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    log, count, acknowledged, refused = cluster.log(unique("group")), 200, set[int](), list[int]()
    deadline, seq = time.monotonic() + 3 * DEADLINE, 1
    while len(acknowledged) + len(refused) < count:
        if seq <= count:
            sizes = {each: LIMIT * 2 if each % 5 == 0 else 1 for each in range(seq, seq + 50)}
            log.publish(
                Publication(each, topic, b"k%d" % (each % 50), [], b"x" * size)
                for each, size in sizes.items()
            )
            seq += 50
        taken = log.take(100, 0.01)
        acknowledged |= {*taken.acknowledged}
        refused += [each.seq for each in taken.refused]
        assert time.monotonic() < deadline, (acknowledged, refused)
    assert sorted(refused) == [*range(5, count + 1, 5)]
    cluster.close()


def test_what_comes_back_while_a_suspect_waits_is_sent_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was under way may be refused just then, and takes its place again."""
    writer = KafkaProducer(of_producer("127.0.0.1:1", {"log_level": 0}))
    earlier, suspect = (Publication(seq, "t", b"k", [], b"") for seq in (1, 2))
    writer._sent[1] = earlier
    writer._waiting.append(suspect)
    writer._suspects = {1, 2}

    def serve(_wait: float) -> None:
        writer._waiting.appendleft(writer._sent.pop(1))

    monkeypatch.setattr(writer, "_serve", serve)
    assert writer._send_alone(suspect)
    assert (writer._alone, [*writer._waiting]) == (None, [earlier, suspect])
    writer.close()

"""A real cluster: a good deployment, and what is wrong with others; a cluster that is away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from choreo.doctor import Patient, examine
from choreo.kafka import create_topics
from choreo.kafka.claim import claim_group
from choreo.kafka.topics import await_topics
from choreo.participant.topics import topic_needs
from choreo.records import Partition
from choreo.store.sqlite.store import SQLiteStore
from tests.broker.any_broker import unique
from tests.broker.unready import Starting
from tests.worker.services import hotel
from tests.worker.trip import trip

COPIES = "warning topic replication factor"
"""What is wrong with every topic of a cluster of one broker."""


class Site(NamedTuple):
    """A deployment of one participant."""

    patient: Patient
    admin: Any

    def told(self, **changes: Any) -> list[str]:
        """Return what is wrong: level, subject and the first words, without names of this test's own."""
        found = list(examine(self.patient._replace(**changes), 5.0))
        assert all("\n" not in each.text for each in found)
        return [
            f"{each.level} {each.subject.split()[0]} {each.text}".partition(" is 1, not 3")[0]
            for each in found
        ]

    def alter(self, **settings: str) -> None:
        """Make the topic with other settings than sagas need."""
        config = {name.replace("_", "."): value for name, value in settings.items()}
        self.admin.create_topics([NewTopic(trip.topic, 2, 1, config=config)])[trip.topic].result(10)
        await_topics(self.admin, [trip.topic])


@pytest.fixture
def site(kafka_bootstrap: str, tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a deployment without a topic and without a store."""
    monkeypatch.setattr(trip, "topic", topic)
    participant = hotel()
    monkeypatch.setattr(participant, "name", unique("hotel"))
    patient = Patient(participant, str(tmp_path / "hotel.db"), tmp_path, kafka_bootstrap, {})
    return Site(patient, AdminClient({"bootstrap.servers": kafka_bootstrap}))


def use(site: Site, cluster: str, positions: int, at: int = 0, topic_id: str = "") -> str:
    """Let a worker have used the store; return its id."""
    with closing(SQLiteStore(site.patient.store)) as store:
        store.bind(cluster, site.patient.participant.name)
        with store.turn():
            for number in range(positions):
                store.join(Partition(trip.topic, number), at, 0, 0)
            if topic_id:
                store.identify({trip.topic: topic_id})
        return store.store_id


@pytest.mark.kafka
def test_a_broker_that_is_about_to_serve_a_group_is_asked_again(kafka_bootstrap: str, topic: str) -> None:
    """In a process of its own: librdkafka may end it, as its admin client does on these answers."""
    program = (
        "from choreo.kafka.facts import cluster_facts; import sys\n"
        "print(cluster_facts(sys.argv[1], 'g', [sys.argv[2]], {}).unknown)"
    )
    create_topics(kafka_bootstrap, [topic], 1, 1)
    codes = (
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    )
    with Starting(kafka_bootstrap, [*codes]) as way:
        command = [sys.executable, "-c", program, way.address, topic]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (asked.returncode, asked.stdout) == (0, "[]\n"), asked.stderr
    assert way.left == []


@pytest.mark.kafka
def test_a_deployment_is_good_before_its_first_start_and_after_it(site: Site) -> None:
    """But for the number of brokers; whatever is asked changes nothing."""
    needs = topic_needs([site.patient.participant])
    create_topics(site.patient.bootstrap, needs, 2, 1)
    assert site.told() == [COPIES]
    assert not Path(site.patient.store).exists()
    (cluster,) = {site.admin.describe_cluster().result(10).cluster_id}
    store_id = use(site, cluster, 2)
    claim_group(site.patient.bootstrap, site.patient.participant.name, [trip.topic], store_id)
    before = Path(site.patient.store).read_bytes()
    assert site.told() == [COPIES]
    assert Path(site.patient.store).read_bytes() == before


def other_cluster(site: Site) -> None:
    """Use the store with another cluster."""
    site.alter()
    use(site, "another", 2)


def claimed(site: Site) -> None:
    """Let another store have the group."""
    site.alter()
    name = site.patient.participant.name
    use(site, site.admin.describe_cluster().result(10).cluster_id, 2)
    claim_group(site.patient.bootstrap, name, [trip.topic], "another")


def grown(site: Site) -> None:
    """Add partitions to a topic in use."""
    site.alter()
    use(site, site.admin.describe_cluster().result(10).cluster_id, 1)


def anew(site: Site) -> None:
    """Make the topic anew."""
    site.alter()
    use(site, site.admin.describe_cluster().result(10).cluster_id, 2, topic_id="another")


def beyond(site: Site) -> None:
    """Lose what the store has folded."""
    site.alter()
    use(site, site.admin.describe_cluster().result(10).cluster_id, 2, at=9)


BAD: dict[str, tuple[Callable[[Site], object], str]] = {
    "no topic": (lambda site: None, "error topic topic is missing"),
    "compacted": (lambda site: site.alter(cleanup_policy="compact"), "error topic cleanup.policy is compact"),
    "short": (lambda site: site.alter(retention_ms="1000"), "warning topic retention.ms is 1000"),
    "small": (lambda site: site.alter(max_message_bytes="9999"), "warning topic max.message.bytes is 9999"),
    "stamped by producers": (lambda site: site.alter(), "warning topic message.timestamp.type is CreateTime"),
    "another cluster's": (other_cluster, "error store it belongs to the cluster 'another'"),
    "another store's group": (claimed, "error group it belongs to the store another"),
    "grown": (grown, "warning topic it has 2 partitions, of which the store has joined 1"),
    "made anew": (anew, "error topic it was made anew"),
    "beyond the end": (beyond, "error topic partition 0 ends at 0, before the store's position 9"),
}


@pytest.mark.kafka
@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_cluster_is_said(
    site: Site, spoil: Callable[[Site], object], words: str
) -> None:
    """With what to do about it."""
    spoil(site)
    assert [each for each in site.told() if each.startswith(words)]


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"acks": "1"}, "error settings the Kafka setting acks can't be used"),
        (
            {"no.such.setting": "1"},
            "error settings Kafka settings can't be used: No such configuration property",
        ),
    ],
)
def test_settings_with_which_no_worker_starts_are_said(
    site: Site, settings: dict[str, str], words: str
) -> None:
    """Before anything is asked with them."""
    (only,) = site.told(kafka=settings)
    assert only.startswith(words)
    assert all(each.hint for each in examine(site.patient._replace(kafka=settings), 5.0))


def test_a_cluster_that_is_away_is_one_finding(tmp_path: Path) -> None:
    """Whatever else would have been asked; with the reason, as `choreo run` tells it."""
    patient = Patient(hotel(), str(tmp_path / "hotel.db"), tmp_path, "127.0.0.1:1", {"log_level": 0})
    (only,) = examine(patient, 5.0)
    assert (only.level, only.subject) == ("error", "cluster")
    assert "the cluster at 127.0.0.1:1 does not answer" in only.text
    assert "Connection refused" in only.text
    assert only.hint

"""What is wrong with a cluster for a participant, by what it tells and what the store has recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from choreo.doctor.cluster import cluster_findings
from choreo.kafka.facts import ClusterFacts
from choreo.participant.topics import TopicNeed
from choreo.ports import TopicState
from choreo.ports.topics import settings_for
from choreo.records import Partition, Recorded

HOUR, DAY = 3_600_000, 86_400_000
NOW = 1_700_000_000_000
NEEDS = [TopicNeed("order", span=timedelta(days=3)), TopicNeed("mail", "export"), TopicNeed("news", "import")]
ALL = frozenset(("READ", "WRITE", "DESCRIBE"))
GOOD = ClusterFacts(
    "cluster-1",
    [TopicState(each.topic, f"id-{each.topic}", 3, 3, settings_for(each, 3)) for each in NEEDS],
    {each.topic: ALL for each in NEEDS},
    frozenset(("READ",)),
    "store-1",
    {Partition("order", number): (5, 20) for number in range(3)},
    NOW,
)
STORE = Recorded(
    "store-1",
    "cluster-1",
    "orders",
    {Partition("order", number): 10 for number in range(3)},
    {"order": "id-order"},
    ("s1", NOW - DAY),
    [5, -3, 400_000],
)


def told(facts: ClusterFacts = GOOD, recorded: Recorded | None = STORE) -> list[tuple[str, str, str]]:
    """Return what is said, in short; each has something to do, and is one line."""
    found = list(cluster_findings("orders", NEEDS, facts, recorded, NOW))
    assert all(each.hint and "\n" not in each.text for each in found)
    return [(each.level, each.subject, each.text) for each in found]


def order(**changes: Any) -> ClusterFacts:
    """Return a cluster whose saga's topic differs."""
    topics = [GOOD.topics[0]._replace(**changes), *GOOD.topics[1:]]
    return GOOD._replace(topics=topics)


def with_settings(**changes: str) -> ClusterFacts:
    """Return a cluster whose saga's topic has other settings."""
    return order(settings={**GOOD.topics[0].settings, **{k.replace("_", "."): v for k, v in changes.items()}})


def test_nothing_is_wrong_with_a_good_cluster() -> None:
    """With a store, and before there is one; a group that nobody has joined tells nothing."""
    assert told() == told(recorded=None) == told(GOOD._replace(group_rights=None, rights={}, holder="")) == []
    assert told(recorded=Recorded("store-1", "", "", {}, {}, None, [])) == []


BAD: dict[str, tuple[ClusterFacts, Recorded, str, str, str]] = {
    "no topic": (order(partitions=0), STORE, "error", "topic order", "topic is missing"),
    "compacted": (
        with_settings(cleanup_policy="compact"),
        STORE,
        "error",
        "topic order",
        "compaction deletes",
    ),
    "short": (
        with_settings(retention_ms="1000"),
        STORE._replace(oldest=None),
        "warning",
        "topic order",
        "3 days",
    ),
    "sized": (with_settings(retention_bytes="1000"), STORE, "warning", "topic order", "to save room"),
    "stamps": (
        with_settings(message_timestamp_type="CreateTime"),
        STORE,
        "warning",
        "topic order",
        "clocks of all producers",
    ),
    "small": (
        with_settings(max_message_bytes="1000"),
        STORE,
        "warning",
        "topic order",
        "refuses the larger ones",
    ),
    "in sync": (with_settings(min_insync_replicas="1"), STORE, "warning", "topic order", "is lost with it"),
    "too many in sync": (
        with_settings(min_insync_replicas="4"),
        STORE,
        "warning",
        "topic order",
        "nothing can be",
    ),
    "one copy": (
        order(replicas=1, settings={**GOOD.topics[0].settings, "min.insync.replicas": "1"}),
        STORE,
        "warning",
        "topic order",
        "disk of one broker",
    ),
    "elections": (
        with_settings(unclean_leader_election_enable="true"),
        STORE,
        "warning",
        "topic order",
        "lags behind",
    ),
    "longest saga": (
        with_settings(retention_ms=str(4 * DAY)),
        STORE._replace(oldest=("s1", NOW - 9 * DAY)),
        "warning",
        "topic order",
        "it keeps events for 4 d, and saga s1 is in flight for 9 d",
    ),
    "more partitions": (order(partitions=5), STORE, "warning", "topic order", "has 5 partitions, of which"),
    "fewer partitions": (order(partitions=2), STORE, "error", "topic order", "a position on number 2"),
    "made anew": (order(id="id-other"), STORE, "error", "topic order", "made anew"),
    "cut off": (
        GOOD._replace(ends={Partition("order", 1): (0, 7)}),
        STORE,
        "error",
        "topic order",
        "partition 1 ends at 7, before the store's position 10",
    ),
    "deleted": (
        GOOD._replace(ends={Partition("order", 1): (11, 20)}),
        STORE,
        "warning",
        "topic order",
        "partition 1 begins at 11, behind",
    ),
    "no write": (
        GOOD._replace(rights={**GOOD.rights, "order": frozenset(("READ", "DESCRIBE"))}),
        STORE,
        "error",
        "topic order",
        "may not write",
    ),
    "no read": (
        GOOD._replace(rights={**GOOD.rights, "news": frozenset(("DESCRIBE",))}),
        STORE,
        "error",
        "topic news",
        "may not read",
    ),
    "no export": (
        GOOD._replace(rights={**GOOD.rights, "mail": frozenset(("DESCRIBE",))}),
        STORE,
        "error",
        "topic mail",
        "may not write",
    ),
    "no group": (GOOD._replace(group_rights=frozenset()), STORE, "error", "group orders", "may not read"),
    "another store's group": (
        GOOD._replace(holder="x"),
        STORE,
        "error",
        "group orders",
        "belongs to the store x",
    ),
    "another cluster": (
        GOOD._replace(cluster="c2"),
        STORE,
        "error",
        "store of orders",
        "cluster 'cluster-1'",
    ),
    "records of the future": (GOOD._replace(newest=NOW + HOUR), STORE, "warning", "clock", "1 h ahead"),
    "a worker behind": (GOOD, STORE._replace(delays=[-HOUR]), "warning", "clock", "1 h ahead of its worker"),
    "not told": (
        GOOD._replace(unknown=["offsets of order: refused"]),
        STORE,
        "warning",
        "cluster",
        "refused",
    ),
}


def test_who_may_not_see_a_topic_is_not_told_to_make_it() -> None:
    """It may be there."""
    hidden = order(partitions=0, problem="Topic authorization failed")
    (only,) = cluster_findings("orders", NEEDS, hidden, None, NOW)
    assert only.level == "error"
    assert only.hint == "grant READ, WRITE, DESCRIBE on it, or make it with `choreo topics create`"


@pytest.mark.parametrize(("facts", "recorded", "level", "subject", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_and_nothing_else(
    facts: ClusterFacts, recorded: Recorded, level: str, subject: str, words: str
) -> None:
    """One fault, one line."""
    (only,) = told(facts, recorded)
    assert only[:2] == (level, subject)
    assert words in only[2]

"""``--topic``: sagas listed and traced by the log itself, on the embedded broker and on a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.orders.contract import order_fulfilment
from tests.broker.any_broker import AnyBroker, KafkaCluster
from tests.cli.command import assert_refused, invoke
from tests.scenarios.shop import Shop, scenarios

KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)


@pytest.fixture
def shop(any_broker: AnyBroker, folder: Path, topic: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Place orders that succeed or fail at each step, then one that nobody works on."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    opened = Shop(any_broker, folder)
    placed = [opened.place(each.order) for each in scenarios()]
    opened.until_quiet(placed)
    opened.place(scenarios("late")[0].order)
    opened.workers = {"orders": opened.workers["orders"]}
    opened.until(lambda: opened.history("orders", "late-none")[-1].input == "event")
    yield opened
    opened.close()


def topic_of(cluster: AnyBroker) -> tuple[str, ...]:
    assert isinstance(cluster, KafkaCluster)
    fast = ("--kafka", "fetch.wait.max.ms=2") if cluster.embedded else ()
    return ("--topic", "--bootstrap", cluster.bootstrap, "--graph", "examples.orders", *fast)


@pytest.mark.parametrize("any_broker", ["embedded", KAFKA], indirect=True)
def test_the_topic_tells_what_the_stores_tell(shop: Shop, any_broker: AnyBroker, folder: Path) -> None:
    """The same events, states and ends; only what happened inside of the participants is not there."""
    source = topic_of(any_broker)
    for scenario in scenarios():
        saga_id = scenario.order.order_id
        by_stores = json.loads(invoke("trace", saga_id, "--format", "json").stdout)
        by_topic = json.loads(invoke("trace", saga_id, "--format", "json", *source).stdout)
        for event in (*by_stores["events"], *by_topic["events"]):
            event.pop("read")
        assert by_topic["events"] == by_stores["events"]
        assert by_topic["state"] == by_stores["state"]
        assert by_topic["aborted_by"] == by_stores["aborted_by"]
        assert {each["told_by"] for each in by_topic["moments"]} == {"log"}
        both = invoke("trace", saga_id, *source, "--store", "orders.db").stdout
        assert "no store of" in both


@pytest.mark.parametrize("any_broker", ["embedded", KAFKA], indirect=True)
def test_the_topic_lists_sagas_and_who_owes_what_comes_next(shop: Shop, any_broker: AnyBroker) -> None:
    """By the graph: the topic knows nobody's schedule."""
    source = topic_of(any_broker)
    result = json.loads(invoke("sagas", "--format", "json", *source).stdout)
    assert len(result) == 6
    states = {each["saga_id"]: each["state"] for each in result}
    assert [states[each.order.order_id] for each in scenarios()] == [
        "failed" if each.fails_at else "completed" for each in scenarios()
    ]
    (late,) = json.loads(invoke("sagas", "--format", "json", "--stuck", "--threshold", "1ms", *source).stdout)
    assert late["saga_id"] == "late-none"
    assert late["waits_for"][0]["why"] == "answer"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sagas", "--topic", "--bootstrap", "127.0.0.1:1"), "it is not known which sagas there are"),
        (("sagas", "--topic", "--graph", "examples.orders"), "no Kafka cluster is named"),
        (
            ("trace", "x", "--topic", "--bootstrap", "127.0.0.1:1", "--graph", "examples.orders"),
            "could not read the topics",
        ),
    ],
)
def test_a_topic_that_cannot_be_read_is_one_clear_line(arguments: tuple[str, ...], words: str) -> None:
    """With what to do about it."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr


@pytest.mark.parametrize("any_broker", ["embedded"], indirect=True)
def test_an_unknown_saga_of_the_topic(shop: Shop, any_broker: AnyBroker) -> None:
    """One that is close is offered."""
    result = invoke("trace", "o-nine", *topic_of(any_broker))
    assert_refused(
        result.exit_code, result.stderr, "no saga 'o-nine' is known in the topics of", "did you mean o-none?"
    )

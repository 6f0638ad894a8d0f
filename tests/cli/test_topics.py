"""``choreo topics create`` and ``choreo topics check``."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from choreo.errors import LogError
from choreo.ports import TopicState
from tests.cli.command import assert_refused, invoke
from tests.cli.conftest import WriteModule, quiz


@pytest.mark.kafka
def test_topics_are_created_once(kafka_bootstrap: str, write_module: WriteModule, topic: str) -> None:
    """What exists is left as it is, and compared."""
    target = f"{write_module(quiz(topic))}:sage"
    arguments = ("topics", "create", target, "--bootstrap", kafka_bootstrap)
    first = invoke(*arguments, "--partitions", "3")
    assert (first.exit_code, first.stdout) == (0, f"{topic}: created\n"), first.stderr
    again = invoke(*arguments, "--partitions", "6").stdout.splitlines()
    assert again[0] == f"{topic}: exists already"
    assert any("number of partitions is 3, not 6" in line for line in again)
    checked = invoke("topics", "check", target, "--bootstrap", kafka_bootstrap, "--json")
    (only,) = json.loads(checked.stdout)["topics"]
    # One broker can't do better.
    assert [each["setting"] for each in only["differences"]] == ["replication factor"]


def described(*states: TopicState) -> Callable[..., list[TopicState]]:
    """Return a function in the place of `describe_topics`."""
    by_name = {each.topic: each for each in states}
    return lambda _address, topics, _settings: [by_name.get(each, TopicState(each)) for each in topics]


GOOD = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}


def test_the_topics_of_several_participants_are_named_once(
    write_module: WriteModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is made, the other is there."""
    asked = []

    def create(*arguments: object) -> list[str]:
        asked.append(arguments)
        return ["one"]

    monkeypatch.setattr("choreo.cli.topics.create_topics", create)
    monkeypatch.setattr("choreo.cli.topics.describe_topics", described(TopicState("two", "id", 12, 3, GOOD)))
    targets = [f"{write_module(quiz(topic))}:sage" for topic in ("one", "two", "one")]
    result = invoke("topics", "create", *targets, "--bootstrap", "x:1", "--kafka", "client.id=me")
    assert result.stdout == "one: created\ntwo: exists already\n", result.stderr
    ((address, needs, *rest),) = asked
    assert (address, [each.topic for each in needs], *rest) == (
        *("x:1", ["one", "two"]),
        *(12, -1, {"client.id": "me"}),
    )


@pytest.mark.parametrize(
    ("state", "code", "text"),
    [
        (TopicState("one", "id", 12, 3, GOOD), 0, "one: good\n"),
        (TopicState("one"), 1, "topic is missing, not there"),
        (TopicState("one", "id", 12, 3, GOOD | {"cleanup.policy": "compact"}), 1, "is compact, not delete"),
    ],
)
def test_a_check_exits_with_1_where_something_is_different(
    write_module: WriteModule, monkeypatch: pytest.MonkeyPatch, state: TopicState, code: int, text: str
) -> None:
    """For scripts, with or without JSON."""
    monkeypatch.setattr("choreo.cli.topics.describe_topics", described(state))
    arguments = ("topics", "check", f"{write_module(quiz('one'))}:sage", "--bootstrap", "x:1")
    result = invoke(*arguments)
    assert (result.exit_code, text in result.stdout) == (code, True), result.stdout
    as_json = invoke(*arguments, "--json")
    assert as_json.exit_code == code
    assert bool(json.loads(as_json.stdout)["topics"][0]["differences"]) == bool(code)


def test_a_cluster_that_refuses(write_module: WriteModule, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(*_arguments: object) -> list[str]:
        raise LogError("could not ask for the topics")

    monkeypatch.setattr("choreo.cli.topics.create_topics", create)
    result = invoke("topics", "create", f"{write_module(quiz())}:sage", "--bootstrap", "x:1")
    assert_refused(result.exit_code, result.stderr, "could not ask for the topics")

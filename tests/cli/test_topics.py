"""``choreo topics create``."""

from __future__ import annotations

import pytest

from choreo.errors import LogError
from tests.cli.command import assert_refused, invoke
from tests.cli.conftest import WriteModule, quiz


@pytest.mark.kafka
def test_topics_are_created_once(kafka_bootstrap: str, write_module: WriteModule, topic: str) -> None:
    target = f"{write_module(quiz(topic))}:sage"
    arguments = ("topics", "create", target, "--bootstrap", kafka_bootstrap, "--partitions", "3")
    first = invoke(*arguments)
    assert (first.exit_code, first.stdout) == (0, f"{topic}: created\n"), first.stderr
    assert invoke(*arguments).stdout == f"{topic}: exists already\n"


def test_the_topics_of_several_participants_are_named_once(
    write_module: WriteModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def create(*arguments: object) -> list[str]:
        asked.append(arguments)
        return ["one"]

    monkeypatch.setattr("choreo.cli.topics.create_topics", create)
    targets = [f"{write_module(quiz(topic))}:sage" for topic in ("one", "two", "one")]
    result = invoke("topics", "create", *targets, "--bootstrap", "x:1", "--kafka", "client.id=me")
    assert result.stdout == "one: created\ntwo: exists already\n"
    assert asked == [("x:1", ["one", "two"], 12, -1, {"client.id": "me"})]


def test_a_cluster_that_refuses(write_module: WriteModule, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(*_arguments: object) -> list[str]:
        raise LogError("could not ask for the topics")

    monkeypatch.setattr("choreo.cli.topics.create_topics", create)
    result = invoke("topics", "create", f"{write_module(quiz())}:sage", "--bootstrap", "x:1")
    assert_refused(result.exit_code, result.stderr, "could not ask for the topics")

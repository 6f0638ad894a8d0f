"""Settings: passed through as they are, but for those that the promise depends on."""

from __future__ import annotations

import logging

import pytest

from choreo.errors import ConfigurationError, LogError
from choreo.kafka import EmbeddedBroker, KafkaLog, create_topics
from tests.broker.any_broker import unique

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    "name",
    [
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "partitioner",
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "transactional.id",
        "group.id",
        "bootstrap.servers",
    ],
)
def test_what_the_promise_depends_on_is_refused(name: str) -> None:
    """With the setting's name, and what to do instead."""
    with pytest.raises(ConfigurationError, match=rf"setting {name} can't be used \(hint: .+\)"):
        KafkaLog(NOBODY, "g", settings={name: "x"})
    with pytest.raises(ConfigurationError, match=name):
        create_topics(NOBODY, ["t"], 1, 1, settings={name: "x"})


def test_an_unknown_setting_is_refused() -> None:
    """A slip of the pen is told at once."""
    with pytest.raises(ConfigurationError, match=r"no\.such\.thing"):
        KafkaLog(NOBODY, "g", settings={"no.such.thing": 1})


def test_other_settings_are_passed_on(embedded_broker: EmbeddedBroker) -> None:
    """Ours give way to the user's."""
    log = KafkaLog(
        embedded_broker.bootstrap,
        "g",
        settings={"client.id": "me", "linger.ms": 3, "security.protocol": "plaintext"},
        embedded=True,
    )
    assert log.cluster_id()
    log.close()


def test_an_unreachable_cluster_is_told_within_seconds() -> None:
    """At start-up only: the address may be wrong. The reason is librdkafka's own."""
    log = KafkaLog(NOBODY, "g")
    with pytest.raises(LogError, match=r"does not answer: .*[Cc]onnect.*\(hint: is the address right"):
        log.cluster_id()
    log.close()


def test_log_lines_go_to_logging(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of librdkafka's goes to the standard error of whoever uses it."""
    with caplog.at_level(logging.DEBUG, "choreo.kafka"), EmbeddedBroker() as broker:
        log = KafkaLog(broker.bootstrap, unique("group"), embedded=True)
        log.subscribe(["t"], lambda found: [each.low for each in found], lambda _: None)
        log.take(1, 0.3)
        log.close()
    assert capfd.readouterr().err == ""
    assert "Mock cluster enabled" in caplog.text

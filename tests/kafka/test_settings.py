"""Settings: passed through as they are, but for those that the promise depends on."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest

from choreo.errors import ConfigurationError, LogError
from choreo.kafka import EmbeddedBroker, KafkaLog, create_topics
from choreo.kafka.topic_reader import TopicReader
from choreo.project.pyproject import nearest_project
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
        "max.in.flight",
        "max.in.flight.requests.per.connection",
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


SECRET = "hunter2-hunter2"
KEYS = (
    "sasl.password",
    "sasl.username",
    "sasl.mechanisms",
    "sasl.oauthbearer.config",
    "security.protocol",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.key.location",
    "ssl.certificate.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.ca.location",
    "ssl.ca.pem",
    "enable.ssl.certificate.verification",
    "plugin.library.paths",
    "compression.codec",
    "client.dns.lookup",
    "debug",
    "log_level",
    "linger.ms",
    "no.such.setting",
)


@pytest.mark.parametrize("key", KEYS)
def test_no_error_and_no_line_of_the_log_holds_a_setting_s_value(
    key: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {"security.protocol": "SSL", key: SECRET}
    said = ""
    with caplog.at_level(logging.DEBUG, "choreo.kafka"):
        try:
            KafkaLog(NOBODY, "g", settings=settings).close()
        except ConfigurationError as error:
            said = "".join(traceback.format_exception(error))
            for use in (
                lambda: TopicReader(NOBODY, ["t"], settings).__enter__(),
                lambda: create_topics(NOBODY, ["t"], 1, 1, settings=settings),
            ):
                with pytest.raises((ConfigurationError, LogError)) as refused:
                    use()
                said += "".join(traceback.format_exception(refused.value))
    assert SECRET not in said
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


@pytest.mark.parametrize("key", [f'"{key}"' for key in KEYS[:6]] + ["sasl.password", "ssl.key.password"])
@pytest.mark.parametrize("value", ["[%s]", "{a = %s}", "[[%s]]", "{a = {b = %s}}", "2026-01-01 # %s"])
def test_a_setting_of_a_wrong_type_is_named_and_not_shown(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        "[tool.choreo.kafka]",
        f"'ssl.keystore.password' = '{SECRET}'",
        f"{key} = {value % repr(SECRET)}",
    ]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines))
    with pytest.raises(ConfigurationError) as refused:
        nearest_project()
    assert SECRET not in str(refused.value)
    assert key.strip('"').split(".")[0] in refused.value.message


@pytest.mark.parametrize("table", ["kafka = '%s'", "kafka = ['%s']", "kafka = [['%s']]"])
def test_settings_that_are_no_table_are_not_shown(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(f"[tool.choreo]\n{table % SECRET}")
    with pytest.raises(ConfigurationError) as refused:
        nearest_project()
    assert SECRET not in str(refused.value)


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

"""What is told of an outage: once, once a minute with a number, and once at its end."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreo.kafka import outage
from choreo.kafka.outage import INTERVAL, Outage

REFUSED = KafkaError(KafkaError._TRANSPORT, "Connection refused")
IDLE = KafkaError(KafkaError._TRANSPORT, "Disconnected (after 600000ms in state UP)")


class Time:
    """A clock that the test moves."""

    now = 1000.0

    @classmethod
    def monotonic(cls) -> float:
        """Return the time."""
        return cls.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Time]:
    """Replace the clock of the outage."""
    monkeypatch.setattr(outage, "time", Time)
    return Time


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(pauses=st.lists(st.floats(0.001, 2.0), min_size=2, max_size=300))
def test_an_outage_takes_a_line_a_minute(pauses: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """However often the clients try, and however long it takes."""
    caplog.clear()
    told = Outage()
    told.error(REFUSED)
    for pause in pauses:
        Time.now += pause
        told.error(REFUSED)
        told.answer()  # of another broker
    assert len(caplog.records) <= 1 + sum(pauses) / INTERVAL
    Time.now += 10
    told.answer()
    told.answer()
    assert [each.message for each in caplog.records if "answers again" in each.message] == [
        caplog.records[-1].message
    ]


def test_a_connection_that_was_not_used_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Brokers close idle connections, every ten minutes."""
    told = Outage()
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            Time.now += 600
            told.error(IDLE)
            Time.now += 10
            told.answer()
    assert caplog.records == []


def test_the_number_of_errors_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each minute, with the last of them."""
    told = Outage()
    for _ in range(3000):
        told.error(REFUSED)
        Time.now += 0.05
    assert len(caplog.records) == 3
    assert "for 60 s: 12" in caplog.records[1].message

"""OpenTelemetry's SDK is set up only where the environment asks for it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from choreo.cli import tracing

VARIABLES = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_METRICS_EXPORTER",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_which_exporter_is_wanted(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], name: str) -> None:
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    assert tracing.exporter_name() == name


def test_an_exporter_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "pigeon")
    with caplog.at_level(logging.WARNING):
        assert tracing.set_up("sage") is False
    assert "'pigeon' is not installed" in caplog.text


def test_spans_carry_the_participants_name() -> None:
    script = (
        "from choreo.cli import tracing\nassert tracing.set_up('sage')\n"
        "from opentelemetry import trace\n"
        "with trace.get_tracer('test').start_as_current_span('ponder'): pass\n"
    )
    env = {"OTEL_TRACES_EXPORTER": "console", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert '"service.name": "sage"' in done.stdout


def test_levels_are_exported_as_they_are() -> None:
    """What went up by three and down by one stands at two."""
    script = (
        "from choreo.cli import tracing\nassert not tracing.set_up('sage')\n"
        "from choreo.telemetry import Level\n"
        "level = Level('choreo.calls.waiting', {'participant': 'sage'})\n"
        "level.set(3); level.set(2); level.set(2)\n"
    )
    env = {"OTEL_METRICS_EXPORTER": "console", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert '"choreo.calls.waiting"' in done.stdout
    assert '"value": 2' in done.stdout
    assert '"service.name": "sage"' in done.stdout

"""OpenTelemetry's SDK is set up only where the environment asks for it."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys

import pytest

from choreo import telemetry
from choreo.cli import tracing
from choreo.errors import ConfigurationError

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
    ("env", "names"),
    [
        ({}, []),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "none,console"}, []),
        ({"OTEL_TRACES_EXPORTER": "console"}, ["console"]),
        ({"OTEL_TRACES_EXPORTER": "otlp, console,,otlp"}, ["otlp", "console"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}, ["otlp"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_SDK_DISABLED": "true"}, []),
    ],
)
def test_which_exporters_are_wanted(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], names: list[str]
) -> None:
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    assert tracing.exporter_names("traces") == names


def test_an_exporter_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "pigeon")
    with caplog.at_level(logging.WARNING):
        tracing.set_up("sage")
    assert not telemetry.is_on()
    assert "'pigeon' is not installed" in caplog.text


def test_spans_carry_the_participants_name() -> None:
    script = (
        "from choreo.cli import tracing\nfrom opentelemetry import trace\n"
        "with tracing.set_up('sage'), trace.get_tracer('test').start_as_current_span('ponder'): pass\n"
    )
    env = {"OTEL_TRACES_EXPORTER": "console", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert '"service.name": "sage"' in done.stdout


def test_levels_are_exported_as_they_are() -> None:
    """What went up by three and down by one stands at two."""
    script = (
        "from choreo.cli import tracing\nfrom choreo.telemetry import Level\n"
        "with tracing.set_up('sage'):\n"
        "    level = Level('choreo.calls.waiting', {'participant': 'sage'})\n"
        "    level.set(3); level.set(2); level.set(2)\n"
    )
    env = {"OTEL_METRICS_EXPORTER": "console", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert '"choreo.calls.waiting"' in done.stdout
    assert '"value": 2' in done.stdout
    assert '"service.name": "sage"' in done.stdout


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({}, ("otlp_proto_http", "otlp_proto_grpc", "otlp")),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("otlp_proto_grpc",)),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ("otlp_proto_http",)),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            ("otlp_proto_http",),
        ),
    ],
)
def test_otlp_has_an_exporter_for_each_protocol(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], names: tuple[str, ...]
) -> None:
    """So that the extra [otel], which brings one of them, suffices."""
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    assert tracing._known_as("otlp", "traces") == names


@pytest.mark.parametrize("answers", [False, True], ids=["refuses", "says nothing"])
def test_a_stop_waits_for_a_collector_that_is_away_for_a_while_only(answers: bool) -> None:
    """Whether it refuses, or takes the request and never answers it."""
    script = (
        "from choreo.cli import tracing\nfrom opentelemetry import trace\nimport time\n"
        "tracing.STOP_SECONDS = 0.5\n"
        "with tracing.set_up('sage'):\n"
        "    with trace.get_tracer('test').start_as_current_span('ponder'): pass\n"
        "    began = time.monotonic()\n"
        "print(time.monotonic() - began)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not answers:
            server.close()
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "PATH": ""}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=True, timeout=60)
    assert float(done.stdout) < 4, "the exporter itself takes 10 s"
    assert "the last spans were not exported within 0.5 s: given up" in done.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_MAX_QUEUE_SIZE": "1"},
        {"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": "0"},
        {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "x"},
    ],
    ids=lambda env: list(env)[-1],
)
def test_a_variable_that_the_sdk_refuses_is_wrong_input(env: dict[str, str]) -> None:
    """In one line, which names it where the SDK does."""
    script = "from choreo.cli import tracing\nwith tracing.set_up('sage'): pass\n"
    with pytest.raises(ConfigurationError, match="OpenTelemetry can't be set up") as refused:
        in_process(script, env)
    assert "OTEL_" in refused.value.hint


def in_process(script: str, env: dict[str, str]) -> str:
    """Return what a script prints in a process of its own; raise what it refuses to do."""
    caught = (
        "from choreo.errors import ConfigurationError\nimport sys\ntry:\n"
        + "".join(f"    {line}\n" for line in script.splitlines())
        + "except ConfigurationError as error: sys.exit(f'{error.message}\\n{error.hint}')\n"
    )
    command = [sys.executable, "-c", caught]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "", **env}, timeout=60)
    if done.returncode == 0:
        return done.stdout
    message, _, hint = done.stderr.strip().rpartition("\n")
    raise ConfigurationError(message, hint=hint)


def test_every_exporter_that_is_named_has_the_spans() -> None:
    """The variable is a list."""
    script = (
        "from choreo.cli import tracing\nfrom opentelemetry import trace\n"
        "with tracing.set_up('sage'), trace.get_tracer('test').start_as_current_span('ponder'): pass\n"
    )
    assert in_process(script, {"OTEL_TRACES_EXPORTER": "console"}).count('"ponder"') == 1
    two = {"OTEL_TRACES_EXPORTER": "otlp, console", "OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"}
    assert in_process(script, {**two, "OTEL_METRICS_EXPORTER": "none"}).count('"ponder"') == 1


def test_the_name_of_the_service_is_the_users_if_there_is_one() -> None:
    """As a resource attribute, too, which is what an operator of a platform sets."""
    script = (
        "from choreo.cli import tracing\nfrom opentelemetry import trace\n"
        "with tracing.set_up('sage'):\n"
        "    print(trace.get_tracer_provider().resource.attributes['service.name'])\n"
    )
    traced = {"OTEL_TRACES_EXPORTER": "console"}
    assert in_process(script, traced) == "sage\n"
    named = {**traced, "OTEL_RESOURCE_ATTRIBUTES": "service.name=shop-sage,team=a"}
    assert in_process(script, named) == "shop-sage\n"
    assert in_process(script, {**named, "OTEL_SERVICE_NAME": "wise"}) == "wise\n"


def test_an_application_that_has_set_up_the_sdk_itself_keeps_it() -> None:
    """As its module does, or OpenTelemetry's own instrumentation: what is asked for besides is added."""
    script = (
        "from opentelemetry import metrics, trace\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "own, traces = MeterProvider(), TracerProvider()\n"
        "metrics.set_meter_provider(own), trace.set_tracer_provider(traces)\n"
        "reader = InMemoryMetricReader()\n"
        "from choreo.cli import tracing\nfrom choreo.telemetry import Level\n"
        "with tracing.set_up('sage', reader):\n"
        "    Level('choreo.calls.waiting', {'participant': 'sage'}).set(3)\n"
        "    found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0]\n"
        "    print(found.name, found.data.data_points[0].value)\n"
        "    with trace.get_tracer('test').start_as_current_span('ponder'): pass\n"
        "print(metrics.get_meter_provider() is own, trace.get_tracer_provider() is traces)\n"
    )
    env = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console", "PATH": ""}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=True)
    assert done.stdout == "choreo.calls.waiting 3\nTrue True\n"
    assert done.stderr == ""

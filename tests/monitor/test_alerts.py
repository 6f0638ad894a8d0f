"""Every alert fires by its cause and ends with it: judged by Prometheus' own programs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest

from choreo.graph import Choreography
from choreo.monitor import metrics
from choreo.monitor.alerts import Alert, alerts, rules_file
from choreo.project.choreography import choreography_named
from choreo.project.manifests import manifest_from
from choreo.store.sqlite.reader import StoreReader
from tests.cli.command import invoke
from tests.monitor.prometheus import promtool
from tests.worker.rig import Rig
from tests.worker.services import agency

ORDERS = 'participant="orders"'
SAGA = f'{ORDERS},saga_type="order-fulfilment"'

CAUSES = {
    "SagaStuckCompensating": [(f'saga_oldest_age_seconds{{{SAGA},state="compensating"}}', "3", "100000")],
    "SagaStuck": [(f'saga_oldest_age_seconds{{{SAGA},state="pending"}}', "3", "100000")],
    "SagasFail": [
        (f"saga_completed_total{{{SAGA}}}", "0+100", "0+1"),
        (f"saga_failed_total{{{SAGA}}}", "0+0", "0+1"),
    ],
    "ParticipantSilent": [(f"choreo_store_up{{{ORDERS}}}", "1", "_")],
    "DeadLettersWait": [(f'choreo_dead_letters{{{ORDERS},reason="gave-up"}}', "0", "2")],
    "StoreAway": [(f"choreo_store_up{{{ORDERS}}}", "1", "0")],
    "OutboxWaits": [(f"choreo_outbox_age_seconds{{{ORDERS}}}", "0", "61")],
    "PartitionWithoutLeader": [(f"choreo_partitions_without_leader{{{ORDERS}}}", "0", "1")],
    "WorkIsLate": [(f'choreo_schedule_lateness_seconds{{{ORDERS},lane="turn"}}', "0", "61")],
    "CallsWaitForRoom": [(f"choreo_calls_waiting{{{ORDERS}}}", "0", "1")],
    "CallsHang": [(f"choreo_calls_hanging{{{ORDERS}}}", "0", "1")],
    "ParticipantBehind": [(f"choreo_partitions_catching_up{{{ORDERS}}}", "0", "2")],
}
"""For each alert the series that cause it: their values while all is well, and while it is not."""


@pytest.fixture(scope="module")
def choreography() -> Choreography:
    """Return that of the example."""
    return choreography_named(["examples.orders"], manifest_from)


@pytest.fixture(scope="module")
def given(choreography: Choreography) -> list[Alert]:
    """Return its alerts."""
    return alerts(choreography)


def of_orders(given: list[Alert]) -> list[Alert]:
    """Return the alerts without those about the silence of other participants."""
    return [each for each in given if "absent" not in each.expression or ORDERS in each.expression]


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    """As the command writes them."""
    written = invoke("monitor", "alerts", "examples.orders", "examples.bank", "examples.travel")
    assert written.exit_code == 0
    (tmp_path / "rules.yml").write_text(written.stdout)
    checked = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAILED" not in checked.stdout + checked.stderr, "two rules of one name have the same labels"


def test_every_alert_has_a_cause_here(given: list[Alert]) -> None:
    assert {each.name for each in given} == set(CAUSES)
    assert all(each.summary and each.runbook for each in given)


def test_a_saga_may_be_silent_for_its_longest_timeout(given: list[Alert], choreography: Choreography) -> None:
    """And ten minutes more."""
    handlers = [each for manifest in choreography.manifests for each in manifest.handlers]
    longest = max(max(each.timeout_ms or 0, each.within_ms or 0) for each in handlers) // 1000
    assert longest
    assert all(f" > {longest + 600} or " in each.expression for each in given if "Stuck" in each.name)


def test_who_is_called_for_a_saga_hears_that_somebody_may_wait_for_it(given: list[Alert]) -> None:
    """The thresholds are the declared ones: a deadline may have been extended by hand."""
    (stuck,) = [each for each in given if each.name == "SagaStuck"]
    assert "choreo trace SAGA_ID" in stuck.runbook
    assert "extended a deadline by hand" in stuck.runbook


def test_each_alert_fires_by_its_cause_and_ends_with_it(given: list[Alert], tmp_path: Path) -> None:
    """Twenty minutes are well, twenty are not, and twenty are well again."""
    bare = [each._replace(summary="", runbook="") for each in of_orders(given)]
    (tmp_path / "rules.yml").write_text(rules_file(bare))
    tests = [_test(each, CAUSES[each.name]) for each in bare]
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": tests}))
    tested = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_saga_that_a_wrong_clock_makes_young_is_stuck_all_the_same(
    given: list[Alert], tmp_path: Path
) -> None:
    """As `choreo sagas --stuck` has it; its age is below zero, and other sagas are beside it."""
    (stuck,) = [each for each in given if each.name == "SagaStuck"]
    (tmp_path / "rules.yml").write_text(rules_file([stuck._replace(summary="", runbook="")]))
    labels = f'{SAGA},state="started"'
    ages = [
        (f'saga_oldest_age_seconds{{{labels},step="{each}"}}', "3", ill)
        for each, ill in (("a", "-61"), ("b", "3"))
    ]
    written = {"rule_files": ["rules.yml"], "tests": [_test(stuck, ages)]}
    (tmp_path / "tests.yml").write_text(json.dumps(written))
    tested = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_store_that_can_be_read_alone_is_away(given: list[Alert], tmp_path: Path) -> None:
    """Its disk is full, or somebody keeps it locked: the worker waits, as `/readyz` says."""
    (away,) = [each for each in given if each.name == "StoreAway"]
    (tmp_path / "rules.yml").write_text(rules_file([away._replace(summary="", runbook="")]))
    causes = [
        (f"choreo_store_wait_seconds_total{{{ORDERS}}}", "0+0", "0+60"),
        (f"choreo_store_up{{{ORDERS}}}", "1", "1"),
    ]
    written = {"rule_files": ["rules.yml"], "tests": [_test(away, causes)]}
    (tmp_path / "tests.yml").write_text(json.dumps(written))
    tested = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _test(alert: Alert, causes: list[tuple[str, str, str]]) -> dict[str, Any]:
    series = [{"series": name, "values": _values(well, ill)} for name, well, ill in causes]
    expected = [(18, False), (36, True), (58, False)]
    return {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": f"{at}m", "alertname": alert.name, "exp_alerts": [_expected(alert, causes)] * fires}
            for at, fires in expected
        ],
    }


def _values(well: str, ill: str) -> str:
    step = "" if "+" in well or well == "_" else "+0"
    other = "" if "+" in ill or ill == "_" else "+0"
    return f"{well}{step}x19 {ill}{other}x19 {well}{step}x19"


def _expected(alert: Alert, causes: list[tuple[str, str, str]]) -> dict[str, Any]:
    labels = dict(re.findall(r'(\w+)="([^"]*)"', causes[0][0]))
    by = re.search(r"by \(([\w, ]+)\)", alert.expression)
    kept = by[1].split(", ") if by else ["participant"]
    return {
        "exp_labels": {"severity": alert.severity, **alert.labels, **{each: labels[each] for each in kept}},
        "exp_annotations": {"summary": "", "runbook": ""},
    }


def test_every_metric_of_an_alert_is_one_that_a_worker_tells(given: list[Alert], tmp_path: Path) -> None:
    """By the names that Prometheus sees."""
    rig, registry = Rig(agency(), tmp_path), CollectorRegistry()
    provider = MeterProvider(metric_readers=[PrometheusMetricReader(registry=registry)])
    worker = rig.begin()
    metrics.observe(
        provider.get_meter("choreo"), rig.participant, worker.progress, lambda: StoreReader(rig.path)
    )
    told = set(re.findall(r"^# TYPE (\w+)", generate_latest(registry).decode(), re.MULTILINE))
    rig.close()
    asked = {name for each in given for name in re.findall(r"\b((?:saga|choreo)_\w+)\b", each.expression)}
    of_calls = {"choreo_calls_waiting", "choreo_calls_hanging"}  # told once there is a call
    of_labels = {"saga_type"}
    only_with_values = {"choreo_schedule_lateness_seconds", "choreo_dead_letters"}
    assert asked - told - of_calls - of_labels - only_with_values == set()

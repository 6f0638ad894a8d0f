"""``choreo run --admin``: a worker is asked how it is, in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from choreo import connect
from choreo.cli import admin
from examples.orders.contract import OrderCreated
from examples.orders.orders import orders
from tests.cli.command import DEADLINE, Running, execute
from tests.cli.conftest import WriteModule, quiz


class Pages:
    """The pages of a worker that runs."""

    def __init__(self, run: Running) -> None:
        run.wait_for("/metrics at http")
        found = re.search(r"/livez, /readyz, /metrics at (http://127\.0\.0\.1:\d+)", run.stdout)
        assert found
        self._address = found[1]

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a page."""
        try:
            with urlopen(self._address + path, timeout=DEADLINE) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def value(self, series: str) -> float:
        """Return a metric's value."""
        (line,) = [each for each in self.get("/metrics")[1].splitlines() if each.startswith(series + " ")]
        return float(line.split()[-1])

    def wait_for(self, path: str, answer: tuple[int, str]) -> None:
        """Wait until a page has that answer."""
        deadline = time.monotonic() + DEADLINE
        while self.get(path) != answer:
            assert time.monotonic() < deadline, (path, self.get(path))
            time.sleep(0.05)


def test_a_worker_tells_how_it_is(folder: Path) -> None:
    """From its start to the saga that it ran, and that it is stopped in order beside an open connection."""
    with Running("run", "examples.orders.orders:orders", "--embedded", "--admin", "0", folder=folder) as run:
        pages = Pages(run)
        pages.wait_for("/readyz", (200, "is live\n"))
        assert pages.get("/livez")[0] == 200
        assert pages.value('choreo_store_up{participant="orders"}') == 1
        before = pages.value('choreo_turn_items_total{participant="orders"}')
        connect(orders, store=folder / "orders.db")
        with orders.transaction() as tx:
            tx.start(OrderCreated("o1", "ann", "lamp", 1, 100, "here"))
        deadline = time.monotonic() + DEADLINE
        while pages.value('choreo_turn_items_total{participant="orders"}') <= before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.signal(signal.SIGTERM)
        assert run.exit_code() == 0


def test_a_worker_logs_as_json(write_module: WriteModule, folder: Path) -> None:
    """Every line of its log, from the first to the last, which a signal causes."""
    options = ("--embedded", "--log-format", "json", "--log-level", "debug")
    with Running("run", f"{write_module(quiz())}:sage", *options, folder=folder) as run:
        run.wait_for("sage is live")
        run.signal(signal.SIGTERM)
        assert run.exit_code() == 0
        lines = [json.loads(each) for each in run.stderr.splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    messages = [each["message"] for each in lines]
    assert "sage is live on 4 partitions" in messages
    assert [each for each in messages if each.startswith("SIGTERM")]


@pytest.mark.parametrize(
    ("prepare", "code", "words"),
    [
        ("raise ValueError('no\\nway')", 1, "ValueError: no\nway"),
        ("__import__('warnings').warn('old'); raise ValueError", 1, "UserWarning: old"),
        ("raise __import__('choreo').errors.ConfigurationError('no', hint='way')", 2, "no (hint: way)"),
    ],
    ids=["defect", "warning", "error"],
)
def test_a_worker_ends_as_json(
    write_module: WriteModule, folder: Path, prepare: str, code: int, words: str
) -> None:
    """Whatever ends it: a shipper of logs takes each line for an object."""
    target = f"{write_module(quiz(prepare=prepare))}:sage"
    ended = execute("run", target, "--embedded", "--log-format", "json", folder=folder)
    lines = [json.loads(each) for each in ended.stderr.splitlines()]
    assert (ended.returncode, lines[-1]["level"]) == (code, "error")
    assert words in "".join(each["message"] + each.get("exception", "") for each in lines)


def test_a_worker_whose_turn_hangs_answers_all_the_same(write_module: WriteModule, folder: Path) -> None:
    """Nobody restarts it before the group would have given it up."""
    stuck = "print('stuck', flush=True); __import__('threading').Event().wait()"
    target = f"{write_module(quiz(prepare=stuck))}:sage"
    with Running("run", target, "--embedded", "--admin", "0", folder=folder) as run:
        run.wait_for("stuck")
        pages = Pages(run)
        assert pages.get("/livez") == (200, "starts\n")
        assert pages.get("/readyz") == (503, "starts\n")


def test_an_address_that_cannot_be_had_is_refused(write_module: WriteModule, folder: Path) -> None:
    """Before the group is joined, in one line."""
    target = f"{write_module(quiz())}:sage"
    with Running("run", target, "--embedded", "--admin", "0", folder=folder) as run:
        run.wait_for("/metrics at http")
        port = re.search(r"http://127\.0\.0\.1:(\d+)", run.stdout)
        assert port
        store = str(folder / "other.db")
        other = execute("run", target, "--embedded", "--admin", port[1], "--store", store, folder=folder)
        assert other.returncode == 2
        assert f"can't listen on 127.0.0.1:{port[1]}" in other.stderr


@pytest.mark.parametrize("value", ["", "x", "1:2:x", "70000", "-1", "127.0.0.1:"])
def test_a_wrong_address_is_refused(value: str, folder: Path) -> None:
    refused = execute("run", "x:y", "--admin", value, folder=folder)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_of_two_who_ask_for_metrics_each_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter would give one the samples of both, and the other one none."""
    together = threading.Barrier(2)

    def generated() -> bytes:
        together.wait(0.3)
        return b""

    monkeypatch.setattr(admin, "generate_latest", generated)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(admin._metrics) for _ in range(2)]
    assert [type(each.exception()) for each in asked] == [threading.BrokenBarrierError] * 2


def page_of_metrics(env: dict[str, str]) -> str:
    """Return the page of a process with one metric, collected as `choreo run --admin` does."""
    script = (
        "from choreo.cli import admin, tracing\nfrom choreo.telemetry import Level\n"
        "from examples.orders.orders import orders\n"
        "with tracing.set_up('sage', *admin.Watch(orders, ('127.0.0.1', 0)).readers):\n"
        "    Level('choreo.calls.waiting', {'participant': 'sage'}).set(3)\n"
        "    page = admin._metrics()\n    print(page.status, page.body)\n"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=True, timeout=60).stdout


def test_a_metric_stands_in_the_page_once() -> None:
    """Also where the environment asks for Prometheus' exporter beside it, on a port of its own."""
    for env in ({}, {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}):
        assert page_of_metrics({**env, "PATH": ""}).count("\nchoreo_calls_waiting{") == 1


def test_no_metrics_are_said_to_be_none() -> None:
    """An empty page would be taken for a worker that is silent."""
    page = page_of_metrics({"OTEL_SDK_DISABLED": "true", "PATH": ""})
    assert page.strip() == "501 no metrics: OTEL_SDK_DISABLED is set"

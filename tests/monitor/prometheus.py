"""A real Prometheus on a free port of the loopback, and its ``promtool``."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from tests.conftest import unavailable

DEADLINE = 60.0


def tool(name: str, package: str = "prometheus") -> str:
    """Return the path of a program of Prometheus'; skip the test, or fail it on CI, where it is missing."""
    found = shutil.which(name)
    if found is None:
        unavailable(FileNotFoundError(f"no {name} (package {package})"), "Prometheus")
    return str(found)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, timeout=60)


def until(holds: Callable[[], bool], told: Callable[[], str]) -> None:
    """Wait until something holds; ``told`` is what is said where it doesn't."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


class Prometheus:
    """A server that looks at workers every second."""

    def __init__(self, port: int) -> None:
        self._port = port

    def alerts(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {
            each["labels"]["alertname"] for each in self._get("alerts")["alerts"] if each["state"] == "firing"
        }

    def answer(self, expression: str) -> list[Any]:
        """Return the series that an expression is answered with."""
        found: list[Any] = self._get(f"query?query={quote(expression)}")["result"]
        return found

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        until(holds, lambda: str(self._get("alerts")))

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError):
            return False

    def _get(self, what: str) -> Any:
        with urlopen(f"http://127.0.0.1:{self._port}/api/v1/{what}", timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, rules: str, targets: list[str], alertmanager: str = "") -> Iterator[Prometheus]:
    """Start a server with a file of rules, the addresses of workers, and that of an Alertmanager."""
    (folder / "rules.yml").write_text(rules)
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "choreo", "static_configs": [{"targets": targets}]}],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Prometheus(port)
        deadline = time.monotonic() + DEADLINE
        while not server.is_ready():
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port

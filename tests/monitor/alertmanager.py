"""A real Alertmanager on a free port of the loopback, and the webhook that it tells of alerts."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.monitor.prometheus import free_port, tool, until


class Webhook:
    """What was told: the alerts that fired, and those that were resolved, each with its labels."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.told: list[tuple[str, str, dict[str, str]]] = []

    def has_told(self, name: str, status: str, since: int = 0, **labels: str) -> bool:
        """Whether an alert was told to be ``firing`` or ``resolved``, behind the first ``since``."""
        return any(
            (each, how) == (name, status) and labels.items() <= found.items()
            for each, how, found in self.told[since:]
        )

    def take(self, body: bytes) -> None:
        """Take a notification."""
        for alert in json.loads(body)["alerts"]:
            assert alert["annotations"]["runbook"]
            self.told.append((alert["labels"]["alertname"], alert["status"], alert["labels"]))


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Listen for notifications."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def alertmanager(folder: Path, told: Webhook) -> Iterator[str]:
    """Start a server that tells a webhook of each alert by itself; yield its address."""
    folder.mkdir()
    config = {
        "route": {
            "receiver": "person",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [
            {"name": "person", "webhook_configs": [{"url": f"http://127.0.0.1:{told.port}/"}]},
        ],
    }
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _is_ready(address), lambda: (folder / "log").read_text())
        assert process.poll() is None, (folder / "log").read_text()
        yield address
    finally:
        process.kill()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False

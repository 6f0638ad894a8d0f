"""Headless Chromium, driven by its command line: what a page becomes there, and what it asks for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DEADLINE = 60.0

_FLAGS = (
    "--headless",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
)
_CONSOLE = re.compile(r':CONSOLE[^"]*"(.*)", source:')
_ITS_OWN = "not an origin"
"""Who asks where no page does: the browser looks for its own updates."""


class Looked(NamedTuple):
    """A page as the browser has it: its DOM, its console's lines, and the addresses that it asked for."""

    dom: str
    console: list[str]
    requests: list[str]


def browser() -> str | None:
    """Return the path of a browser: ``CHOREO_TEST_BROWSER``, or the first that is installed."""
    found = (shutil.which(name) for name in NAMES)
    return os.environ.get("CHOREO_TEST_BROWSER") or next((path for path in found if path), None)


def look(page: Path, folder: Path, *flags: str) -> Looked:
    """Open a page in a browser of its own, whose profile is in ``folder``."""
    program = browser()
    assert program is not None
    net = folder / "net.json"
    command = [program, *_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net}", *flags]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    shutil.rmtree(folder / "profile", ignore_errors=True)
    return Looked(done.stdout, _CONSOLE.findall(done.stderr), _requests(json.loads(net.read_text())))


def _requests(log: dict[str, Any]) -> list[str]:
    asked = [event.get("params") or {} for event in log["events"]]
    return [each["url"] for each in asked if each.get("initiator", _ITS_OWN) != _ITS_OWN]

"""Chromium, driven by Playwright: what a page becomes there, and what it asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Looked(NamedTuple):
    """A page as the browser has it: its DOM, its console's lines, and the addresses that it asked for.

    Also those that the page's policy kept it from.
    """

    dom: str
    console: list[str]
    requests: list[str]


def browser() -> str | None:
    """Return the path of a browser: ``CHOREO_TEST_BROWSER``, or the first that is installed."""
    found = (shutil.which(name) for name in NAMES)
    return os.environ.get("CHOREO_TEST_BROWSER") or next((path for path in found if path), None)


@contextmanager
def opened() -> Iterator[Any]:
    """Start a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


def look(window: Any, path: Path, scheme: str = "light") -> Looked:
    """Open a page in a window."""
    looked = Looked("", [], [])
    heard = {
        "console": lambda line: looked.console.append(line.text),
        "pageerror": lambda error: looked.console.append(str(error)),
        "request": lambda request: looked.requests.append(request.url),
    }
    window.emulate_media(color_scheme=scheme)
    for event, hear in heard.items():
        window.on(event, hear)
    try:
        window.goto(path.as_uri())
    finally:
        for event, hear in heard.items():
            window.remove_listener(event, hear)
    looked.requests.remove(path.as_uri())
    return looked._replace(dom=window.content())

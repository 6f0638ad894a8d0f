"""The browser of the tests, and pages to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.render.chromium import Looked, browser, look, opened
from tests.timeline.conftest import travelled

__all__ = ["travelled"]

Look = Callable[..., Looked]


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    """Start a browser; skip loudly without one, and fail on CI, or nobody would notice."""
    if browser() is None:
        reason = "no browser here: install chromium, or name one with CHOREO_TEST_BROWSER"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with opened() as found:
        yield found


@pytest.fixture(scope="module")
def window(started: Any) -> Iterator[Any]:
    """Open one window: each would be a process of its own."""
    context = started.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def looked(window: Any, tmp_path: Path) -> Look:
    """Look at a page."""

    def look_at(page: str, scheme: str = "light") -> Looked:
        path = tmp_path / "page.html"
        path.write_text(page)
        return look(window, path, scheme)

    return look_at

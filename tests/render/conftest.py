"""The browser of the tests, and pages to look at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.render.chromium import Looked, browser, look
from tests.timeline.conftest import travelled

__all__ = ["travelled"]

Look = Callable[..., Looked]


@pytest.fixture
def looked(tmp_path: Path) -> Look:
    """Look at a page; skip loudly without a browser, and fail on CI, or nobody would notice."""
    if browser() is None:
        reason = "no browser here: install chromium, or name one with CHOREO_TEST_BROWSER"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def look_at(page: str, *flags: str) -> Looked:
        path = tmp_path / "page.html"
        path.write_text(page)
        return look(path, tmp_path, *flags)

    return look_at

"""A shop in which things have gone wrong, and its page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from choreo.dashboard import app
from tests.dashboard.stage import shop

Page = Callable[..., Any]


@pytest.fixture(scope="session")
def ended_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the shop's stores, in which nothing has happened for 45 minutes."""
    folder = tmp_path_factory.mktemp("shop")
    shop(folder, time.time_ns() // 1_000_000 - 45 * 60_000)
    return folder


@pytest.fixture
def stores(ended_shop: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(ended_shop, tmp_path / "stores"))


@pytest.fixture
def page(stores: Path) -> Page:
    """Make pages of the copied stores."""
    return lambda **given: page_of(stores, **given)


def page_of(folder: Path, **given: Any) -> Any:
    """Return the page of the stores in a folder."""
    return app(str(folder), ["examples.orders"], schemas=folder / "schemas", **given)

"""The project of getting-started, as its reader has it in the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.manual import PAGES


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with every file that getting-started shows."""
    return write_project(tmp_path)


def write_project(folder: Path) -> Path:
    """Write every file that getting-started shows into a folder, and return it."""
    for name, text in PAGES["getting-started"].files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "shop" / "__init__.py").touch()
    return folder


@pytest.fixture
def shop(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the package of getting-started importable in this process."""
    monkeypatch.syspath_prepend(project)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]

"""Fixtures: each world of before in turn, at the moment at which it was told of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.upgrade.world import EXAMPLES, LATER, OLDER, World, told, unpack


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder; what a command imports from it is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture(params=(*EXAMPLES, *OLDER))
def world(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Open the stores of one world after the other, which brings them up to date."""
    unpacked = unpack(request.param, folder)
    monkeypatch.setattr("time.time_ns", lambda: (unpacked.now + LATER) * 1_000_000)
    told("dlq", "list")
    return unpacked

"""The keeper deletes the folders that were made for servers, and nothing else."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.postgresql.keeper import PREFIX, mark, sweep


def test_only_a_marked_folder_of_its_own_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one without the mark, nor one elsewhere, nor one of another name; also through a link."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deleted: list[object] = []
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **_: deleted.append(folder))
    ours, unmarked, other = tmp_path / f"{PREFIX}1", tmp_path / f"{PREFIX}2", tmp_path / "other"
    deep = other / f"{PREFIX}3"
    for each in (ours, unmarked, other, deep):
        each.mkdir()
    for each in (ours, other, deep):
        mark(each)
    (tmp_path / f"{PREFIX}link").symlink_to(other)
    for each in (unmarked, other, deep, tmp_path, tmp_path / f"{PREFIX}link"):
        assert not sweep(each)
    assert not deleted
    assert sweep(ours)
    assert deleted == [ours]

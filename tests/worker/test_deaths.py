"""A process that ends in the same handler again and again: the handler is found, and buried."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from choreo.store.sqlite.store import SQLiteStore

ROOT = Path(__file__).parents[2]
MOST = 5
GOOD = ("good-1", "good-2")


CASES = [("inside", "exit"), ("async", "kill")]
if os.environ.get("CHOREO_FUZZ"):
    CASES += [("blocking", "segfault"), ("observer", "kill")]


@pytest.mark.parametrize(("runs", "way"), CASES)
def test_a_handler_in_which_the_process_ends_is_buried(tmp_path: Path, runs: str, way: str) -> None:
    """The sagas beside it are done by the third start; then it is a letter, and the worker stays up."""
    codes: list[int] = []
    while not codes or (codes[-1] and len(codes) < MOST):
        command = [sys.executable, "-m", "tests.worker.dying", str(tmp_path), runs, way]
        codes.append(subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode)
        with closing(SQLiteStore(tmp_path / "w.db")) as store:
            inputs = [[each.input for each in store.history(saga_id, "p")] for saga_id in GOOD]
            assert len(codes) < 3 or all("ended" in each for each in inputs)
    assert codes[-1] == 0
    assert all(codes[:-1])
    with closing(SQLiteStore(tmp_path / "w.db")) as store:
        (letter,) = store.dead_letters()
        assert (letter.saga_id, letter.reason) == ("bad", "process-ended")
        assert "3 times" in letter.detail
        (_, last) = store.db.execute("select id, deaths from choreo_store").fetchone()
        assert last > 0  # it ends without a stop here, too

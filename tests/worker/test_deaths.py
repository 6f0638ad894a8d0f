"""A process that ends in the same handler again and again: the handler is found, and buried."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.stores import in_postgresql, open_store

ROOT = Path(__file__).parents[2]
MOST = 5
GOOD = ("good-1", "good-2")


EVERY = [
    (runs, task, way)
    for task in ("action", "compensation", "observer", "decoding", "import")
    for runs in (("inside",) if task in ("observer", "import") else ("inside", "async", "blocking"))
    for way in ("exit", "kill", "segfault")
]
CASES = [
    ("async", "compensation", "kill"),
    ("inside", "observer", "exit"),
    ("blocking", "decoding", "segfault"),
    ("inside", "import", "kill"),
]
if os.environ.get("CHOREO_FUZZ"):
    CASES = EVERY


@pytest.mark.parametrize(("runs", "task", "way"), CASES)
def test_a_handler_in_which_the_process_ends_is_buried(
    tmp_path: Path, runs: str, task: str, way: str
) -> None:
    """The sagas beside it are done by the third start, and their events are back; then it is a letter.

    Calls that were under way at the first end begin beside each other again. One that was under way at the
    second, too, runs alone at the third start, maybe after the one that ends the process: then at the fourth.
    """
    patience = 3 if runs == "inside" else 4
    answer = {"compensation": "p.Undone", "import": "p.Late"}.get(task, "p.Acted")
    codes: list[int] = []
    while not codes or (codes[-1] and len(codes) < MOST):
        command = [sys.executable, "-m", "tests.worker.dying", str(tmp_path), runs, task, way]
        codes.append(subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode)
        with closing(open_store(tmp_path / "w.db")) as store:
            rows = [store.history(saga_id, "p") for saga_id in GOOD]
        back = [any(row.event_type == answer and row.partition >= 0 for row in each) for each in rows]
        assert len(codes) < patience or all(back)
    assert all(back)
    assert codes[-1] == 0
    assert all(codes[:-1])
    with closing(open_store(tmp_path / "w.db")) as store:
        (letter,) = store.open_letters("process-ended")
        assert (letter.saga_id or "bad", letter.reason) == ("bad", "process-ended")
        assert (letter.task == "import") == (letter.value == b"bad")
        assert "3 times" in letter.detail
        counted = "max(deaths) from choreo.positions" if in_postgresql() else "deaths from choreo_store"
        assert store.db.execute(f"select {counted}").fetchone()[0] > 0  # it ends without a stop here, too

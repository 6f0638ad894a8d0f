"""Whatever a file holds, a command that reads it ends soon, in little memory, with one line and no traceback.

`make fuzz` takes a hundred times as many.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs.fuzz.commands import ROOT
from tests.programs.fuzz.spoilt_files import MAKERS

COUNT = 600 if os.environ.get("CHOREO_FUZZ") == "1" else 1
SEED = int(os.environ.get("CHOREO_FUZZ_SEED", "1"))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_damaged_file_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    """In a process whose memory is bounded, and that ends where one file takes too long."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for number, content in enumerate(MAKERS[kind](random.Random(SEED), COUNT)):
        (inputs / f"{number:05}").write_bytes(content)

    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.fuzz.commands", kind, str(inputs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    seen = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    wrong = [f"{inputs / name}: {why}" for name, why in seen if why]
    assert not wrong, f"{len(wrong)} of {len(seen)}: {wrong[0]}"
    assert len(seen) == len(list(inputs.iterdir())), (
        f"{inputs / format(len(seen), '05')}: {done.stderr[-2000:]}"
    )

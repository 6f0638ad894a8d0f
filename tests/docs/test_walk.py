"""The walk of the page on verify: break the example, read the run, paste the mend or derive, verify."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.command import execute
from tests.docs.manual import PAGES, ROOT

PAGE = PAGES["verify"]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Return a module in a copy of the example, as the page says."""
    shutil.copytree(ROOT / "examples" / "orders", tmp_path / "shop")
    (tmp_path / "pyproject.toml").write_text("[tool.choreo]\n")
    return tmp_path / "shop" / "inventory.py"


def verified(inventory: Path) -> tuple[int, str]:
    done = execute("verify", "shop", folder=inventory.parents[1])
    return done.returncode, done.stdout


def test_the_walk_is_what_happens(inventory: Path) -> None:
    """By the letter: the edit, what is printed, the line that is pasted, the clean runs."""
    runs = [block for block in PAGE.blocks("text") if block.startswith("$ choreo verify shop\n")]
    first, second = (block.partition("\n")[2] for block in runs)
    (diff,) = PAGE.blocks("diff")
    (derived,), (broken,) = (re.findall(rf"^\{sign}(.*)$", diff, re.MULTILINE) for sign in "-+")
    before = inventory.read_text()
    assert derived in before

    imports = "    ReservationReleased,\n    ShipmentFailed,"
    after = before.replace(derived, broken).replace("    ReservationReleased,", imports, 1)
    inventory.write_text(after)
    code, printed = verified(inventory)
    assert code == 1
    assert re.sub(r"py:\d+", "py", printed).startswith(re.sub(r"py:\d+", "py", first))

    *_, mend, needs = (line.strip() for line in first.strip().splitlines())
    needed = after.replace(
        "from choreo import", f"{needs.removeprefix('needs').strip()}\nfrom choreo import", 1
    )
    for text, line in ((needed, mend), (after, derived)):
        inventory.write_text(text.replace(broken, line))
        code, printed = verified(inventory)
        assert code == 0, printed
        assert re.fullmatch(re.escape(second).replace("…", ".*"), printed)

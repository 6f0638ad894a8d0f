"""The newcomer's walk of the README: break the example, verify, read the trace, paste the mend, verify."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import execute
from tests.docs.test_readme import ROOT, blocks


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Give a copy of the example, as the README says."""
    shutil.copytree(ROOT / "examples" / "orders", tmp_path / "shop")
    (tmp_path / "pyproject.toml").write_text("[tool.choreo]\n")
    return tmp_path / "shop"


def verify(shop: Path) -> subprocess.CompletedProcess[str]:
    return execute("verify", "shop", folder=shop.parent)


def shown() -> tuple[str, str]:
    """Give what the README shows of the two runs, without the commands."""
    runs = [block for block in blocks("text") if block.startswith("$ choreo verify shop\n")]
    first, second = (block.partition("\n")[2] for block in runs)
    return first, second


def test_the_walk_is_what_happens(shop: Path) -> None:
    """By the letter: the edit, what is printed, the line that is pasted, the clean run."""
    inventory = shop / "inventory.py"
    (diff,) = [block for block in blocks("diff") if "reserved: InventoryReserved" in block]
    (old,), (new,) = (re.findall(rf"^\{sign} *(.*)$", diff, re.MULTILINE) for sign in "-+")
    broken = inventory.read_text().replace(old, new)
    named = "    PaymentFailed,\n    PaymentRefunded,\n    ReservationReleased,\n    ShipmentFailed,"
    broken = broken.replace("import Context", "import Aborted, Context")
    inventory.write_text(broken.replace("    ReservationReleased,", named, 1))
    assert old not in inventory.read_text()

    first, second = shown()
    found = verify(shop)
    assert found.returncode == 1
    assert found.stdout.startswith(first)

    mend = first.strip().splitlines()[-1].strip()
    function = re.search(r"def release_reservation\(.*?\) -> ReservationReleased:", broken, re.DOTALL)
    assert function
    inventory.write_text(inventory.read_text().replace(function[0], mend))
    clean = verify(shop)
    assert clean.returncode == 0, clean.stdout
    assert re.fullmatch(re.escape(second).replace("…", ".*"), clean.stdout)

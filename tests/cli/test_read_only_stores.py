"""Commands that only read need no right to write: not to the file, not to its folder, not beside its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copy, copytree, rmtree, which

import pytest

from choreo.store.sqlite.store import SQLiteStore
from tests.upgrade.world import unpack

READING = (
    "sagas",
    "trace {saga} --format json",
    "deadlines list {saga} --format json",
    "dlq list --all",
    "log verify",
    "log heads",
    "log erase {saga} --dry-run",
    "log prune --older-than 1ms --dry-run",
    "run examples.orders.payments:payments --check",
    "replay fold examples.orders.payments:payments {saga}",
    "replay resume examples.orders.payments:payments {saga} --dry-run",
)

PROGRAM = """
import json, os, sys, time
from click.testing import CliRunner
from choreo.cli import main
time.time_ns = lambda: 1_900_000_000_000_000_000
os.umask(0o077)
def told(folder, commands):
    os.chdir(folder)
    for command in commands:
        done = CliRunner().invoke(main, command.split())
        yield [done.exit_code, done.stdout, done.stderr, repr(done.exception)]
print(json.dumps([list(told(folder, sys.argv[3:])) for folder in sys.argv[1:3]]))
"""


# Without its capabilities, root may only do what the modes of files allow.
BOUND = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """Make a folder for a store, and let it be removed afterwards."""
    if BOUND and not which(BOUND[0]):
        pytest.skip("root may write everything here, and there is no setpriv")
    yield tmp_path
    os.chmod(tmp_path, 0o700)


def told(folder: Path, twin: Path, saga: str) -> list[list[list[object]]]:
    """Run every command on both stores, as somebody who may only do what the modes of files allow."""
    commands = [f"{command.format(saga=saga)} --store payments.db" for command in READING]
    done = subprocess.run(
        [*BOUND, sys.executable, "-c", PROGRAM, str(folder), str(twin), *commands],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[list[object]]] = json.loads(done.stdout)
    return found


def at_rest(folder: Path) -> None:
    """Nobody uses the store."""


def with_a_log(folder: Path) -> None:
    """It was copied while a worker ran: what was committed last is in its write-ahead log."""
    leave_a_log(folder)


def with_a_log_and_its_index(folder: Path) -> None:
    """Its worker died."""
    leave_a_log(folder, "-shm")


def of_an_older_choreo(folder: Path) -> None:
    """No worker of this version has ever opened it."""
    (folder / "older").mkdir()
    unpack("schema-1", folder / "older")
    os.replace(folder / "older/payments.db", folder / "payments.db")
    rmtree(folder / "older")


def leave_a_log(folder: Path, *more: str) -> None:
    path = folder / "payments.db"
    with closing(SQLiteStore(path)) as store:
        store.db.execute("PRAGMA wal_autocheckpoint = 0")
        store.db.execute("CREATE TABLE latest (id INTEGER)")
        for suffix in ("", "-wal", *more):
            copy(f"{path}{suffix}", f"{folder}/kept{suffix}")
    for suffix in ("", "-wal", *more):
        os.replace(f"{folder}/kept{suffix}", f"{path}{suffix}")


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (at_rest, "file"),
        (at_rest, "both"),
        (with_a_log, "folder"),
        (with_a_log, "both"),
        (with_a_log_and_its_index, "folder"),
        (of_an_older_choreo, "both"),
    ],
)
def test_a_store_that_may_only_be_read_is_read(state: object, what: str, room: Path) -> None:
    world = unpack("orders", room)
    for other in room.glob("*.db"):
        if other.name != "payments.db":
            other.unlink()
    with closing(SQLiteStore(room / "payments.db")):
        pass  # brought up to date
    state(room)  # type: ignore[operator]
    os.chmod(room / "payments.db", 0o666)
    for beside in room.glob("payments.db-*"):
        os.chmod(beside, 0o666)
    copytree(room, room / "twin")
    if what != "folder":
        for file in room.glob("payments.db*"):
            os.chmod(file, 0o444)
    os.chmod(room, 0o555 if what != "file" else 0o777)
    with closing(SQLiteStore(room / "twin/payments.db")):
        pass
    saga = "old-stuck" if state is of_an_older_choreo else world.sagas()[0]
    before = contents(room)

    found, as_the_twin = told(room, room / "twin", saga)

    assert found == as_the_twin
    assert all(isinstance(code, int) and code in (0, 1) for code, *_ in found), found
    assert contents(room) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder; the index of a log is nobody's data."""
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.is_file() and each.suffix != ".db-shm"
    }

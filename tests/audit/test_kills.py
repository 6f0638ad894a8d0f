"""``kill -9`` in the middle of an erasure, a pruning or an import: the store is whole, before or after."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.audit.export import Origin, records_of
from choreo.audit.formats import whole_file, write_json_lines
from choreo.audit.restore import import_export
from choreo.audit.retention import erase, prune
from choreo.audit.verification import saga_ids
from choreo.chain import PRUNED, first_broken_link
from choreo.store.sqlite.store import SQLiteStore
from tests.store.conformance import ended, entry

SAGAS = [f"s{number:03d}" for number in range(250)]

DYING = """
import os, sys
from pathlib import Path
from choreo.audit.retention import erase, prune
from choreo.audit.restore import import_export
from choreo.audit.verification import saga_ids
from choreo.store.sqlite.store import SQLiteStore
what, path, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
count = 0
class Dying(SQLiteStore):
    def __init__(self, path):
        super().__init__(path)
        self.db.conn.set_trace_callback(self.step)
    def step(self, sql):
        global count
        if sql.split()[0] in ("UPDATE", "DELETE", "INSERT", "COMMIT", "BEGIN", "VACUUM", "PRAGMA"):
            count += 1
            if count == number:
                os.kill(os.getpid(), 9)
import choreo.audit.restore
choreo.audit.restore.open_store = Dying
if what == "import":
    with path.with_suffix(".jsonl").open("rb") as file:
        import_export(file, path.with_name("copy.db"))
else:
    store = Dying(path)
    log = store.saga_log
    list(erase(store, list(saga_ids(log))) if what == "erase" else prune(store, 2000, 9))
    log.scrub()
print(count)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = SQLiteStore(tmp_path / "shop.db")
    with store.turn():
        store.append(entry(saga, payload=b"payload of " + saga.encode()) for saga in SAGAS)
        store.append(ended(saga, payload=b"end") for saga in SAGAS)
    with whole_file(tmp_path / "shop.jsonl") as file:
        write_json_lines(records_of(Origin("", store.store_id, 0, 0), store.saga_log, SAGAS), file)
    store.close()
    return tmp_path / "shop.db"


def run(what: str, path: Path, number: int) -> str:
    """Do it in another process, which is killed at its so-manyth statement that writes."""
    done = subprocess.run(
        [sys.executable, "-c", DYING, what, str(path), str(number)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (0 if number == 0 else -9), done.stderr
    return done.stdout


def check(path: Path, what: str) -> int:
    """Hold each saga to be as before or as after; give how many are as after."""
    store, after = SQLiteStore(path), 0
    try:
        assert list(saga_ids(store.saga_log)) == SAGAS
        for saga in SAGAS:
            rows = store.saga_log.chain(saga, "shop")
            assert first_broken_link(rows) is None
            if what == "prune":
                assert [row.entry.input for row in rows] in (["event"] * 2, [PRUNED])
                after += len(rows) == 1
            else:
                kept = [row.entry.payload is not None for row in rows]
                assert kept in ([True, True], [False, False])
                after += not kept[0]
        return after
    finally:
        store.close()


@pytest.mark.parametrize("what", ["erase", "prune"])
def test_a_killed_thinning_leaves_the_store_whole(path: Path, tmp_path: Path, what: str) -> None:
    """Each transaction is done, or not; done again it ends the work."""
    seen = set()
    whole = int(run(what, Path(shutil.copy(path, tmp_path / "other.db")), 0))
    for number in (5, 6 * whole // 10, 5 * whole // 10):
        run(what, path, number)
        seen.add(check(path, what))
    run(what, path, 0)
    assert check(path, what) == len(SAGAS)
    assert len(seen) > 1
    store = SQLiteStore(path)
    again = erase(store, SAGAS) if what == "erase" else prune(store, 2000, 9)
    assert not any(each.removed for each in again)
    store.close()


def test_a_killed_import_leaves_nothing_in_its_place(path: Path) -> None:
    """What it has begun is overwritten by the next."""
    for number in (3, 9, 15):
        run("import", path, number)
        assert not path.with_name("copy.db").exists()
    with path.with_suffix(".jsonl").open("rb") as file:
        import_export(file, path.with_name("copy.db"))
    assert check(path.with_name("copy.db"), "import") == 0
    assert sorted(each.name for each in path.parent.iterdir()) == ["copy.db", "shop.db", "shop.jsonl"]

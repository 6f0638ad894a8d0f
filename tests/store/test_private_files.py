"""What holds payloads is private from its first byte on, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from choreo.audit.formats import whole_file as private_file
from choreo.audit.restore import import_export
from choreo.drafts import PRIVATE, SHARED, draft_folder, whole_file
from choreo.errors import ArchiveError
from choreo.project.documents import write_document
from choreo.replay.databases import draft_store
from choreo.store.opening import copy_database
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import execute

UMASKS = (0o000, 0o022, 0o077, 0o777)


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_seen(path: Path, folder: Path) -> set[int]:
    return {mode(each) for each in folder.iterdir() if each.is_file() and each.name.startswith(path.name)}


def test_a_store_and_the_files_beside_it_are_private(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    with closing(SQLiteStore(path)) as store:
        store.db.execute("CREATE TABLE t (x)")
        assert {each.name for each in tmp_path.iterdir()} == {
            f"orders.db{end}" for end in ("", "-wal", "-shm")
        }
        assert modes_seen(path, tmp_path) == {0o600}
    assert modes_seen(path, tmp_path) == {0o600}


def test_a_store_behind_a_link_is_private(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "orders.db")
    with closing(SQLiteStore(tmp_path / "link.db")):
        pass
    assert mode(tmp_path / "orders.db") == 0o600


def test_the_mode_of_a_store_that_is_there_is_its_owner_s_decision(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    with closing(SQLiteStore(path)):
        pass
    path.chmod(0o660)
    with closing(SQLiteStore(path)) as store:
        store.db.execute("CREATE TABLE t (x)")
        assert modes_seen(path, tmp_path) == {0o660}


def test_exports_imports_and_copies_are_private(umask: int, tmp_path: Path) -> None:
    store = tmp_path / "orders.db"
    with closing(SQLiteStore(store)):
        pass
    with private_file(tmp_path / "orders.avro") as file:
        file.write(b"x")
    copy_database(store, tmp_path / "copy.db")
    with draft_store(tmp_path / "rebuilt.db", store):
        pass
    seen = {each.name: mode(each) for each in tmp_path.iterdir()}
    assert seen.keys() >= {"orders.db", "orders.avro", "copy.db", "rebuilt.db"}
    assert set(seen.values()) == {0o600}


def test_an_import_is_private(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "orders.db")):
        pass
    assert (
        execute("log", "export", "--store", "orders.db", "--output", "o.jsonl", folder=tmp_path).returncode
        == 0
    )
    with (tmp_path / "o.jsonl").open("rb") as file:
        import_export(file, tmp_path / "again.db")
    assert mode(tmp_path / "again.db") == mode(tmp_path / "o.jsonl") == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.db", "o.jsonl", "orders.db"]


def test_documents_are_for_others_too(umask: int, tmp_path: Path) -> None:
    write_document(tmp_path / "shop.choreo.json", "{}")
    assert mode(tmp_path / "shop.choreo.json") == 0o666 & ~umask


@pytest.fixture(params=[True, False], ids=["unnamed", "named"])
def draft(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Use drafts with and without names: not every file system has the latter."""
    if not request.param:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without names")
    return bool(request.param)


@pytest.mark.parametrize("file_mode", [PRIVATE, SHARED])
@pytest.mark.parametrize("name", ["o.avro", "x" * 250, "o[1]*.avro"])
def test_a_file_takes_the_place_of_another_and_nothing_else_stays(
    draft: bool, file_mode: int, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    for content in (b"first", b"second"):
        with whole_file(path, file_mode) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == content
    for error in (KeyboardInterrupt, SystemExit, ValueError):
        with pytest.raises(error), whole_file(path, file_mode) as file:  # noqa: PT012
            file.write(b"third")
            raise error
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"second"


def test_no_link_is_followed(draft: bool, tmp_path: Path) -> None:
    """Neither one at a name that a draft might have, nor one in the file's place."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in (".o.avro.new", "o.avro", ".o.avro.importing"):
        (tmp_path / name).symlink_to(victim)
    with whole_file(tmp_path / "o.avro", PRIVATE) as file:
        file.write(b"new")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "o.avro").is_symlink()


def test_what_is_no_file_is_written_as_it_is() -> None:
    with whole_file(Path("/dev/null"), PRIVATE) as file:
        file.write(b"x")
    assert Path("/dev/null").is_char_device()


KILLED = """
import os, signal, sys
from pathlib import Path
from choreo.drafts import PRIVATE, draft_folder, whole_file
path = Path(sys.argv[1])
if sys.argv[2] == "file":
    with whole_file(path, PRIVATE) as file:
        file.write(b"x" * 100_000); file.flush()
        os.kill(os.getpid(), int(sys.argv[3]))
else:
    with draft_folder(path) as folder:
        (folder / "store.db").write_bytes(b"x")
        os.kill(os.getpid(), int(sys.argv[3]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_of_a_process_that_is_killed(number: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "o.avro"), "file", str(int(number))],
        capture_output=True,
    )
    assert done.returncode
    assert list(tmp_path.iterdir()) == [] or not hasattr(os, "O_TMPFILE")


def test_the_draft_of_a_killed_import_goes_with_the_next_one(tmp_path: Path) -> None:
    """But not that of one that is still at work."""
    path = tmp_path / "o.db"
    with draft_folder(path) as at_work:
        subprocess.run([sys.executable, "-c", KILLED, str(path), "folder", "9"], check=False)
        (left,) = (each for each in tmp_path.iterdir() if each != at_work)
        assert mode(left) == mode(at_work) == 0o700
        with draft_folder(path) as mine:
            assert {*tmp_path.iterdir()} == {at_work, mine}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="can't be written"), private_file(tmp_path / "no/o.avro"):
        pass

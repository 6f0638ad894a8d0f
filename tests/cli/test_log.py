"""``choreo log``: on a store whose worker runs in the same test, as it would in another process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from choreo import Participant, Permanent
from choreo.cli import main
from choreo.errors import StoreMismatch
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import assert_refused, invoke
from tests.worker.rig import Rig
from tests.worker.services import Script, hotel
from tests.worker.trip import FlightFull, HotelBooked, HotelCancelled, TripFailed, TripRequested

DAY = 86_400
TOLD = (TripRequested("ada-1815"), FlightFull("ada-1815", "full"), TripFailed("ada-1815", "full"))


@pytest.fixture
def rig(folder: Path) -> Iterator[Rig]:
    """Open a hotel that has seen three trips fail, s1 to s3, and is in the middle of another, s4."""
    rig = Rig(hotel(), folder)
    rig.open()
    for number in (1, 2, 3):
        rig.feed(*TOLD, saga_id=f"s{number}")
        rig.clock.advance(DAY)
    rig.feed(TOLD[0], saga_id="s4")
    yield rig
    rig.close()


@pytest.fixture(autouse=True)
def today(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line have the rig's clock."""
    monkeypatch.setattr("time.time_ns", lambda: rig.clock.now() * 1_000_000)


def intrude(rig: Rig, *statements: str) -> None:
    """Change the store's file as somebody does who has it."""
    with closing(sqlite3.connect(rig.path, isolation_level=None)) as connection:
        for verb in ("UPDATE", "DELETE"):
            connection.execute(f"DROP TRIGGER IF EXISTS saga_log_refuses_{verb}")
        for statement in statements:
            connection.execute(statement)


def test_an_honest_log_verifies(rig: Rig) -> None:
    """All sagas, or the ones that are named."""
    result = invoke("log", "verify")
    assert result.exit_code == 0
    assert result.stdout == "hotel: 4 sagas, 27 rows checked\nno findings\n"
    assert "1 saga, " in invoke("log", "verify", "s2").stdout


def test_the_first_row_of_each_saga_that_does_not_fit_is_named(rig: Rig) -> None:
    """And the exit code tells."""
    (row,) = rig.store.db.execute("SELECT id FROM saga_log WHERE saga_id = 's2' LIMIT 1 OFFSET 2").fetchone()
    intrude(rig, f"UPDATE saga_log SET note = 'x' WHERE id = {row}")
    result = invoke("log", "verify")
    assert result.exit_code == 1
    first, *_, last = result.stdout.splitlines()
    assert first == f"hotel: saga s2, row {row}: it was changed, or rows before it were removed"
    assert last == "1 finding"
    assert invoke("log", "verify", "s1").exit_code == 0


def kept_heads(folder: Path) -> str:
    (folder / "heads.jsonl").write_text(invoke("log", "heads").stdout)
    return "heads.jsonl"


def test_heads_show_what_was_cut_and_what_is_gone(rig: Rig, folder: Path) -> None:
    """No chain shows it by itself; what came after the heads were kept does no harm."""
    heads = kept_heads(folder)
    rig.feed(*TOLD[1:], saga_id="s4")
    result = invoke("log", "verify", "--heads", heads)
    assert result.exit_code == 0
    assert "4 heads compared" in result.stdout
    last = "SELECT max(id) FROM saga_log WHERE saga_id = 's2'"
    intrude(rig, f"DELETE FROM saga_log WHERE id = ({last})", "DELETE FROM saga_log WHERE saga_id = 's3'")
    assert invoke("log", "verify").exit_code == 0
    result = invoke("log", "verify", "--heads", heads)
    assert result.exit_code == 1
    assert "hotel: saga s2: its end was cut" in result.stdout
    assert "hotel: saga s3: all its rows were removed" in result.stdout
    assert "2 findings" in result.stdout


def test_heads_outlive_erasing_and_pruning(rig: Rig, folder: Path) -> None:
    """A head of before the saga's end can't be compared once the saga was pruned: that is said."""
    early = kept_heads(folder)
    rig.feed(*TOLD[1:], saga_id="s4")
    assert invoke("log", "erase", "s1", "--yes").exit_code == 0
    rig.clock.advance(91 * DAY)
    assert invoke("log", "prune", "--older-than", "90d", "--yes").exit_code == 0
    result = invoke("log", "verify", "--heads", early)
    assert result.exit_code == 0
    assert "4 sagas pruned; 1 head of these not comparable any more" in result.stdout


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: "", "no file of heads"),
        (lambda text: text[:-20], "not JSON"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "half-written"),
        (lambda text: "\n".join(text.splitlines()[1:]), "no file of heads"),
        (
            lambda text: "".join(line + "\n" for line in text.splitlines() if "s2" not in line),
            "4 heads, not 3",
        ),
        (lambda text: text + text, "more comes after the end"),
        (lambda text: text.replace('"s2", "', '"s2", "zz'), "line 3 is no head"),
        (lambda text: text.replace('"s2"', "2"), "line 3 is no head"),
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: "{}", "no file of heads"),
    ],
)
def test_heads_that_can_not_be_right_are_refused(rig: Rig, folder: Path, spoil: object, words: str) -> None:
    """One clear line."""
    heads = kept_heads(folder)
    (folder / heads).write_text(spoil((folder / heads).read_text()))  # type: ignore[operator]
    result = invoke("log", "verify", "--heads", heads)
    assert_refused(result.exit_code, result.stderr, words)


def test_heads_of_another_store_are_refused(rig: Rig, folder: Path) -> None:
    """Those of several stores need all of them."""
    other = Rig(Participant("spa", sagas=rig.participant.sagas), folder)
    other.open()
    other.feed(*TOLD)
    heads = kept_heads(folder)
    assert "spa: 1 saga," in invoke("log", "verify", "--heads", heads).stdout
    result = invoke("log", "verify", "--heads", heads, "--store", "hotel.db")
    assert_refused(result.exit_code, result.stderr, "heads of another store", "--store")
    other.close()


def test_erase_takes_the_payloads_of_the_sagas_that_are_named(rig: Rig, folder: Path) -> None:
    """From the disk, too; a dry run only says so. The worker goes on, and the others keep theirs."""
    (folder / "ada.txt").write_text("s1\n\n s2 \n")
    result = invoke("log", "erase", "--file", "ada.txt", "--dry-run")
    assert result.stdout == "hotel: 8 payloads of 2 sagas would be erased\n"
    assert sum(entry.payload is not None for entry in rig.history("s1")) == 4
    result = invoke("log", "erase", "--file", "ada.txt", "s3", "--yes")
    assert (result.exit_code, result.stdout) == (0, "hotel: 12 payloads of 3 sagas erased\n")
    assert not any(entry.payload for saga in ("s1", "s2", "s3") for entry in rig.history(saga))
    assert invoke("log", "verify").exit_code == 0
    rig.feed(*TOLD[1:], saga_id="s4")
    assert rig.published("s4") == [HotelBooked("ada-1815"), HotelCancelled("ada-1815")]
    assert invoke("log", "erase", "s4", "--yes").exit_code == 0
    files = [file for file in folder.iterdir() if file.name.startswith("hotel.db")]
    assert not any(b"ada-1815" in file.read_bytes() for file in files)
    assert invoke("log", "erase", "s1", "--vacuum", "--yes").stdout == "hotel: 0 payloads of 1 saga erased\n"


def test_a_saga_that_is_not_at_rest_is_left_alone(folder: Path, rig: Rig) -> None:
    """Also where it has ended, and a dead letter is open; settled ones are erased."""
    rig.close()
    rig = Rig(hotel(cancel=Script(last=Permanent("no"))), folder)
    (folder / "hotel.db").unlink()
    rig.open()
    rig.feed(*TOLD)
    result = invoke("log", "erase", "s1", "s9", "--yes")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "hotel: saga s1: left alone: a dead letter of it is open",
        "saga s9: left alone: there is no such saga",
    ]
    assert invoke("dlq", "discard", "1", "--because", "done").exit_code == 0
    rig.settle()
    assert invoke("log", "erase", "s1", "--yes").exit_code == 0
    assert [letter.value for letter in rig.letters()] == [None]
    result = invoke("dlq", "show", "1")
    assert result.exit_code == 0
    rig.close()


def test_prune_leaves_the_ends(rig: Rig) -> None:
    """Of those that ended long enough ago; a dry run only says how many that are."""
    rig.clock.advance(88.5 * DAY)
    prune = ("log", "prune", "--older-than", "90d")
    assert invoke(*prune, "--dry-run").stdout == "hotel: 2 sagas of 16 rows would be pruned\n"
    assert len(rig.history("s1")) == 8
    assert invoke(*prune, "--yes").stdout == "hotel: 2 sagas of 16 rows pruned\n"
    assert [len(rig.history(f"s{number}")) for number in (1, 2, 3, 4)] == [1, 1, 8, 3]
    assert invoke(*prune, "--yes").stdout == "hotel: 0 sagas of 0 rows pruned\n"
    rig.feed(*TOLD, saga_id="s1")
    assert rig.published("s1") == [HotelBooked("ada-1815"), HotelCancelled("ada-1815")]
    assert invoke("log", "verify").exit_code == 0


@pytest.mark.parametrize("name", ["log.jsonl", "log.avro"])
def test_an_import_is_the_log_that_was_exported(rig: Rig, folder: Path, name: str) -> None:
    """It verifies, by the heads of the original too, and no worker runs on it."""
    heads = kept_heads(folder)
    assert invoke("log", "export", "--output", name).exit_code == 0
    arguments = ("log", "import", name, "--store", "copy.sqlite")
    assert invoke(*arguments, "--dry-run").stdout == "copy.sqlite: the saga log of hotel would be there\n"
    assert not (folder / "copy.sqlite").exists()
    assert invoke(*arguments).stdout == "copy.sqlite: the saga log of hotel\n"
    result = invoke("log", "verify", "--store", "copy.sqlite", "--heads", heads)
    assert result.stdout == "hotel: 4 sagas, 27 rows checked; 4 heads compared\nno findings\n"
    copy = SQLiteStore(folder / "copy.sqlite")
    assert [list(copy.history(f"s{n}")) for n in (1, 2, 3, 4)] == [rig.history(f"s{n}") for n in (1, 2, 3, 4)]
    with pytest.raises(StoreMismatch, match="imported"):
        copy.bind("memory", "hotel")
    copy.close()
    again = invoke(*arguments)
    assert_refused(again.exit_code, again.stderr, "copy.sqlite is there already")


@pytest.mark.parametrize("command", [("erase", "s1"), ("prune", "--older-than", "1ms")])
@pytest.mark.parametrize(
    ("answer", "code", "is_done"), [("y\n", 0, True), ("n\n", 1, False), ("\n", 1, False), ("", 2, False)]
)
def test_what_removes_names_the_stores_and_asks(
    rig: Rig, command: tuple[str, ...], answer: str, code: int, is_done: bool
) -> None:
    """Nothing is removed where the answer isn't yes, or nobody answers."""
    rig.clock.advance(1)
    before = rig.store.image()
    result = CliRunner().invoke(main, ["log", *command], input=answer)
    assert "hotel.db (hotel)?" in result.stderr
    assert "--yes" in result.stderr or answer
    assert result.exit_code == code, result.output
    assert (rig.store.image() != before) == is_done


def test_standard_output_has_a_name(rig: Rig, folder: Path) -> None:
    whole = invoke("log", "export").stdout_bytes
    assert whole
    assert invoke("log", "export", "--output", "-").stdout_bytes == whole
    assert invoke("log", "export", "-").stdout_bytes == whole
    assert invoke("log", "export", "--output", "-", "--format", "avro").stdout_bytes.startswith(b"Obj")
    assert not (folder / "-").exists()


def test_some_sagas_go_through_a_pipe(rig: Rig, folder: Path) -> None:
    """As JSON lines, unless Avro is asked for."""
    result = invoke("log", "export", "s2", "s2")
    assert [next(iter(json.loads(line))) for line in result.stdout.splitlines()] == [
        "head",
        "release",
        *["row"] * 8,
        "end",
    ]
    assert invoke("log", "export", "s2", "--format", "avro").stdout_bytes.startswith(b"Obj")


def test_a_row_that_is_no_text_is_not_exported(rig: Rig, folder: Path) -> None:
    """It is named; no file is left."""
    intrude(rig, "UPDATE saga_log SET note = CAST(x'ff' AS TEXT) WHERE saga_id = 's2'")
    for name in ("log.jsonl", "log.avro"):
        result = invoke("log", "export", "--output", name)
        assert_refused(result.exit_code, result.stderr, "saga s2, row", "no text", "choreo log verify")
    assert not list(folder.glob("*log.*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "s9"), "there is no saga s9"),
        (("export", "--output", "nowhere/log.jsonl"), "can't be written"),
        (("import", "nowhere.jsonl", "--store", "x.db"), "nowhere.jsonl"),
        (("import", "hotel.db", "--store", "x.db"), "can't be read"),
        (("import", "hotel.db"), "--store"),
        (("verify", "--store", "nowhere.db"), "there is no file nowhere.db"),
        (("verify", "s9"), "there is no saga s9 in hotel.db"),
        (("verify", "--heads", "nowhere.jsonl"), "nowhere.jsonl"),
        (("erase",), "which sagas?"),
        (("prune",), "--older-than"),
        (("prune", "--older-than", "soon"), "not a span of time"),
    ],
)
def test_wrong_input_is_one_clear_line(rig: Rig, arguments: tuple[str, ...], words: str) -> None:
    """Nothing is made or changed."""
    result = CliRunner().invoke(main, ["log", *arguments])
    assert_refused(result.exit_code, result.stderr, words)


def test_a_damaged_file_is_one_clear_line(rig: Rig, folder: Path) -> None:
    """SQLite itself can't read it any more."""
    rig.store.saga_log.scrub()
    rig.close()
    content = bytearray((folder / "hotel.db").read_bytes())
    page = 4096
    store = SQLiteStore(folder / "hotel.db")
    (root,) = store.db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'saga_log'").fetchone()
    store.close()
    content[(root - 1) * page : root * page] = b"\xff" * page
    (folder / "hotel.db").write_bytes(content)
    result = invoke("log", "verify")
    assert_refused(result.exit_code, result.stderr, "hotel.db is damaged", "backup")


def test_heads_are_json(rig: Rig) -> None:
    """One list a saga, between a header and an end."""
    lines = [json.loads(line) for line in invoke("log", "heads").stdout.splitlines()]
    assert lines[0] == {"kind": "choreo-heads", "version": 1}
    assert [line[:2] for line in lines[1:-1]] == [[rig.store.store_id, f"s{n}"] for n in (1, 2, 3, 4)]
    assert lines[-1] == {"end": "choreo-heads", "heads": 4}

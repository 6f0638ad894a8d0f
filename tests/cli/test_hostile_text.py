"""Text from outside reaches no terminal, page or diagram as it is, whichever field holds it."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copy

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from choreo.cli import main, output
from choreo.escape import escaped, escaped_json, escaped_lines, markup
from choreo.store.sqlite.store import SQLiteStore
from tests.upgrade.world import unpack

# In one process, which makes once what all of them use.
pytestmark = pytest.mark.xdist_group("hostile text")

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\r\n\t\u2028\u202eevil\u2066\u200f\ud800\U000e0041\0<script>`\"'#;|&"
)
HOSTILE_TEXT = HOSTILE.replace("\ud800", "")  # a database's text is UTF-8

WORDS = {
    "saga_log": ("saga_state", "input", "outcome", "kind", "old_state", "new_state", "task"),
    "dead_letters": ("task", "state"),
    "schedule": ("task", "lane"),
}
"""The tables, each with the columns that hold words of choreo's own."""

COMMANDS = (
    "sagas",
    "sagas --format json",
    "sagas --stuck --threshold 1ms",
    "trace {saga}",
    "trace {saga} --format json",
    "trace {saga} --format mermaid",
    "trace {saga} --format html",
    "trace {saga} --graph manifests --format html",
    "trace nobody",
    "dlq list --all",
    "dlq list --all --format json",
    "dlq show 1",
    "dlq show 1 --format json",
    "dlq show 1 --event",
    "dlq requeue 1 --dry-run",
    "dlq discard 1 --because done --dry-run",
    "log verify",
    "log heads",
    "log export {saga}",
    "log erase {saga} --dry-run",
    "log prune --older-than 1ms --dry-run",
    "replay fold examples.orders.payments:payments {saga}",
    "replay fold examples.orders.payments:payments {saga} --format json",
    "replay resume examples.orders.payments:payments {saga} --dry-run",
    "replay what-if examples.orders.payments:payments {saga}",
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a saga, a dead letter, and rows that are due and unpublished."""
    folder = tmp_path_factory.mktemp("orders")
    unpack("orders", folder)
    path = folder / "payments.db"
    with closing(SQLiteStore(path)):
        pass  # brought up to date
    with closing(sqlite3.connect(path)) as db, db:
        saga_id, saga_type, event = db.execute(
            "SELECT saga_id, saga_type, event_type FROM saga_log WHERE payload IS NOT NULL ORDER BY id"
        ).fetchone()
        known = {
            "saga_id": saga_id,
            "saga_type": saga_type,
            "event_type": event,
            "task": "action",
            "headers": "[]",
            "id": 1,
        }
        for table in ("dead_letters", "schedule", "outbox"):
            db.execute(f"DELETE FROM {table}")
            columns = db.execute(f"PRAGMA table_info({table})").fetchall()
            row = {
                name: known.get(
                    name, default if default is not None else {"TEXT": "x", "BLOB": b"x"}.get(kind, 1)
                )
                for _, name, kind, _, default, _ in columns
            }
            row = {
                name: ast.literal_eval(v) if isinstance(v, str) and v[:1] == "'" else v
                for name, v in row.items()
            }
            marks = ", ".join("?" * len(row))
            names = ", ".join(f'"{name}"' for name in row)
            db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))
    return folder


def text_columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[2] == "TEXT"]


def cases() -> Iterator[tuple[str, str]]:
    for table, words in WORDS.items():
        yield table, "free"
        if words:
            yield table, "words"


def spoiled(template: Path, folder: Path, table: str, which: str) -> None:
    """Write hostile text into the columns of a table, by hand, as whoever can write the file can."""
    for file in template.iterdir():
        if file.is_file():
            copy(file, folder)
    (folder / "manifests").symlink_to(template / "manifests")
    path = folder / "payments.db"
    chosen = [
        name
        for name in text_columns(path, table)
        if (name in WORDS[table]) == (which == "words") and name not in ("saga_id", "saga_type", "headers")
    ]
    assert chosen
    with closing(sqlite3.connect(path)) as db, db:
        for name in [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
            db.execute(f"DROP TRIGGER {name}")
        for name in chosen:
            db.execute(f'UPDATE {table} SET "{name}" = "{name}" || ?', (HOSTILE_TEXT,))


def run(command: str, *, colour: bool) -> tuple[str, str]:
    """Return what a command writes on both streams, without the colours that are choreo's own."""
    environment = {"NO_COLOR": None if colour else "1"}
    result = CliRunner(env=environment).invoke(main, command.split(), color=colour)
    shown = re.sub(r"\x1b\[(?:0|1|31|32|33|34|31m\x1b\[1)m", "", result.output)
    return shown, str(result.exception or "")


def unseen(text: str) -> set[str]:
    return {each for each in text if not each.isprintable() and each != "\n"}


@pytest.mark.parametrize(("table", "which"), list(cases()))
def test_whatever_a_store_holds_no_command_shows_it_raw(
    table: str, which: str, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(template, tmp_path, table, which)
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("payments.db")) as db:
        saga = db.execute("SELECT saga_id FROM dead_letters").fetchone()[0]
    shown = 0
    for command in COMMANDS:
        wanted = command.format(saga=saga)
        if wanted.split()[0] in ("sagas", "trace", "dlq", "log"):
            wanted += " --store payments.db"
        for colour in (False, True):
            text, raised = run(wanted, colour=colour)
            assert not unseen(text), (wanted, raised, text)
            assert "<script>" not in text or "html" not in command or text.startswith("error: ")
            shown += "evil" in text
    assert shown, "no command shows any of it"


def test_json_says_exactly_what_the_store_holds(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(template, tmp_path, "dead_letters", "free")
    monkeypatch.chdir(tmp_path)
    text, _ = run("dlq list --format json --store payments.db", colour=True)
    (letter,) = json.loads(text)
    assert letter["detail"].endswith(HOSTILE_TEXT)


@pytest.mark.parametrize("text", ["\x1b[35mno", "a\nb", "\x9b2J", HOSTILE], ids=range(4))
def test_log_lines_are_one_line_each(text: str) -> None:
    logger = logging.Logger("hostile")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(output._Escaped("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.warning("customer %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")
    written = stream.getvalue()
    assert not unseen(written)
    assert written.splitlines()[0] == f"WARNING customer {escaped(text)}"


@pytest.mark.parametrize("how", ["last", "own"])
def test_a_process_logs_escaped(how: str) -> None:
    """Where choreo sets logging up, and where nobody does."""
    code = (
        "import logging, sys; from choreo.cli import output\n"
        "output.escape_warnings() if sys.argv[1] == 'last' else output.set_up_logging('warning')\n"
        f"logging.getLogger('x').warning({HOSTILE!r})"
    )
    done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, check=True)
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith(escaped(HOSTILE))


@given(st.text(), st.text())
def test_a_line_of_json_holds_what_was_logged(text: str, bound: str) -> None:
    """With what is bound to it, and its exception; nothing of it can disturb a terminal."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(output._Json())
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("customer %s", text, extra={"saga_id": bound, "step": 3, "thing": object})
    (line,) = stream.getvalue().split("\n")[:-1]
    assert not unseen(line)
    found = json.loads(line)
    assert (found["message"], found["saga_id"], found["step"]) == (f"customer {text}", bound, 3)
    assert (found["level"], found["logger"], found["thing"]) == ("error", "shop", "<class 'object'>")
    assert "ValueError" in found["exception"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn", "L", "N", "P", "S", "Z"])))
def test_every_character_of_any_text_can_be_seen(text: str) -> None:
    assert escaped(text).isprintable()
    assert not unseen(escaped_lines(text))
    assert markup(text).isprintable()
    assert not {"<", ">", '"', "'"} & set(markup(text))
    written = json.dumps({"text": text}, ensure_ascii=False, indent=1)
    assert not unseen(escaped_json(written))
    assert json.loads(escaped_json(written)) == {"text": text}
    if text.isprintable():
        assert escaped(text) == text


def test_commands_write_by_the_one_place_that_escapes() -> None:
    """`choreo.cli.output`; records that are JSON in ASCII go to the file behind it."""
    folder = Path(output.__file__).parent
    direct = re.compile(r"click\.(secho|echo|style|prompt|confirm)|\bprint\(|sys\.stdout\.write")
    found = [
        f"{file.name}: {line.strip()}"
        for file in sorted(folder.rglob("*.py"))
        if file.name != "output.py"
        for line in file.read_text().splitlines()
        if direct.search(line)
    ]
    assert not found

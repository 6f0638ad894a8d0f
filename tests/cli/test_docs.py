"""``choreo docs``: the manual, whatever pages it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.cli.docs import FOLDER, outline
from tests.cli.command import assert_refused, execute, invoke

IN_A_TERMINAL = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    from choreo.cli import main
    main(["docs", sys.argv[1]])
shown = b""
try:
    while part := os.read(terminal, 4096):
        shown += part
except OSError:  # the command has ended
    pass
os.waitpid(pid, 0)
sys.stdout.write(shown.decode())
"""

TOPICS = sorted(path.stem for path in FOLDER.glob("*.md"))


@pytest.fixture
def manual(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a manual of two pages in the place of ours."""
    (folder / "steps.md").write_text("# Steps\n\nA step is an action\nwith its compensation. And more.\n")
    (folder / "first-saga.md").write_text(
        "# A saga of one's own\n\n```python\nno = 'paragraph'\n```\n\nFrom `pip install` to a test: 5 min.\n"
    )
    monkeypatch.setattr("choreo.cli.docs.FOLDER", folder)
    return folder


@pytest.mark.usefixtures("manual")
def test_the_topics_are_listed_with_what_they_are_about() -> None:
    assert invoke("docs").stdout.splitlines() == [
        "first-saga  A saga of one's own: From `pip install` to a test: 5 min.",
        "steps       A step is an action with its compensation.",
    ]


def test_a_topic_is_printed_as_it_is_written(manual: Path) -> None:
    assert invoke("docs", "steps").stdout == (manual / "steps.md").read_text()


@pytest.mark.usefixtures("manual")
def test_an_unknown_topic_is_refused_with_the_nearest_one() -> None:
    result = invoke("docs", "step")
    assert_refused(result.exit_code, result.stderr, "no topic 'step'", "did you mean steps?")
    result = invoke("docs", "zebra")
    assert_refused(result.exit_code, result.stderr, "no topic 'zebra'", "`choreo docs` lists them")


def test_a_manual_that_is_not_there_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreo.cli.docs.FOLDER", folder)
    result = invoke("docs")
    assert_refused(result.exit_code, result.stderr, "the manual is not installed")


def test_on_a_terminal_a_topic_is_shown_in_the_pager() -> None:
    """The pager here numbers the lines."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL, TOPICS[0]],
        capture_output=True,
        text=True,
        env={**os.environ, "PAGER": "cat -n", "TERM": "xterm"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["1", "#"]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_page_of_the_manual_has_a_title_and_begins_with_a_sentence(topic: str) -> None:
    title, summary = outline((FOLDER / f"{topic}.md").read_text())
    assert title
    assert summary.endswith((".", "!", "?"))
    assert len(summary) <= 100


def test_the_manual_is_read_where_nothing_else_is_there(folder: Path) -> None:
    done = execute("docs", folder=folder)
    assert [line.split()[0] for line in done.stdout.splitlines()] == TOPICS

"""``choreo run`` with calls under way, and with what they share: its start, its signals and its end."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo import Participant, connect
from choreo.project.modules import load_participant
from choreo.store.sqlite.store import SQLiteStore
from tests.cli.command import Running, assert_refused, execute
from tests.cli.conftest import WriteModule

_MODULE = """
import asyncio
import time
from pathlib import Path

from choreo import Context, Participant, Saga, event


@event(namespace="quiz")
class Asked:
    question: str


@event(namespace="quiz")
class Answered:
    question: str


@event(namespace="quiz")
class Unanswerable:
    question: str


quiz = Saga("quiz", starts=Asked, completes=Answered, fails=Unanswerable)
sage = Participant("sage", sagas=[quiz])


@sage.lifespan
async def client():
    print("entered", flush=True)
    {start}
    yield "the client"
    print("left", flush=True)
    {stop}


async def wait():
    print("called", flush=True)
    while not Path("answer").exists():
        await asyncio.sleep(0.01)


def block():
    print("called", flush=True)
    while not Path("answer").exists():
        time.sleep(0.01)


@sage.action(kind="retriable"{blocking})
{define} ponder(event: Asked, ctx: Context) -> Answered:
    {wait}
    return Answered(ctx.shared)


@sage.compensation(of=quiz.start)
def give_up(ctx: Context) -> Unanswerable:
    return Unanswerable(ctx.saga_id)
"""

WAYS = {
    "coroutine": {"blocking": "", "define": "async def", "wait": "await wait()"},
    "thread": {"blocking": ", blocking=True", "define": "def", "wait": "block()"},
}


Written = Callable[..., str]


@pytest.fixture
def written(write_module: WriteModule, folder: Path) -> Written:
    """Return a function that writes a project of one module, and returns that module's name."""

    def write(**changes: str) -> str:
        module = write_module(_module(**changes))
        (folder / "pyproject.toml").write_text(f'[tool.choreo]\nmodules = ["{module}"]\n')
        return module

    return write


def _module(way: str = "coroutine", start: str = "pass", stop: str = "pass") -> str:
    source = _MODULE
    for name, text in {**WAYS[way], "start": start, "stop": stop}.items():
        source = source.replace(f"{{{name}}}", text)
    return source


def _ask(sage: Participant, store: Path) -> None:
    connect(sage, store)
    with sage.transaction() as tx:
        tx.start(sage.sagas[0].starts("why"), saga_id="q-1")
    sage.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_lets_calls_end_before_what_they_share_is_closed(
    written: Written, folder: Path, way: str
) -> None:
    """Within ``--drain SECONDS``; the result is published."""
    module = written(way=way)
    with Running("run", f"{module}:sage", "--embedded", "--drain", "20", folder=folder) as run:
        run.wait_for("sage is live")
        _ask(load_participant(f"{module}:sage"), folder / "sage.db")
        run.wait_for("called")
        run.signal(signal.SIGTERM)
        run.wait_for("once more to stop at once")
        (folder / "answer").touch()
        assert run.exit_code() == 0, run.stderr
        assert re.findall("entered|called|left|stopped", run.stdout) == [
            "entered",
            "called",
            "left",
            "stopped",
        ]
    store = SQLiteStore(folder / "sage.db")
    assert store.history("q-1")[-1].event_type == "quiz.Answered"
    assert b"the client" in (store.payload("q-1", "quiz", "quiz.Answered") or b"")
    store.close()


@pytest.mark.parametrize(
    "start",
    ["raise ConnectionError('no route to host')", "raise SystemExit(0)", "raise asyncio.CancelledError"],
)
def test_one_that_fails_at_the_start_ends_it_with_one_line(
    written: Written, folder: Path, start: str
) -> None:
    target = f"{written(start=start)}:sage"
    done = execute("run", target, "--embedded", "--log-level", "error", folder=folder)
    assert_refused(done.returncode, done.stderr, "sage: its lifespan failed at the start")
    assert "left" not in done.stdout


@pytest.mark.parametrize("where", ["start", "stop"])
def test_signals_end_one_that_hangs(written: Written, folder: Path, where: str) -> None:
    """The first ends a start, and cuts an end short after a while; a second ends the process at once."""
    module = written(**{where: "await asyncio.Event().wait()"})
    with Running("run", f"{module}:sage", "--embedded", folder=folder) as run:
        run.wait_for("entered" if where == "start" else "sage is live")
        run.signal(signal.SIGTERM)
        if where == "start":
            assert run.exit_code() == 0, run.stderr
            assert "sage: stopped" in run.stdout
            return
        run.wait_for("left")
        run.signal(signal.SIGTERM)
        assert run.exit_code() == 128 + signal.SIGTERM

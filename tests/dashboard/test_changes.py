"""The streams that tell of changes: they tell, they are few, and they end."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path

import pytest

from choreo.dashboard import changes
from choreo.dashboard.application import app
from choreo.dashboard.changes import Changes
from choreo.dashboard.settings import Settings
from choreo.dashboard.stores import Stores
from choreo.store.opening import open_store
from tests.dashboard.asking import ask
from tests.dashboard.conftest import Page

DEADLINE = 20.0


def streaming(folder: Path, stopping: threading.Event | None = None) -> Changes:
    """Return the streams of a page."""
    nobody: frozenset[str] = frozenset()
    given = (str(folder),), {}, folder, True, "", nobody, False, b"", stopping or threading.Event()
    settings = Settings(*given)
    return Changes(settings, Stores(settings))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the stores often."""
    monkeypatch.setattr(changes, "_PERIOD", 0.02)
    monkeypatch.setattr(changes, "_STEP", 0.01)


def test_a_change_is_told_once(stores: Path) -> None:
    """A letter that is settled is a change as well; rest is none."""

    async def follow() -> None:
        stream = streaming(stores).stream()
        assert await anext(stream) == b"retry: 1000\n\n"
        assert await anext(stream) == b": no change\n\n"
        with closing(open_store(stores / "payments.db")) as store, store.turn():
            store.close_dead_letter(1, "discarded", "", 1)
        while await anext(stream) != b"data: changed\n\n":
            pass
        assert await anext(stream) == b": no change\n\n"
        (stores / "shipping.db").unlink()
        while await anext(stream) != b"data: changed\n\n":
            pass
        await stream.aclose()

    asyncio.run(asyncio.wait_for(follow(), DEADLINE))


def test_streams_end_when_the_page_stops(ended_shop: Path) -> None:
    """And after their time, so that servers end which wait for all of them."""
    stopping = threading.Event()
    shared = streaming(ended_shop, stopping)

    async def follow() -> None:
        stream = shared.stream()
        await anext(stream)
        assert shared.streams == 1
        stopping.set()
        assert [each async for each in stream] in ([], [b": no change\n\n"])

    asyncio.run(asyncio.wait_for(follow(), DEADLINE))
    assert shared.streams == 0


def test_they_last_so_long_and_no_longer(ended_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_LIFE", 0.05)

    async def follow() -> list[bytes]:
        return [each async for each in streaming(ended_shop).stream()]

    assert asyncio.run(asyncio.wait_for(follow(), DEADLINE))[0] == b"retry: 1000\n\n"


def test_there_are_so_many_and_no_more(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreo.dashboard.application.MOST", 0)
    answer = ask(page(), "/changes")
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")


def test_stopping_is_what_the_page_was_given(ended_shop: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    answer = ask(app(str(ended_shop), stopping=stopping), "/changes")
    assert answer.text == "retry: 1000\n\n"
    assert answer.headers["content-type"].startswith("text/event-stream")

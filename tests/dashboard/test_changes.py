"""The streams that tell of changes: they tell, they are few, and they end."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo.dashboard import changes
from choreo.dashboard.application import app
from choreo.dashboard.changes import Changes
from choreo.dashboard.settings import Settings
from choreo.dashboard.stores import Stores
from choreo.store.opening import open_store
from tests.dashboard.asking import ask, scope_of
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
        assert (await anext(stream)).endswith(b"\n: the first\n\n")
        assert await anext(stream) == b": no change\n\n"
        with closing(open_store(stores / "payments.db")) as store, store.turn():
            store.close_dead_letter(1, "discarded", "", 1)
        while not (await anext(stream)).endswith(b"\ndata: changed\n\n"):
            pass
        assert await anext(stream) == b": no change\n\n"
        (stores / "shipping.db").unlink()
        while not (await anext(stream)).endswith(b"\ndata: changed\n\n"):
            pass
        await stream.aclose()

    asyncio.run(asyncio.wait_for(follow(), DEADLINE))


def test_what_changes_between_two_streams_is_told_by_the_second(page: Page, stores: Path) -> None:
    """As what changes between a page and its first stream."""
    asked = page()
    (address,) = re.findall(r'data-changes="([^"]*)"', ask(asked, "/letters").text)
    known = address.partition("since=")[2]
    shared = streaming(stores)

    async def begin(known: str) -> list[bytes]:
        stream = shared.stream(known)
        found = [await anext(stream), await anext(stream)]
        await stream.aclose()
        return found[1].splitlines()

    assert asyncio.run(begin(known)) == [b": no change", b""]
    with closing(open_store(stores / "payments.db")) as store, store.turn():
        store.close_dead_letter(1, "discarded", "", 1)
    shared = streaming(stores)
    identity, told, _ = asyncio.run(begin(known))
    assert told == b"data: changed"
    assert asyncio.run(begin(identity.removeprefix(b"id: ").decode())) == [b": no change", b""]


def test_a_browser_that_comes_again_says_what_it_knows(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather that than what the page was made with."""
    known: list[str] = []

    async def stream(self: Changes, told: str = "") -> AsyncIterator[bytes]:
        known.append(told)
        yield b"\n"

    monkeypatch.setattr(Changes, "stream", stream)
    asked = page()
    for headers in ({}, {"last-event-id": "newer"}):
        ask(asked, "/changes?since=older", headers=headers)
    assert known == ["older", "newer"]


def test_streams_end_when_the_page_stops(ended_shop: Path) -> None:
    """And after their time, so that servers end which wait for all of them."""
    stopping = threading.Event()
    shared = streaming(ended_shop, stopping)

    async def follow() -> None:
        stream = shared.stream()
        await anext(stream)
        stopping.set()
        assert len([each async for each in stream]) <= 1

    asyncio.run(asyncio.wait_for(follow(), DEADLINE))


def test_they_last_so_long_and_no_longer(ended_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_LIFE", 0.05)

    async def follow() -> list[bytes]:
        return [each async for each in streaming(ended_shop).stream()]

    assert asyncio.run(asyncio.wait_for(follow(), DEADLINE))[0] == b"retry: 1000\n\n"


def test_there_are_so_many_and_no_more(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreo.dashboard.application.MOST", 0)
    answer = ask(page(), "/changes")
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")


def test_those_that_come_at_once_are_no_more(ended_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that a browser leaves makes room, whenever it does."""
    monkeypatch.setattr("choreo.dashboard.application.MOST", 3)
    stopping = threading.Event()
    page = app(str(ended_shop), stopping=stopping)

    async def come() -> list[int]:
        statuses: list[int] = []
        leaving = asyncio.Event()

        async def browse() -> None:
            async def receive() -> dict[str, Any]:
                await leaving.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await page(scope_of("/changes"), receive, send)

        for _ in range(2):
            leaving.clear()
            browsers = [asyncio.ensure_future(browse()) for _ in range(8)]
            while len(statuses) % 8 or not statuses:
                await asyncio.sleep(0)
            leaving.set()
            await asyncio.gather(*browsers)
        return statuses

    assert sorted(asyncio.run(asyncio.wait_for(come(), DEADLINE))) == [200] * 6 + [503] * 10


def test_who_only_asks_whether_there_is_one_gets_none(page: Page) -> None:
    """It would hold its connection, and take the place of somebody who looks."""
    answer = ask(page(), "/changes", method="HEAD")
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_stopping_is_what_the_page_was_given(ended_shop: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    answer = ask(app(str(ended_shop), stopping=stopping), "/changes")
    assert answer.text == "retry: 1000\n\n"
    assert answer.headers["content-type"].startswith("text/event-stream")

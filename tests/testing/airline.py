"""An airline in the place of the one over HTTP, whose time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import pytest

from examples.travel import flight
from examples.travel.airline import SECONDS, Books


@contextmanager
def airline_in_memory() -> Iterator[Books]:
    """Put it there, for the time of a test."""
    books = Books()

    async def ask(method: str, path: str) -> int:
        name, *which = map(unquote, path.split("/")[2:])
        await asyncio.sleep(SECONDS.get(which[0], 0.2) if which else 0.01)
        return books.book(name, which[0]) if method == "PUT" else books.cancel(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flight, "ask", ask)
        yield books

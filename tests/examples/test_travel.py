"""A trip: whatever goes wrong with whichever handler, rooms, seats, cars and money balance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from choreo.testing import failure_matrix
from examples.scenarios.travel import balance, scenario
from examples.travel import flight
from examples.travel.agency import request_trip
from examples.travel.airline import SECONDS, Books
from examples.travel.contract import TripRequested


@pytest.fixture
def airline(monkeypatch: pytest.MonkeyPatch) -> Books:
    """Put an airline in the place of the one over HTTP; its time is virtual."""
    books = Books()

    async def ask(method: str, path: str) -> int:
        name, *which = map(unquote, path.split("/")[2:])
        await asyncio.sleep(SECONDS.get(which[0], 0.2) if which else 0.01)
        return books.book(name, which[0]) if method == "PUT" else books.cancel(name)

    monkeypatch.setattr(flight, "ask", ask)
    return books


def books_balance(databases: Mapping[str, Any], airline: Books) -> None:
    """Everybody's books agree with each other, the airline's too."""
    assert [check for check in balance(databases, lambda: airline.bookings) if not check.holds] == []


@failure_matrix(*scenario.participants, invariant=books_balance)
def test_a_trip(airline: Books) -> None:
    """One trip, and one thing that goes wrong."""
    request_trip(TripRequested("trip-1", "ada", "Grand", "CH 1", "compact"))

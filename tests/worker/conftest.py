"""A rig for each test, closed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from choreo import Participant
from tests.worker.provider import Hotel, blocking_hotel, hotel
from tests.worker.rig import Rig

Rigs = Callable[..., Rig]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rigs]:
    """Return a function that opens a participant's worker."""
    rigs: list[Rig] = []

    def make(participant: Participant, *, opened: bool = True, **options: Any) -> Rig:
        rigs.append(Rig(participant, tmp_path, **options))
        if opened:
            rigs[-1].open()
        return rigs[-1]

    yield make
    for each in rigs:
        each.close()


@pytest.fixture(params=[hotel, blocking_hotel], ids=["coroutine", "thread"])
def make(request: pytest.FixtureRequest) -> Hotel:
    """Return a hotel of each sort."""
    maker: Hotel = request.param
    return maker

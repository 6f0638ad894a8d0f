"""The pytest plugin. Every run of pytest loads it, so it imports nothing but pytest before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from choreo.testing.harness import Harness, Opened


@pytest.fixture
def saga_harness() -> Iterator[Opened]:
    """Return a function that opens participants in memory: ``saga_harness(orders, payments)``.

    Options are those of `choreo.testing.Simulation`: ``folder=tmp_path`` keeps the databases in files.
    """
    from choreo.testing.harness import opening

    harnesses: list[Harness] = []
    yield opening(harnesses)
    for harness in reversed(harnesses):
        harness.close()

"""The page on the stores of ten thousand sagas."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from choreo.records import Entry
from choreo.store.opening import open_store
from tests.dashboard.asking import ask
from tests.dashboard.conftest import page_of
from tests.dashboard.test_browser import VIEWS


@pytest.mark.skipif("CHOREO_PAGE" not in os.environ, reason="make page measures the views")
def test_ten_thousand_sagas_stay_usable(stores: Path) -> None:
    """Each view is made in less than 300 ms of a processor's time."""
    multiply(stores, 10_000)
    page = page_of(stores)
    for address in (*VIEWS, *(f"/sagas?{query}" for query in QUERIES)):
        assert ask(page, address).status == 200
        times = []
        for _ in range(3):
            begun = time.process_time()
            ask(page, address)
            times.append(time.process_time() - begun)
        print(f"{median(times) * 1000:4.0f} ms  {address}")
        assert median(times) < 0.3, address


QUERIES = (
    "state=unended",
    "state=compensating",
    "state=failed",
    "participant=shipping",
    "why=outbox",
    "older=2h",
    "id=m-99",
    "type=order-fulfilment&state=completed",
)
KINDS = ("o-1", "o-1", "o-1", "o-1", "o-1", "o-1", "o-1", "o-9", "o-11", "o-17")


def multiply(folder: Path, wanted: int) -> None:
    """Add so many sagas to the stores of a shop, each like one that is there."""
    for path in folder.glob("*.db"):
        with closing(open_store(path)) as store:
            kinds = {kind: store.history(kind) for kind in KINDS}
            for first in range(0, wanted, 500):
                with store.turn():
                    for number in range(first, first + 500):
                        store.append(like(entry, number) for entry in kinds[KINDS[number % 10]])


def like(entry: Entry, number: int) -> Entry:
    """Return the same entry of another saga."""
    event, cause = (each and f"{each[:20]}{number:012d}" for each in (entry.event_id, entry.causation_id))
    offset = entry.offset if entry.offset < 0 else entry.offset + 20 * (number + 1)
    return entry._replace(saga_id=f"m-{number}", event_id=event, causation_id=cause, offset=offset)

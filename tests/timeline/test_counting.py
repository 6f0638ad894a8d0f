"""``choreo sagas --count``: what is counted by last rows alone, and what needs whole timelines."""

from __future__ import annotations

from random import Random

import pytest

from choreo.outcome import CANCEL, START
from choreo.records import Entry
from choreo.timeline.selection import Filter, Timelines
from choreo.timeline.source import MemorySource

STATES = ("started", "pending", "compensating", "completed", "failed")
FILTERS = [
    Filter(is_unended=True),
    Filter(is_unended=True, version=2),
    Filter(is_unended=True, saga_type="order", version=1),
    Filter(states=("pending",)),
    Filter(states=("compensating", "started"), version=1),
    Filter(states=("completed",)),
    Filter(is_unended=True, participant="p0"),
    Filter(needing="p1"),
    Filter(is_unended=True, older_than=500),
]


class CountingSource(MemorySource):
    """One that counts the sagas of which all rows are read."""

    read = 0

    def views(self, saga_id: str):  # type: ignore[no-untyped-def]
        """Return the views, and count."""
        self.read += 1
        return super().views(saga_id)


def sources(random: Random, many: int, sagas: int) -> list[CountingSource]:
    """Return stores that have read each saga more or less far; some are only cancelled."""
    rows: list[list[tuple[int, Entry]]] = [[] for _ in range(many)]
    for number in range(sagas):
        key = f"s{number}", random.choice(("order", "return"))
        version, state = random.choice((1, 2)), random.choice(STATES)
        is_only_cancelled = state == "compensating" and random.random() < 0.5
        for each in rows:
            if random.random() < 0.1:
                continue
            now = random.choice(STATES) if random.random() < 0.1 else state
            step = CANCEL if is_only_cancelled else START
            event = (f"{key}/{step}", "E", "succeeded", "start", "p0", "", "t", 0, number, 1)
            each.append(
                (number, Entry(*key, version, now, number, "event", step, "pending", "completed", *event))
            )
    return [CountingSource(f"p{each}", f"p{each}.db", found) for each, found in enumerate(rows)]


@pytest.mark.parametrize("many", [1, 2, 5])
@pytest.mark.parametrize("wanted", FILTERS)
def test_as_many_are_counted_as_are_chosen(many: int, wanted: Filter) -> None:
    found = sources(Random(many), many, 60)
    timelines = Timelines(found, {}, 1_000)

    assert timelines.count(wanted) == len(list(timelines.chosen(wanted)))


def test_of_sagas_of_which_all_stores_say_the_same_no_more_is_read() -> None:
    """But of those that may be only cancelled."""
    stores = sources(Random(0), 1, 500)
    timelines = Timelines(stores, {}, 1_000)
    undone = sum(head.state == "compensating" for head in stores[0].unended())

    assert timelines.count(Filter(is_unended=True)) > undone
    assert stores[0].read == undone

"""``Shown``: the stores of a page as they are while it is made, those that can't be read told apart."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from choreo.dashboard.settings import Settings
from choreo.errors import ChoreoError
from choreo.operations.stores import places_of, reader_at
from choreo.store.opening import shown
from choreo.store.reader import TableReader
from choreo.timeline.selection import Timelines


class Away(NamedTuple):
    """A store that can't be read, and why."""

    path: str
    error: ChoreoError


class Read(NamedTuple):
    """A store that is read; ``place`` is what it was opened by."""

    participant: str
    path: str
    store: TableReader
    place: str


class Shown(NamedTuple):
    """The stores of a page; ``now`` is in milliseconds since the epoch."""

    read: Sequence[Read]
    away: Sequence[Away]
    timelines: Timelines
    now: int


@contextmanager
def open_shown(settings: Settings) -> Iterator[Shown]:
    """Open all stores to read them. Raises `ConfigurationError` where two are of one participant."""
    away: list[Away] = []
    found: list[Read] = []
    with ExitStack() as opened:
        for place in places_of(settings.stores):
            try:
                reader = reader_at(place, opened)
            except ChoreoError as error:
                away.append(Away(shown(place), error))
            else:
                found.append(Read(reader.participant, reader.path, reader, place))
        found.sort(key=lambda each: (each.participant, each.path))
        now = time.time_ns() // 1_000_000
        timelines = Timelines([each.store for each in found], settings.graphs, now)
        yield Shown(found, away, timelines, now)

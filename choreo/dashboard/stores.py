"""``Stores``: a page's stores as they are while it is made, those that can't be read told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic, time_ns
from types import MappingProxyType
from typing import Final, NamedTuple

from choreo.dashboard.settings import Settings
from choreo.errors import ChoreoError
from choreo.operations.stores import places_of, reader_at
from choreo.store.opening import shown
from choreo.store.reader import TableReader
from choreo.timeline.selection import Timelines

_NONE: Final[Mapping[str, ChoreoError]] = MappingProxyType({})


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


_SLOW: Final = 1.0
"""Seconds after which a store that could not be opened is not asked for again at once."""

_PAUSE: Final = 15.0
"""Seconds for which it isn't: each page would wait for it."""


class Stores:
    """The stores of an application, opened for each page anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._absent: dict[str, tuple[float, Away]] = {}

    @contextmanager
    def open(self, broken: Mapping[str, ChoreoError] = _NONE) -> Iterator[Shown]:
        """Open all stores to read them, but for those that are ``broken``, by their paths.

        Raises `ConfigurationError` where two are of one participant.
        """
        away: list[Away] = []
        found: list[Read] = []
        with ExitStack() as opened:
            for place in places_of(self._settings.stores):
                one = self._opened(place, opened)
                if isinstance(one, Read) and one.path in broken:
                    one = Away(one.path, broken[one.path])
                if isinstance(one, Read):
                    found.append(one)
                else:
                    away.append(one)
            found.sort(key=lambda each: (each.participant, each.path))
            now = time_ns() // 1_000_000
            timelines = Timelines([each.store for each in found], self._settings.graphs, now)
            yield Shown(found, away, timelines, now)

    def _opened(self, place: str, opened: ExitStack) -> Read | Away:
        until, absent = self._absent.get(place, (0.0, None))
        begun = monotonic()
        if absent and begun < until:
            return absent
        try:
            reader = reader_at(place, opened)
        except ChoreoError as error:
            away = Away(shown(place), error)
            if monotonic() - begun > _SLOW:
                self._absent[place] = monotonic() + _PAUSE, away
            return away
        return Read(reader.participant, reader.path, reader, place)

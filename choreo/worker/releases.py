"""``Releases``: compares what a worker is started with to what the last one ran with."""

from __future__ import annotations

from choreo.participant import Participant
from choreo.ports import Clock, Codec, Store
from choreo.release import declared, release_of


class Releases:
    """The releases of one participant's store, of which its worker begins another where something differs."""

    def __init__(self, participant: Participant, store: Store, codec: Codec, clock: Clock) -> None:
        self._participant = participant
        self._store = store
        self._codec = codec
        self._clock = clock

    def begin(self) -> None:
        """Add the declarations of today to the store, inside a turn, where they are others than the last."""
        newest = self._store.newest_release()
        today = declared(self._participant, self._codec.schemas())
        release = release_of(today, self._clock.now(), self._store.positions())
        if newest is None or newest.digest != release.digest:
            self._store.add_release(release)

"""``ReleasedAt``: runs sagas in which participants are replaced by their next releases meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

from choreo.cloudevents import read
from choreo.participant import Participant
from choreo.testing.harness import Harness

Go = Callable[[Harness], None]
"""Runs what was started in a harness to its end."""


class ReleasedAt:
    """Runs a harness, and releases a participant before a move of its own, the ``moment``-th, or at rest.

    ``early`` are the other participants whose next releases come before everything else; those of the rest
    come at rest. ``was_reached``: the participant has made so many moves.
    """

    def __init__(self, released: Participant, moment: int, early: Sequence[Participant]) -> None:
        self._released = released
        self._moment = moment
        self._early = early
        self.was_reached = False

    def __call__(self, harness: Harness) -> None:
        """Run the harness to its end."""
        harness.release(*self._early)
        harness.run(until=lambda: self._is_reached(harness))
        self.was_reached = self._is_reached(harness)
        if self._released.name in harness.coming:
            harness.release(self._released)
        harness.run()

    def _is_reached(self, harness: Harness) -> bool:
        own = f"{self._released.name}: "
        return sum(move.startswith(own) for move in harness.moves) >= self._moment


def moments(releases: Sequence[Participant]) -> Iterator[ReleasedAt]:
    """Yield every moment at which each release may come; each one has to be run before the next."""
    for released in releases:
        others = [each for each in releases if each is not released]
        for early in (others, []) if others else ([],):
            for moment in count():
                yield (last := ReleasedAt(released, moment, early))
                if not last.was_reached:
                    break


def restarted(harness: Harness) -> None:
    """Run a harness, and replace every participant by itself after each event of the topics.

    No call is under way at such a moment, as one that is cut off counts as an attempt.
    """
    seen: set[str] = set()

    def has_news() -> bool:
        is_calling = any(process.calls.has_any for process in harness.processes.values())
        latest = harness.broker.latest
        return latest is not None and read(latest).id not in seen and not is_calling

    harness.run(until=has_news)
    while has_news():
        seen.update(event.id for event in harness.events())
        harness.release(*(process.participant for process in harness.processes.values()))
        harness.run(until=has_news)

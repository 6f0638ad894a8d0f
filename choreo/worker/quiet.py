"""``Quiet``: when what is under suspicion may run: once all else is done, so that it harms nothing else."""

from __future__ import annotations

import sys

from choreo.ports import Clock

_IDLE_TURNS = 20
"""So many turns without work, for each end of the process: the events just published have come back."""

_LONGEST = 5.0
"""Seconds after which it runs all the same, beside work that never pauses."""


class Quiet:
    """Counts idle turns while rows wait that were under way at an end of the process.

    Once it was quiet for long enough, the rows may run that have seen as many ends: all those of one end, and
    one of those of several.
    """

    def __init__(self, clock: Clock) -> None:
        self.is_awaited = False
        self._clock = clock
        self._idle = 0
        self._allowed = 0
        self._since: float | None = None

    def allows(self, deaths: int) -> bool:
        """Whether a row may run that was under way at so many ends of the process."""
        self.is_awaited = deaths > self._allowed
        return not self.is_awaited

    def note(self, *, is_live: bool, is_idle: bool) -> None:
        """Note a turn, while quiet is awaited: whether anything is live, and nothing was to be done.

        It may never be quiet where a partition can't be read; the sagas of others don't wait for that.
        """
        self._idle = self._idle + 1 if is_idle else 0
        self._allowed = max(self._allowed, self._idle // _IDLE_TURNS)
        if is_live and self._since is None:
            self._since = self._clock.monotonic()
        if self._since is not None and self._clock.monotonic() - self._since > _LONGEST:
            self._allowed = sys.maxsize

    def start_anew(self) -> None:
        """Let the next row of several ends wait, too, until the events of this one have come back."""
        self._idle = 0
        self._allowed = min(self._allowed, 1)

    def end(self) -> None:
        """Forget what was, as no row waits."""
        self.is_awaited = False
        self._idle = self._allowed = 0
        self._since = None

"""``Clocks``: the clocks that stamp records, compared with this host's, as timeouts count by both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from choreo.ports import Clock
from choreo.records import Record, record_time
from choreo.worker.item import TriggerEvent

TOLERANCE: Final = 30_000
"""Milliseconds by which the time of a record that has just come may differ from this host's."""

_FEW: Final = 20
"""So many records are compared in any turn; of more, those of one turn a second."""

_MOST: Final = 100
"""So many participants are remembered, whatever records name."""

_BROKER: Final = "the broker"

log = logging.getLogger("choreo.worker")


class Clocks:
    """Notices that a clock which stamps records differs from this host's, and warns once of each.

    It is shown records when they come, live. ``stamped_by_broker`` tells of a topic whether its broker stamps
    the records; else the participant does that is named in their ``ce_source``.
    """

    def __init__(self, participant: str, clock: Clock, stamped_by_broker: Callable[[str], bool]) -> None:
        self._participant = participant
        self._clock = clock
        self._stamped_by_broker = stamped_by_broker
        self._off: dict[str, int] = {}
        self._began = float("inf")
        self._next = 0.0

    def look(self, records: Sequence[Record]) -> None:
        """Compare the times of records that have just come."""
        monotonic = self._clock.monotonic()
        if len(records) > _FEW and monotonic < self._next:
            return
        self._next = monotonic + 1
        now, nearest = self._clock.now(), dict[str, int]()
        for record in records:
            off = record.timestamp - now
            if self._off or not -TOLERANCE <= off <= TOLERANCE:
                off = record_time(record.timestamp, now) - now
                whose = self._whose(record.topic, _source(record))
                nearest[whose] = min(nearest.get(whose, off), off, key=abs)
        for whose, off in nearest.items():
            self._note(whose, off)

    def was_set_back(self, monotonic: float) -> bool:
        """Whether this host's clock was set back since this was last asked; ``monotonic`` is the time now.

        It may have been when this is asked first, as nobody knows what time the last process had.
        """
        before, self._began = self._began, self._clock.now() / 1000 - monotonic
        return self._began < before - 1

    def blame(self, trigger: TriggerEvent) -> str:
        """Return whose clock an event was stamped by, if it differs; empty where it is as this host's."""
        whose = self._whose(trigger.topic, trigger.envelope.source)
        off = self._off.get(whose)
        return f"by a clock that is {_span(off)} this host's (that of {whose}){_unless(off)}" if off else ""

    def _note(self, whose: str, off: int) -> None:
        if -TOLERANCE <= off <= TOLERANCE:
            self._off.pop(whose, None)
        elif whose != self._participant and (whose in self._off or len(self._off) < _MOST):
            if whose not in self._off:
                text = "the clock of %s is %s this host's%s: timeouts and deadlines count by both"
                log.warning(text, whose, _span(off), _unless(off))
            self._off[whose] = off

    def _whose(self, topic: str, source: str) -> str:
        return _BROKER if self._stamped_by_broker(topic) else source


def _source(record: Record) -> str:
    """Return who says to have published a record, of which nothing is checked yet."""
    found = next((value for name, value in record.headers if name == "ce_source"), None) or b"?"
    return ascii(found[:60].decode("utf-8", "replace"))[1:-1]


def _unless(off: int) -> str:
    """Return what else may be the cause of a difference: only an event of the past can have waited."""
    return ", unless its events were held up" if off < 0 else ""


def _span(milliseconds: int) -> str:
    """Return a difference of times in words.

    >>> _span(-7_200_000)
    '2:00:00 behind'
    """
    longest = timedelta(days=9999)  # a forged time may be further away than a timedelta holds
    seconds = min(abs(milliseconds) // 1000, longest.total_seconds())
    return f"{timedelta(seconds=seconds)} {'behind' if milliseconds < 0 else 'ahead of'}"

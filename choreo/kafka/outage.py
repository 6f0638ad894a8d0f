"""``Outage``: tells of a cluster that does not answer once, and not at every attempt to reach it."""

from __future__ import annotations

import logging
import time
from typing import Final

from confluent_kafka import KafkaError

INTERVAL: Final = 60.0
"""Seconds from one line about the same outage to the next."""

_QUIET: Final = 5.0
"""Seconds without an error after which an answer ends the outage: a part of the cluster may be away."""

_log = logging.getLogger("choreo.kafka")


class Outage:
    """What a worker's clients tell of the cluster: each error, and each answer."""

    def __init__(self) -> None:
        self._since = 0.0
        self._said = 0.0
        self._last = 0.0
        self._count = 0

    def error(self, error: KafkaError) -> None:
        """Take an error that waiting resolves; the first is told, and from then on their number."""
        now = time.monotonic()
        self._since = self._since or now
        self._last = now
        self._count += 1
        if not self._said and not _is_idle(error):
            self._said = now
            _log.warning("the cluster does not answer: %s; the worker waits, nothing is lost", error.str())
        elif self._said and now - self._said >= INTERVAL:
            self._said = now
            _log.warning(
                "the cluster does not answer, for %.0f s: %d errors, the last: %s",
                now - self._since,
                self._count,
                error.str(),
            )

    def answer(self) -> None:
        """Take a sign of life; it ends an outage in which no error came for a while."""
        if not self._since:
            return
        now = time.monotonic()
        if now - self._last < _QUIET:
            return
        if self._said:
            _log.warning("the cluster answers again, after %.0f s", now - self._since)
        self._since = self._said = 0.0
        self._count = 0


def _is_idle(error: KafkaError) -> bool:
    """Whether an error alone says little: a broker closed a connection that was not used, say."""
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        return True
    return error.code() == KafkaError._TRANSPORT and "Disconnected" in error.str()

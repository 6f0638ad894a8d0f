"""``Options``: the options of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from choreo.retry import Retry
from choreo.worker.partitions import From


@dataclass(frozen=True)
class Options:
    """The options of a worker.

    ``turn_items`` and ``turn_seconds`` bound a turn, so that other writers of the service's database need not
    wait long: by default 20 ms where it locks the whole database, 50 ms where it locks rows.
    ``idle_seconds`` is the longest wait for the log, and so the longest delay of a saga that another process
    starts. ``in_flight`` bounds the publications that the log has not acknowledged, ``sagas_in_memory`` the
    cached sagas. ``start`` is the position from which a participant that is new to a topic acts; it folds the
    whole topic in any case. ``flush_seconds`` bounds the wait for acknowledgements at a graceful stop,
    ``drain_seconds`` that for calls under way. ``calls`` bounds the actions that run outside of the
    transaction at the same time, and likewise the compensations; the others wait in the store.
    ``redact`` keeps the texts of exceptions out of the store. Without ``starts`` the worker takes part in the
    sagas that are in flight and publishes no start of another one: those wait in the outbox. ``retire`` are
    names of steps, observers and deadlines that are not declared any more: what sagas still need of them
    becomes dead letters.

    After a process that ended without a stop, or a turn that was lost, a worker is careful for a while: each
    handler runs in a turn of its own, so that the one that is to blame is known. It is trusted again after
    ``trust_seconds``.
    """

    turn_items: int = 500
    turn_seconds: float | None = None
    idle_seconds: float = 0.025
    flush_seconds: float = 5.0
    drain_seconds: float = 0.0
    sagas_in_memory: int = 20_000
    in_flight: int = 10_000
    calls: int = 200
    start: From = "earliest"
    redact: bool = False
    starts: bool = True
    retire: tuple[str, ...] = ()
    trust_seconds: float = 60.0
    schema_retry: Retry = Retry(attempts=6, delay=timedelta(seconds=1))  # noqa: RUF009 (frozen)

    def seconds_of_turn(self, *, locks_all: bool) -> float:
        """Return how long a turn may last, where it locks the whole database or not."""
        if self.turn_seconds is not None:
            return self.turn_seconds
        return 0.02 if locks_all else 0.05

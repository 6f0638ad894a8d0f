"""A participant's way to its simulated store: for the test, in place of ``choreo.connect``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from choreo.client.connection import StoreConnection
from choreo.errors import StoreError
from choreo.participant import Status
from choreo.saga import Saga
from choreo.testing.clock import VirtualClock
from choreo.testing.seat import Seat
from choreo.worker.transaction import LocalTransaction

Run = Callable[[Callable[[], bool], int], None]
"""Runs the simulation until a condition holds, or a time (ms) has come."""


class SimulatedConnection(StoreConnection):
    """Works on the store of a seat; `wait` lets the simulation go on meanwhile."""

    def __init__(self, seat: Seat, clock: VirtualClock, new_id: Callable[[], str], run: Run) -> None:
        super().__init__(seat.participant, lambda: seat.store, seat.codec, clock, new_id)
        self._seat = seat
        self._run = run

    @contextmanager
    def transaction(self) -> Iterator[LocalTransaction]:
        """Open a transaction, and let the worker know of it."""
        with super().transaction() as opened:
            yield opened
        self._seat.fragile.was_touched = True

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | None = None) -> Status | None:
        """Let the simulation go on until a saga has ended, for ``timeout`` of virtual time at most."""
        if getattr(self._local, "in_transaction", False):
            raise StoreError("wait() inside of a transaction would never see the end", hint="commit first")

        def has_ended() -> bool:
            status = self.status(saga_id, saga)
            return status is not None and status.is_ended

        self._run(has_ended, self._clock.now() + round(timeout.total_seconds() * 1000))
        return self.status(saga_id, saga)

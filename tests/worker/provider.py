"""A slow service in the world, and hotels that call it outside of the transaction."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from choreo import Aborted, Context, Participant, Retry
from tests.worker.rig import Rig
from tests.worker.services import SECOND
from tests.worker.trip import (
    FlightCancelled,
    FlightFull,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripRequested,
    trip,
)

BUSY = ConnectionError("busy")
TWICE = Retry(attempts=2, delay=10 * SECOND)
PATIENCE = 60.0


class Provider:
    """A slow service in the world. Each request waits until the test answers it.

    An answer is given to one waiting request after the other: an exception, or None for "done".
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.attempts: list[int] = []
        self.contexts: list[Context] = []
        self.ended: list[str] = []
        self.wrong: Any = None
        self._changed = threading.Condition()
        self._answers: list[BaseException | None] = []

    def ask(self, ctx: Context) -> None:
        """Wait for an answer, in a thread."""
        self._came(ctx)
        with self._changed:
            assert self._changed.wait_for(lambda: self._answers, PATIENCE)
            answer = self._answers.pop(0)
        if answer is not None:
            raise answer

    async def ask_async(self, ctx: Context) -> None:
        """Wait for an answer, in a coroutine."""
        try:
            self._came(ctx)
            while not self._answers:
                await asyncio.sleep(0)
            answer = self._answers.pop(0)
            if answer is not None:
                raise answer
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    def answer(self, *answers: BaseException | None) -> None:
        """Answer requests, now or when they come."""
        with self._changed:
            self._answers += answers
            self._changed.notify_all()

    def _came(self, ctx: Context) -> None:
        self.keys.append(ctx.idempotency_key)
        self.attempts.append(ctx.attempt)
        self.contexts.append(ctx)


Hotel = Callable[..., Participant]


def hotel(
    provider: Provider,
    *,
    retry: Retry = TWICE,
    timeout: timedelta | None = None,
    partial: bool | None = None,
    undo: Provider | None = None,
) -> Participant:
    """Make the hotel of the trip, whose booking is a coroutine; its cancellation too where ``undo`` is."""
    participant = Participant("hotel", sagas=[trip], retry=retry)

    @participant.action(fails=HotelFull, timeout=timeout, partial=partial)
    async def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        await provider.ask_async(ctx)
        return provider.wrong or HotelBooked(event.trip)

    undone(participant, book, undo)
    return participant


def blocking_hotel(
    provider: Provider,
    *,
    retry: Retry = TWICE,
    timeout: timedelta | None = None,
    partial: bool | None = None,
    undo: Provider | None = None,
) -> Participant:
    """Make the same hotel with a function that blocks."""
    participant = Participant("hotel", sagas=[trip], retry=retry)

    @participant.action(fails=HotelFull, timeout=timeout, partial=partial, blocking=True)
    def book(event: TripRequested, ctx: Context) -> HotelBooked | HotelFull:
        provider.ask(ctx)
        return provider.wrong or HotelBooked(event.trip)

    undone(participant, book, undo)
    return participant


def undone(participant: Participant, book: Any, undo: Provider | None) -> None:
    if undo is None:

        @participant.compensation(of=book)
        def cancel(
            event: FlightFull | FlightCancelled | Aborted, booked: HotelBooked | None, ctx: Context
        ) -> HotelCancelled:
            return HotelCancelled(ctx.saga_id, "with a booking" if booked else "without")
    else:

        @participant.compensation(of=book)
        async def cancel_slowly(
            event: FlightFull | FlightCancelled | Aborted, booked: HotelBooked | None, ctx: Context
        ) -> HotelCancelled:
            await undo.ask_async(ctx)
            return HotelCancelled(ctx.saga_id)


def until(rig: Rig, condition: Callable[[], bool]) -> None:
    """Let the worker go round until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        rig.worker.turn()
        assert time.monotonic() < deadline, rig.history()


def quiet(rig: Rig) -> bool:
    """Whether nothing is scheduled, waiting or out."""
    lanes = ("turn", "call", "out")
    return all(rig.store.next_due(lane) is None for lane in lanes)  # type: ignore[arg-type]


def asked(rig: Rig, provider: Provider, times: int = 1) -> None:
    """Let the worker go round until the provider has been asked so often."""
    until(rig, lambda: len(provider.keys) == times)

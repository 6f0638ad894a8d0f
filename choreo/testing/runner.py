"""``SimulatedCalls``: runs the handlers that are called outside of a transaction, step by step."""

from __future__ import annotations

import asyncio
from collections import deque

from choreo.testing.clock import VirtualClock
from choreo.testing.loop import VirtualLoop
from choreo.worker.calls import Call, Finished


class SimulatedCalls:
    """Implements `choreo.worker.calls.Runner`: a call goes on only when the simulation steps it.

    Coroutines of one participant share an event loop on virtual time; a function that blocks is called whole,
    in its place.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.finished: deque[Finished] = deque()
        self._clock = clock
        self._blocking: deque[Call] = deque()
        self._tasks: dict[Call, asyncio.Task[Finished]] = {}
        self._loop: VirtualLoop | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a step would do anything now."""
        return bool(self._blocking) or (self._loop is not None and self._loop.is_ready)

    @property
    def has_any(self) -> bool:
        """Whether any call is out."""
        return bool(self._blocking or self._tasks or self.finished)

    @property
    def wakes_at(self) -> int | None:
        """When a step would do something, in milliseconds since the epoch; None where a call never would."""
        return self._loop.wakes_at if self._loop else None

    def step(self) -> None:
        """Call one function that blocks, or let every coroutine go on to its next wait."""
        if self._blocking:
            self.finished.append(self._blocking.popleft().blocking())
        elif self._loop is not None:
            self._loop.step()

    def start(self, call: Call) -> None:
        """Let a call wait for its first step."""
        if call.handler.runs == "thread":
            self._blocking.append(call)
            return
        self._loop = self._loop or VirtualLoop(self._clock)
        task = self._tasks[call] = self._loop.create_task(call.awaited())
        task.add_done_callback(lambda done: self._landed(call, done))

    def cancel(self, call: Call) -> None:
        """Cancel a coroutine; a function that blocks can't be."""
        if call in self._tasks:
            self._tasks[call].cancel()

    def stop(self, seconds: float = 0.0) -> None:
        """End everything at once: the process that called is gone."""
        del seconds
        self._blocking.clear()
        if self._loop is not None:
            self._loop.end()
            self._loop = None
        self.finished.clear()

    def _landed(self, call: Call, task: asyncio.Task[Finished]) -> None:
        del self._tasks[call]
        cancelled = task.cancelled()  # before its first step
        self.finished.append(Finished(call, error=asyncio.CancelledError()) if cancelled else task.result())

"""Virtual time: a clock that the simulation advances, an event loop on it, and the calls on the loop."""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from choreo.errors import ConfigurationError
from choreo.worker.calls import Call, Finished

NOON = 1_700_000_000_000
"""When every simulation begins, in milliseconds since the epoch."""


class VirtualClock:
    """Implements `choreo.ports.Clock`.

    >>> clock = VirtualClock()
    >>> begun = clock.now()
    >>> clock.advance(1.5)
    >>> clock.now() - begun
    1500
    """

    def __init__(self, now: int = NOON) -> None:
        self._now = now

    def now(self) -> int:
        """Return the milliseconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the time in seconds; a slow machine never cuts a turn short."""
        return self._now / 1000

    def advance(self, seconds: float) -> None:
        """Advance the time."""
        self._now += round(seconds * 1000)

    def advance_to(self, time: int) -> None:
        """Advance the time to ``time`` (ms), unless it is past already."""
        self._now = max(self._now, time)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that runs only when it is stepped: without threads, waiting, or the network.

    `asyncio.sleep` and timeouts cost virtual time. What is given to a thread (`asyncio.to_thread`) runs at
    once, in its place. Opening a connection is refused: a simulation has nobody to talk to.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_NoIO())
        self._clock = clock
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._is_stirred = False
        self._hurries = False
        # A timer is due when its time has come to half a millisecond: a float of this size holds no less.
        self._clock_resolution = 0.0005
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Return the virtual time in seconds; infinity once everything is to end."""
        return math.inf if self._hurries else self._clock.now() / 1000

    @property
    def is_ready(self) -> bool:
        """Whether a step would do anything now."""
        return self._is_stirred or (bool(self._next_timer()) and self._is_due(self._timers[0][0]))

    @property
    def wakes_at(self) -> int | None:
        """When the next sleep is over, in milliseconds since the epoch."""
        return round(self._timers[0][0] * 1000) if self._next_timer() else None

    def step(self) -> None:
        """Run each task that is ready up to its next wait."""
        self._is_stirred = False
        while self._next_timer() and self._is_due(self._timers[0][0]):
            heapq.heappop(self._timers)  # it is run now
        super().call_soon(self.stop)
        self.run_forever()

    def end(self) -> None:
        """Cancel all tasks, run them to their end without any waiting, and close the loop."""
        self._hurries = True
        for task in asyncio.all_tasks(self):
            task.cancel()
        for _ in range(1000):
            if not asyncio.all_tasks(self):
                break
            self.step()
        self.close()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Schedule a callback, and note that a step would run it."""
        self._is_stirred = True
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Schedule a callback, and note its time."""
        handle = super().call_at(when, callback, *args, context=context)
        heapq.heappush(self._timers, (when, len(self._timers), handle))
        return handle

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Call a blocking function here and now."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def create_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `ConfigurationError`: an answer of the network would not be the same in the next run."""
        raise ConfigurationError(
            "a handler opens a connection, and a simulation has no network",
            hint="give the handler's client a stub in memory for the test",
        )

    def _is_due(self, when: float) -> bool:
        return when < self.time() + self._clock_resolution

    def _next_timer(self) -> bool:
        """Whether there is a timer, once those that were cancelled are dropped."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return bool(self._timers)


class _NoIO(selectors.BaseSelector):
    """A selector for a loop that never waits for a file or a socket."""

    def __init__(self) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register what the loop itself would wait for."""
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileobj] = key = selectors.SelectorKey(fileobj, descriptor, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Unregister it."""
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return no events, at once."""
        del timeout
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return what is registered."""
        return self._keys


class SimulatedCalls:
    """Runs the handlers that are called outside of a transaction; a call proceeds only when it is stepped.

    Implements `choreo.worker.calls.Runner`. Coroutines of a participant share an event loop on virtual time;
    a blocking function is called as one step.
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
            self.finished.append(self._blocking.popleft().run())
        elif self._loop is not None:
            self._loop.step()

    def start(self, call: Call) -> None:
        """Let a call wait for its first step."""
        if call.handler.runs == "thread":
            self._blocking.append(call)
            return
        self._loop = self._loop or VirtualLoop(self._clock)
        task = self._tasks[call] = self._loop.create_task(call.run_async())
        task.add_done_callback(lambda done: self._finish(call, done))

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

    def _finish(self, call: Call, task: asyncio.Task[Finished]) -> None:
        del self._tasks[call]
        cancelled = task.cancelled()  # before its first step
        self.finished.append(Finished(call, error=asyncio.CancelledError()) if cancelled else task.result())

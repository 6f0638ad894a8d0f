"""Virtual time: a clock that the simulation advances, an event loop on it, and the calls on the loop."""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from choreo.errors import ConfigurationError, LifespanError
from choreo.worker.calls import Call, Finished
from choreo.worker.lifespan import Lifespan

_MOST_STEPS = 1000
"""How many steps of an event loop a task may take to begin, or to end."""

NOON = 1_700_000_000_000
"""The time at which every simulation begins, in milliseconds since the epoch."""


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
        """Return the virtual time in seconds, so that a slow machine never shortens a turn."""
        return self._now / 1000

    def advance(self, seconds: float) -> None:
        """Advance the time."""
        self._now += round(seconds * 1000)

    def advance_to(self, time: int) -> None:
        """Advance the time to ``time`` (ms), unless it is past already."""
        self._now = max(self._now, time)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that runs only when it is stepped: without threads, waiting, or the network.

    `asyncio.sleep` and timeouts take virtual time. A function for a thread (`asyncio.to_thread`) is called at
    once in this thread. Opening a connection is refused, as a simulation has no network.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_NoIO())
        self._clock = clock
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._is_stirred = False
        self._hurries = False
        # A timer is due at half a millisecond before its time, as a float of this size is not more precise.
        self._clock_resolution = 0.0005
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Return the virtual time in seconds, infinity once `end` is called."""
        return math.inf if self._hurries else self._clock.now() / 1000

    @property
    def is_ready(self) -> bool:
        """Whether a step would do anything now."""
        return self._is_stirred or (bool(self._next_timer()) and self._is_due(self._timers[0][0]))

    @property
    def wakes_at(self) -> int | None:
        """The time of the next timer, in milliseconds since the epoch, or None."""
        return round(self._timers[0][0] * 1000) if self._next_timer() else None

    def step(self) -> None:
        """Run each task that is ready up to its next wait."""
        self._is_stirred = False
        while self._next_timer() and self._is_due(self._timers[0][0]):
            heapq.heappop(self._timers)  # its callback runs now
        super().call_soon(self.stop)
        with _suspended():
            self.run_forever()

    def end(self) -> None:
        """Cancel all tasks, run them to their end without any waiting, and close the loop."""
        self._hurries = True
        for task in asyncio.all_tasks(self):
            task.cancel()
        for _ in range(_MOST_STEPS):
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
        """Call a blocking function at once in this thread."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def create_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `ConfigurationError`, as responses of a network are not reproducible."""
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


@contextmanager
def _suspended() -> Iterator[None]:
    """Suspend the loop that runs in this thread, that of an async test, so that another may run inside."""
    outer = asyncio._get_running_loop()
    if outer is None:
        yield
        return
    task = asyncio.current_task(outer)
    if task is not None:
        asyncio._leave_task(outer, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
        if task is not None:
            asyncio._enter_task(outer, task)


class _NoIO(selectors.BaseSelector):
    """A selector for a loop that never waits for a file or a socket."""

    def __init__(self) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register a file of the loop itself."""
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
        """Return the registered files."""
        return self._keys


class SimulatedCalls:
    """Runs the handlers outside of transactions; a call proceeds only when it is stepped.

    Implements `choreo.worker.calls.Runner`. Coroutines of a participant share an event loop on virtual time;
    a blocking function is called as one step.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.finished: deque[Finished] = deque()
        self._clock = clock
        self._blocking: deque[Call] = deque()
        self._tasks: dict[Call, asyncio.Task[Finished]] = {}
        self._loop: VirtualLoop | None = None
        self._lifespan: Lifespan | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a step would do anything now."""
        return bool(self._blocking) or (self._loop is not None and self._is_awake and self._loop.is_ready)

    @property
    def has_any(self) -> bool:
        """Whether any call is under way."""
        return bool(self._blocking or self._tasks or self.finished)

    @property
    def wakes_at(self) -> int | None:
        """The time of the next effective step, in milliseconds since the epoch, or None."""
        return self._loop.wakes_at if self._loop and self._is_awake else None

    @property
    def _is_awake(self) -> bool:
        """Whether the loop goes on: a lifespan's own tasks would never let a simulation come to rest."""
        return self._lifespan is None or bool(self._tasks)

    def enter(self, lifespan: Lifespan, stopping: threading.Event) -> None:
        """Enter a lifespan; the time that it takes passes at once."""
        del stopping
        self._lifespan = lifespan
        self._loop = self._loop or VirtualLoop(self._clock)
        lifespan.enter(self._loop)
        if not self._run_until(lifespan.entered.done, self._loop):
            raise LifespanError(
                f"{lifespan.name}: its lifespan does not yield in {_MOST_STEPS:,} steps",
                hint="what it waits for never comes in a test: let the test replace what it opens",
            )

    def step(self) -> None:
        """Call one blocking function, or run every coroutine up to its next wait."""
        if self._blocking:
            self.finished.append(self._blocking.popleft().run())
        elif self._loop is not None:
            self._loop.step()

    def start(self, call: Call) -> None:
        """Add a call, which begins with the next step."""
        if call.handler.runs == "thread":
            self._blocking.append(call)
            return
        self._loop = self._loop or VirtualLoop(self._clock)
        task = self._tasks[call] = self._loop.create_task(call.run_async())
        task.add_done_callback(lambda done: self._finish(call, done))

    def cancel(self, call: Call) -> None:
        """Cancel a coroutine; a blocking function can't be cancelled."""
        if call in self._tasks:
            self._tasks[call].cancel()

    def stop(self, seconds: float = 0.0) -> None:
        """End all calls at once, as the end of their process does.

        The lifespan is left in ``seconds`` of virtual time, or cancelled where there are none.
        """
        self._blocking.clear()
        if self._loop is not None:
            if self._lifespan is not None and seconds:
                left = self._loop.create_task(self._lifespan.leave(seconds))
                self._run_until(left.done, self._loop)
            self._loop.end()
            self._loop = None
        self.finished.clear()

    def _run_until(self, is_done: Callable[[], bool], loop: VirtualLoop) -> bool:
        """Run a loop, and let time pass, until a condition holds; whether it does."""
        for _ in range(_MOST_STEPS):
            loop.step()
            if is_done():
                return True
            if not loop.is_ready:
                self._clock.advance_to(loop.wakes_at or 0)
        return False

    def _finish(self, call: Call, task: asyncio.Task[Finished]) -> None:
        del self._tasks[call]
        cancelled = task.cancelled()  # before its first step
        self.finished.append(Finished(call, error=asyncio.CancelledError()) if cancelled else task.result())

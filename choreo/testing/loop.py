"""``VirtualLoop``: an event loop on virtual time, which goes on only when it is stepped."""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from choreo.errors import ConfigurationError
from choreo.testing.clock import VirtualClock


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs coroutines without a thread, without waiting and without the network.

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
        """Give the virtual time in seconds; the far future once everything is to end."""
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
        """Run what is ready, each task up to its next wait."""
        self._is_stirred = False
        while self._next_timer() and self._is_due(self._timers[0][0]):
            heapq.heappop(self._timers)  # it is run now
        super().call_soon(self.stop)
        self.run_forever()

    def end(self) -> None:
        """Cancel what is left, let it end without waiting for anything, and close."""
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
        """Note that there is something to run."""
        self._is_stirred = True
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Note when there will be something to run."""
        handle = super().call_at(when, callback, *args, context=context)
        heapq.heappush(self._timers, (when, len(self._timers), handle))
        return handle

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Call a function that would block, in its place."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def create_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: whatever came back would not be the same the next time."""
        raise ConfigurationError(
            "a handler opens a connection, and a simulation has no network",
            hint="give the handler's client a stub in memory for the test",
        )

    def _is_due(self, when: float) -> bool:
        return when < self.time() + self._clock_resolution

    def _next_timer(self) -> bool:
        """Forget timers that were cancelled; say whether there is one."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return bool(self._timers)


class _NoIO(selectors.BaseSelector):
    """A selector for a loop that waits for nothing outside."""

    def __init__(self) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Note what the loop itself would wait for."""
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileobj] = key = selectors.SelectorKey(fileobj, descriptor, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget it."""
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Say that nothing has come, at once."""
        del timeout
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Give what was noted."""
        return self._keys

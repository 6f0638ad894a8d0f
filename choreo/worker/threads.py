"""``Threads``: runs coroutines on an event loop in one thread, and each blocking function in its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from choreo.worker.calls import Call, Finished
from choreo.worker.failure import detail_of
from choreo.worker.lifespan import Lifespan

_log = logging.getLogger("choreo.worker")

_LONG_START = 5.0
"""A lifespan that takes longer to be entered is worth a warning."""

_SPARE = 1.5
"""Seconds for the event loop to end what was cancelled."""


class Threads:
    """Implements `choreo.worker.calls.Runner`.

    Coroutines share one event loop with the lifespan, started with the first of them. A blocking function
    runs in a daemon thread: unlike those of a pool, it doesn't keep the process from ending while it hangs.
    """

    def __init__(self) -> None:
        self.finished: deque[Finished] = deque()
        self._coroutines: _Coroutines | None = None

    def enter(self, lifespan: Lifespan, stopping: threading.Event) -> None:
        """Enter a lifespan on the event loop; wait until that is done, or until ``stopping``."""
        self._loop_of_calls().enter(lifespan)
        since = time.monotonic()
        is_said = False
        while not stopping.is_set() and not wait([lifespan.entered], 0.05).done:
            if not is_said and time.monotonic() - since > _LONG_START:
                _log.warning("%s: its lifespan has not yielded for %g s", lifespan.name, _LONG_START)
                is_said = True

    def start(self, call: Call) -> None:
        """Start a call."""
        if call.handler.runs == "thread":
            self._start_thread(call)
        else:
            self._loop_of_calls().start(call)

    def cancel(self, call: Call) -> None:
        """Cancel a coroutine; a thread can't be cancelled."""
        if call.handler.runs == "coroutine" and self._coroutines is not None:
            self._coroutines.cancel(call)

    def stop(self, seconds: float) -> None:
        """Cancel the coroutines, and wait ``seconds`` at most until they have ended; abandon the threads.

        Then leave the lifespan, within ``seconds`` as well.
        """
        if self._coroutines is not None:
            self._coroutines.stop(seconds)
            self._coroutines = None

    def _loop_of_calls(self) -> _Coroutines:
        if self._coroutines is None:
            self._coroutines = _Coroutines(self.finished)
        return self._coroutines

    def _start_thread(self, call: Call) -> None:
        name = f"choreo-{call.handler.name}"
        try:
            threading.Thread(target=self._block, args=(call,), name=name, daemon=True).start()
        except RuntimeError as error:  # the system allows no more threads
            self.finished.append(Finished(call, error=error))

    def _block(self, call: Call) -> None:
        self.finished.append(call.run())


class _DaemonThreads(ThreadPoolExecutor):
    """Runs each function in a daemon thread of its own: the threads of a pool would be waited for at exit.

    `asyncio.to_thread` uses it, of which there are no more at a time than calls.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start the function."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="choreo-to-thread", daemon=True).start()
        return future


class _Coroutines:
    """The thread of the event loop; calls that end there are added to ``finished``."""

    def __init__(self, finished: deque[Finished]) -> None:
        self._finished = finished
        self._tasks: dict[Call, asyncio.Task[Finished]] = {}
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_DaemonThreads())
        self._lifespan: Lifespan | None = None
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="choreo-calls", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """Run the loop, also after a task of a handler has stopped it, or has raised SystemExit in it.

        It is closed here, as it may end long after it was left alone.
        """
        while not self._is_stopping:
            try:
                self._loop.run_forever()
            except BaseException as error:
                _log.warning("a task of a handler ended with %s", detail_of(error, redact=True))
        self._loop.close()

    def enter(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan
        self._loop.call_soon_threadsafe(lifespan.enter, self._loop)

    def start(self, call: Call) -> None:
        self._loop.call_soon_threadsafe(self._launch, call)

    def cancel(self, call: Call) -> None:
        self._loop.call_soon_threadsafe(self._cancel, call)

    def stop(self, seconds: float) -> None:
        longest = _SPARE + seconds * (bool(self._tasks) + (self._lifespan is not None))
        ended = asyncio.run_coroutine_threadsafe(self._end_all(seconds), self._loop)
        if not wait([ended], longest).done:
            _log.warning("the event loop of the calls does not end within %g s: it is left alone", longest)
        self._is_stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(min(seconds, _SPARE))

    def _launch(self, call: Call) -> None:
        task = self._loop.create_task(call.run_async())
        self._tasks[call] = task
        task.add_done_callback(lambda done: self._ended(call, done))

    def _ended(self, call: Call, task: asyncio.Task[Finished]) -> None:
        del self._tasks[call]
        if task.cancelled():  # before its first step
            self._finished.append(Finished(call, error=asyncio.CancelledError()))
        else:
            self._finished.append(task.result())

    def _cancel(self, call: Call) -> None:
        if call in self._tasks:
            self._tasks[call].cancel()

    async def _end_all(self, seconds: float) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        if self._lifespan is not None:
            await self._lifespan.leave(seconds)
        await self._loop.shutdown_asyncgens()

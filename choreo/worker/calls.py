"""Calls: handlers that run outside of any transaction, as coroutines or in threads, while turns go on."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from choreo import telemetry
from choreo.participant import Context, Handler
from choreo.ports import Scheduled
from choreo.worker.case import Case
from choreo.worker.limit import Limit


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a handler: its arguments, its row on the schedule, and until when it may last."""

    case: Case
    handler: Handler
    context: Context
    arguments: list[Any]
    row: Scheduled
    limit: Limit
    is_traced: bool = False


class Finished(NamedTuple):
    """How a call ended: with what it returned, or with the error that it raised.

    ``traceparent`` is that of the call's own span, if it was traced.
    """

    call: Call
    result: Any = None
    error: BaseException | None = None
    traceparent: str = ""


class Calls:
    """The calls that are out, ``limit`` at most; for the worker's thread.

    Coroutines share one event loop in a thread of its own, started with the first of them. A function that
    blocks gets a daemon thread: unlike a pool's, it doesn't keep the process from ending while a call hangs.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out: dict[Call, None] = {}
        self._cut: set[Call] = set()
        self._finished: deque[Finished] = deque()
        self._coroutines: _Coroutines | None = None

    @property
    def room(self) -> int:
        """How many more may start; one that was cut takes its place until it has really ended."""
        return self._limit - len(self._out) - len(self._cut)

    @property
    def are_out(self) -> bool:
        """Whether any result is waited for."""
        return bool(self._out)

    @property
    def have_finished(self) -> bool:
        """Whether there are results to take."""
        return bool(self._finished)

    @property
    def next_limit(self) -> int | None:
        """The time at which the first call has lasted too long, in milliseconds since the epoch."""
        limits = (call.limit.until for call in self._out)
        return min((until + 1 for until in limits if until is not None), default=None)

    def start(self, call: Call) -> None:
        """Let a call go."""
        self._out[call] = None
        if call.handler.runs == "thread":
            name = f"choreo-{call.handler.name}"
            threading.Thread(target=self._block, args=(call,), name=name, daemon=True).start()
            return
        if self._coroutines is None:
            self._coroutines = _Coroutines(self._finished)
        self._coroutines.start(call)

    def take(self, most: int) -> list[Finished]:
        """Give results that have come, ``most`` at most; what was cut is forgotten."""
        taken: list[Finished] = []
        while self._finished and len(taken) < most:
            finished = self._finished.popleft()
            if finished.call in self._out:
                del self._out[finished.call]
                taken.append(finished)
            self._cut.discard(finished.call)
        return taken

    def extended(self) -> list[Call]:
        """Give the calls that have asked for more time."""
        return [call for call in self._out if call.limit.asked]

    def overdue(self, now: int) -> list[Call]:
        """Give the calls that have lasted too long."""
        return [call for call in self._out if call.limit.until is not None and now > call.limit.until]

    def cut(self, call: Call) -> None:
        """Wait for a call no longer: a coroutine is cancelled, a thread's result will be ignored."""
        del self._out[call]
        self._cut.add(call)
        call.limit.is_over = True
        if call.handler.runs == "coroutine" and self._coroutines is not None:
            self._coroutines.cancel(call)

    def stop(self, seconds: float) -> None:
        """Cancel the coroutines, and wait ``seconds`` at most until they have ended; abandon the threads."""
        self._out.clear()
        if self._coroutines is not None:
            self._coroutines.stop(seconds)
            self._coroutines = None

    def _block(self, call: Call) -> None:
        self._finished.append(_blocking(call))


class _Coroutines:
    """The event loop's thread; what ends there is added to ``finished``."""

    def __init__(self, finished: deque[Finished]) -> None:
        self._finished = finished
        self._tasks: dict[Call, asyncio.Task[Finished]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="choreo-calls", daemon=True)
        self._thread.start()

    def start(self, call: Call) -> None:
        self._loop.call_soon_threadsafe(self._launch, call)

    def cancel(self, call: Call) -> None:
        self._loop.call_soon_threadsafe(self._cancel, call)

    def stop(self, seconds: float) -> None:
        ended = asyncio.run_coroutine_threadsafe(self._end_all(), self._loop)
        with suppress(TimeoutError):
            ended.result(seconds)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._loop.close()

    def _launch(self, call: Call) -> None:
        task = self._loop.create_task(_awaited(call))
        self._tasks[call] = task
        task.add_done_callback(lambda done: self._landed(call, done))

    def _landed(self, call: Call, task: asyncio.Task[Finished]) -> None:
        del self._tasks[call]
        if task.cancelled():  # before its first step
            self._finished.append(Finished(call, error=asyncio.CancelledError()))
        else:
            self._finished.append(task.result())

    def _cancel(self, call: Call) -> None:
        if call in self._tasks:
            self._tasks[call].cancel()

    async def _end_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()


async def _awaited(call: Call) -> Finished:
    """Await a coroutine handler. Whatever it raises is its result: nothing may end the event loop."""
    trace = ""
    try:
        with _span(call):
            trace = telemetry.traceparent("")
            awaited: Coroutine[Any, Any, Any] = call.handler.function(*call.arguments)
            return Finished(call, await awaited, None, trace)
    except BaseException as error:
        return Finished(call, None, error, trace)


def _blocking(call: Call) -> Finished:
    """Call a function that blocks. Whatever it raises is its result."""
    trace = ""
    try:
        with _span(call):
            trace = telemetry.traceparent("")
            return Finished(call, call.handler.function(*call.arguments), None, trace)
    except BaseException as error:
        return Finished(call, None, error, trace)


def _span(call: Call) -> Any:
    if not call.is_traced:
        return telemetry.UNTRACED
    case, handler = call.case, call.handler
    return telemetry.handling(handler.name, case.saga_id, handler.step, case.cause.envelope.traceparent)

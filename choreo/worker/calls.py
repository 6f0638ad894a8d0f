"""Calls: handlers that run outside of any transaction, while turns go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from choreo import telemetry
from choreo.participant import Context, Handler
from choreo.ports import Clock
from choreo.records import Scheduled
from choreo.worker.item import Item


class Limit:
    """The time at which one call is given up, in milliseconds since the epoch; None where it never is.

    ``extend`` is for the handler, in its own thread; the rest is for the worker's. What was asked for holds
    once the worker has committed it.
    """

    def __init__(self, until: int | None, clock: Clock) -> None:
        self.until = until
        self.is_over = False
        self._asked = 0
        self._clock = clock

    @property
    def asked(self) -> int:
        """The later time that was asked for and doesn't hold yet; 0 where none was."""
        return self._asked if self.until is not None and self._asked > self.until else 0

    def extend(self, by: timedelta) -> None:
        """Ask for time until ``by`` from now. Raises `TimeoutError` once the call was given up."""
        if self.is_over:
            raise TimeoutError("the step has been given up: its time was over")
        self._asked = max(self._asked, self._clock.now() + round(by.total_seconds() * 1000))


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a handler: its arguments, its row on the schedule, and until when it may last."""

    item: Item
    handler: Handler
    context: Context
    arguments: list[Any]
    row: Scheduled
    limit: Limit
    is_traced: bool = False

    async def run_async(self) -> Finished:
        """Await a coroutine handler. Whatever it raises is its result: nothing may end the event loop."""
        trace = ""
        try:
            with self._span():
                trace = telemetry.traceparent("")
                coroutine: Coroutine[Any, Any, Any] = self.handler.function(*self.arguments)
                return Finished(self, await coroutine, None, trace)
        except BaseException as error:
            return Finished(self, None, error, trace)

    def run(self) -> Finished:
        """Call a function that blocks. Whatever it raises is its result."""
        trace = ""
        try:
            with self._span():
                trace = telemetry.traceparent("")
                return Finished(self, self.handler.function(*self.arguments), None, trace)
        except BaseException as error:
            return Finished(self, None, error, trace)

    def _span(self) -> Any:
        if not self.is_traced:
            return telemetry.UNTRACED
        item, handler = self.item, self.handler
        return telemetry.handling(handler.name, item.saga_id, handler.step, item.trigger.envelope.traceparent)


class Finished(NamedTuple):
    """How a call ended: with what it returned, or with the error that it raised.

    ``traceparent`` is that of the call's own span, if it was traced.
    """

    call: Call
    result: Any = None
    error: BaseException | None = None
    traceparent: str = ""


class Runner(Protocol):
    """Runs calls beside the turns; used by the worker's thread. A test kit's has neither threads nor time.

    ``finished`` is where it adds each call that has ended.
    """

    finished: deque[Finished]

    def start(self, call: Call) -> None:
        """Start a call."""
        ...

    def cancel(self, call: Call) -> None:
        """End a call early, where that is possible; it finishes all the same, at once or later."""
        ...

    def stop(self, seconds: float) -> None:
        """Cancel what can be, wait ``seconds`` at most until it has ended, and abandon the rest."""
        ...


class Calls:
    """The calls that are out, ``limit`` at most; for the worker's thread. ``runner`` runs them.

    Where it is not ``is_open``, none begins: a test kit decides when.
    """

    def __init__(self, limit: int, runner: Runner) -> None:
        self.is_open = True
        self._limit = limit
        self._runner = runner
        self._out: dict[Call, None] = {}
        self._cut: set[Call] = set()

    @property
    def room(self) -> int:
        """How many more may start; one that was cut takes its place until it has really ended."""
        return self._limit - len(self._out) - len(self._cut) if self.is_open else 0

    @property
    def are_out(self) -> bool:
        """Whether any result is waited for."""
        return bool(self._out)

    @property
    def have_finished(self) -> bool:
        """Whether there are results to take."""
        return bool(self._runner.finished)

    @property
    def next_limit(self) -> int | None:
        """The time at which the first call has lasted too long, in milliseconds since the epoch."""
        limits = (call.limit.until for call in self._out)
        return min((until + 1 for until in limits if until is not None), default=None)

    def start(self, call: Call) -> None:
        """Start a call."""
        self._out[call] = None
        self._runner.start(call)

    def take(self, most: int) -> list[Finished]:
        """Return results, ``most`` at most; what was cut is forgotten."""
        taken: list[Finished] = []
        while self._runner.finished and len(taken) < most:
            finished = self._runner.finished.popleft()
            if finished.call in self._out:
                del self._out[finished.call]
                taken.append(finished)
            self._cut.discard(finished.call)
        return taken

    def extended(self) -> list[Call]:
        """Return the calls that have asked for more time."""
        return [call for call in self._out if call.limit.asked]

    def overdue(self, now: int) -> list[Call]:
        """Return the calls that have lasted too long."""
        return [call for call in self._out if call.limit.until is not None and now > call.limit.until]

    def cut(self, call: Call) -> None:
        """Wait for a call no longer: a coroutine is cancelled, a thread's result will be ignored."""
        del self._out[call]
        self._cut.add(call)
        call.limit.is_over = True
        self._runner.cancel(call)

    def stop(self, seconds: float) -> None:
        """Cancel what can be, and wait ``seconds`` at most until it has ended; abandon the rest."""
        self._out.clear()
        self._runner.stop(seconds)

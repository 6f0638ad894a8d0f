"""Calls: handlers that run outside of any transaction, while turns go on."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Coroutine, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from choreo import telemetry
from choreo.events import event_name
from choreo.participant import Context, Handler
from choreo.ports import Clock
from choreo.records import Lane, Partition, Scheduled
from choreo.worker.attempt import end_forked
from choreo.worker.item import Item
from choreo.worker.lifespan import Lifespan
from choreo.worker.tracing import Handling


class Limit:
    """The time limit of one call, in milliseconds since the epoch; None where there is none.

    `extend` is called in the handler's thread, everything else in the worker's. An extension is effective
    once the worker has committed it.
    """

    def __init__(self, until: int | None, clock: Clock) -> None:
        self.until = until
        self.is_over = False
        self._asked = 0
        self._clock = clock

    @property
    def asked(self) -> int:
        """The extended time that is not effective yet; 0 where there is none."""
        return self._asked if self.until is not None and self._asked > self.until else 0

    @property
    def latest(self) -> int:
        """The latest time that was asked for; 0 where none was."""
        return self._asked

    def extend(self, by: timedelta) -> None:
        """Request a limit of ``by`` from now. Raises `TimeoutError` once the call was given up."""
        if self.is_over:
            raise TimeoutError("the step has been given up: its time was over")
        self._asked = max(self._asked, self._clock.now() + round(by.total_seconds() * 1000))


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a handler: its arguments, its row on the schedule, and its time limit."""

    item: Item
    handler: Handler
    context: Context
    arguments: list[Any]
    row: Scheduled
    limit: Limit
    is_traced: bool = False

    @property
    def partition(self) -> Partition:
        """The partition of its saga."""
        return Partition(self.item.trigger.topic, self.item.trigger.partition)

    @property
    def lane(self) -> Lane:
        """The lane in which it waited."""
        return "undo" if self.handler.task == "compensation" else "call"

    @property
    def holds_until(self) -> int:
        """The time after which it hangs (ms): its timeout has passed, or a while where it has none."""
        patience = self.handler.timeout or _PATIENCE
        begun = self.context.time_ms + round(patience.total_seconds() * 1000)
        return max(begun, self.limit.latest)

    async def run_async(self) -> Finished:
        """Await a coroutine handler; any exception becomes its result, so that the event loop goes on."""
        trace, process = "", os.getpid()
        try:
            with self._span() as span:
                trace = telemetry.context() if span else ""
                coroutine: Coroutine[Any, Any, Any] = self.handler.function(*self.arguments)
                return Finished(self, _told(span, await coroutine), None, trace)
        except BaseException as error:
            return Finished(self, None, error, trace)
        finally:
            end_forked(process)

    def run(self) -> Finished:
        """Call a blocking function; any exception becomes its result."""
        trace, process = "", os.getpid()
        try:
            with self._span() as span:
                trace = telemetry.context() if span else ""
                return Finished(self, _told(span, self.handler.function(*self.arguments)), None, trace)
        except BaseException as error:
            return Finished(self, None, error, trace)
        finally:
            end_forked(process)

    def _span(self) -> AbstractContextManager[Handling | None]:
        if not self.is_traced:
            return telemetry.UNTRACED
        return Handling(self.item, self.handler, self.context.attempt)


def _told(span: Handling | None, result: Any) -> Any:
    if span:
        span.returned(event_name(type(result)))
    return result


class Finished(NamedTuple):
    """The end of a call: the value that it returned, or the error that it raised.

    ``traceparent`` is that of the call's own span, if it was traced.
    """

    call: Call
    result: Any = None
    error: BaseException | None = None
    traceparent: str = ""


class Runner(Protocol):
    """Runs calls concurrently with the turns; used by the worker's thread.

    ``finished`` receives each call that has ended. The runner of the test kit has neither threads nor time.
    """

    finished: deque[Finished]

    def enter(self, lifespan: Lifespan, stopping: threading.Event) -> None:
        """Enter a lifespan, on the loop of the coroutines, before any call; wait until then or `stopping`."""
        ...

    def start(self, call: Call) -> None:
        """Start a call."""
        ...

    def cancel(self, call: Call) -> None:
        """Cancel a call where that is possible; in any case it is added to ``finished`` at its end."""
        ...

    def stop(self, seconds: float) -> None:
        """Cancel all calls, wait ``seconds`` at most until they have ended, and abandon the others.

        Then leave the lifespan, within ``seconds`` as well.
        """
        ...


MOST_HANGING = 5
"""How many calls that hang take no room, for each that may be under way; each beyond takes a call's place.

A thread that hangs can't be ended, and holds its memory, so their number must have a bound.
"""

_PATIENCE = timedelta(minutes=5)
"""The time after which a call without a timeout hangs, unless it asks for more with ``ctx.extend``."""


class Calls:
    """The calls under way, for the worker's thread: ``limit`` actions, and as many compensations, at most.

    Compensations have room of their own, so that none waits for actions that hang. A call that goes on after
    its timeout hangs, and takes no room, whether its result is void or still awaited. ``runner`` runs the
    calls. None begins unless it ``is_open``: at a stop, or while the test kit decides so, it isn't. ``begun``
    are those of which the beginning is committed, and that are to be started.
    """

    def __init__(self, limit: int, runner: Runner) -> None:
        self.is_open = True
        self.begun: list[Call] = []
        self._limit = limit
        self._runner = runner
        self._most_hanging = MOST_HANGING * limit
        self._out: dict[Call, None] = {}
        self._late: dict[Call, int] = {}
        self._cut: dict[Call, int] = {}
        self._taken: dict[Lane, int] = {"call": 0, "undo": 0}

    def room(self, lane: Lane) -> int:
        """Return the number of calls of a lane that may start."""
        if not self.is_open:
            return 0
        hanging = len(self._cut) + len(self._late)
        return max(self._limit - self._taken[lane] - max(hanging - self._most_hanging, 0), 0)

    @property
    def out(self) -> int:
        """The number of calls under way."""
        return len(self._out)

    @property
    def has_doubtful(self) -> bool:
        """Whether a call is under way during which the process has ended several times."""
        return any(call.row.deaths > 1 for call in self._out)

    def hanging(self) -> list[tuple[Call, int]]:
        """Return the calls that hang, each with the time since when (ms), the oldest first."""
        return sorted([*self._cut.items(), *self._late.items()], key=lambda each: each[1])

    def release(self, now: int) -> bool:
        """Take back the places of calls that hang, and return whether there were any."""
        late = [call for call in self._out if call not in self._late and now > call.holds_until]
        for call in late:
            self._taken[call.lane] -= 1
            self._late[call] = now
        return bool(late)

    @property
    def have_finished(self) -> bool:
        """Whether there are results to take."""
        return bool(self._runner.finished)

    @property
    def next_limit(self) -> int | None:
        """The earliest time limit of the calls, in milliseconds since the epoch, or None."""
        limits = (call.limit.until for call in self._out)
        return min((until + 1 for until in limits if until is not None), default=None)

    def enter(self, lifespan: Lifespan, stopping: threading.Event) -> bool:
        """Enter a lifespan, before any call; whether it was entered before ``stopping`` was set.

        Raises `LifespanError` where it fails.
        """
        self._runner.enter(lifespan, stopping)
        if not lifespan.entered.done():
            return False
        lifespan.entered.result()
        return True

    def start_begun(self) -> None:
        """Start the calls of which the beginning is committed."""
        while self.begun:
            call = self.begun.pop(0)
            self._out[call] = None
            self._taken[call.lane] += 1
            self._runner.start(call)

    def take(self, most: int) -> list[Finished]:
        """Return results, ``most`` at most, without those of cut calls."""
        taken: list[Finished] = []
        while self._runner.finished and len(taken) < most:
            finished = self._runner.finished.popleft()
            if finished.call in self._out:
                self._remove(finished.call)
                taken.append(finished)
            self._cut.pop(finished.call, None)
        return taken

    def extended(self) -> list[Call]:
        """Return the calls with an extension that is not effective yet."""
        return [call for call in self._out if call.limit.asked]

    def overdue(self, now: int) -> list[Call]:
        """Return the calls whose time limit has passed."""
        return [call for call in self._out if call.limit.until is not None and now > call.limit.until]

    def cut(self, call: Call, now: int) -> None:
        """Abandon a call: a coroutine is cancelled, a thread's result is ignored; its place is free again."""
        self._remove(call)
        self._cut[call] = now
        call.limit.is_over = True
        self._runner.cancel(call)

    def drop(self, partitions: Set[Partition], now: int) -> None:
        """Abandon the calls for sagas of partitions that are another worker's."""
        self.begun = [call for call in self.begun if call.partition not in partitions]
        for call in [call for call in self._out if call.partition in partitions]:
            self.cut(call, now)

    def stop(self, seconds: float) -> None:
        """Cancel all calls, wait ``seconds`` at most until they have ended, and abandon the others.

        Then leave the lifespan, within ``seconds`` as well.
        """
        self._out.clear()
        self._runner.stop(seconds)

    def _remove(self, call: Call) -> None:
        del self._out[call]
        if self._late.pop(call, None) is None:
            self._taken[call.lane] -= 1

"""``Call``: one handler that is called outside of any transaction, and ``Runner``: whoever runs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from choreo import telemetry
from choreo.participant import Context, Handler
from choreo.records import Scheduled
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

    async def awaited(self) -> Finished:
        """Await a coroutine handler. Whatever it raises is its result: nothing may end the event loop."""
        trace = ""
        try:
            with self._span():
                trace = telemetry.traceparent("")
                coroutine: Coroutine[Any, Any, Any] = self.handler.function(*self.arguments)
                return Finished(self, await coroutine, None, trace)
        except BaseException as error:
            return Finished(self, None, error, trace)

    def blocking(self) -> Finished:
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
        case, handler = self.case, self.handler
        return telemetry.handling(handler.name, case.saga_id, handler.step, case.cause.envelope.traceparent)


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
        """Let a call go."""
        ...

    def cancel(self, call: Call) -> None:
        """End a call early, where that is possible; it finishes all the same, at once or later."""
        ...

    def stop(self, seconds: float) -> None:
        """Cancel what can be, wait ``seconds`` at most until it has ended, and abandon the rest."""
        ...

"""``Lifespan``: one task that opens what the calls of a worker share, and closes it in the end."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import Future
from typing import Any

from choreo.errors import LifespanError
from choreo.participant import Participant
from choreo.worker.attempt import end_forked
from choreo.worker.failure import detail_of

_log = logging.getLogger("choreo.worker")


class Lifespan:
    """A participant's lifespan, in one task on the event loop of its calls.

    It is one task because a context manager may have to be left in the task that entered it, as one with a
    task group must. ``entered`` is done once it has yielded or failed.
    """

    def __init__(self, participant: Participant, *, redact: bool = False) -> None:
        self.entered: Future[Any] = Future()
        self._participant = participant
        self._redact = redact
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure = ""

    @property
    def name(self) -> str:
        """The name of its participant."""
        return self._participant.name

    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the task; in the thread of the loop."""
        self._task = loop.create_task(self._run())

    def check(self) -> None:
        """Raise `LifespanError` where it has ended before `leave` was called."""
        if self._failure and not self._leaving.is_set():
            raise LifespanError(
                f"{self.name}: its lifespan ended while the worker ran: {self._failure}",
                hint="start the worker again: what its calls share is closed",
            )

    async def leave(self, seconds: float) -> None:
        """Leave it; cancel it where that takes longer than ``seconds``."""
        self._leaving.set()
        if self._task is None or self._task.done():
            return
        if not self.entered.done():
            self._task.cancel()
        await asyncio.wait([self._task], timeout=seconds)
        if not self._task.done():
            _log.warning("%s: its lifespan does not end within %g s: it is cancelled", self.name, seconds)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=min(seconds, 1.0))

    async def _run(self) -> None:
        """Enter, wait and leave; any exception is kept or logged, so that the event loop goes on."""
        process = os.getpid()
        try:
            assert self._participant.opens is not None
            async with self._participant.opens() as shared:
                self.entered.set_result(shared)
                await self._leaving.wait()
            if not self._leaving.is_set():
                self._failure = "it was cancelled"
        except BaseException as error:
            end_forked(process)  # before a lock is taken, which another thread held at the fork
            self._failed(error)
        finally:
            end_forked(process)

    def _failed(self, error: BaseException) -> None:
        said = detail_of(error, redact=self._redact)
        if not self.entered.done():
            failure = LifespanError(
                f"{self.name}: its lifespan failed at the start: {said}",
                hint="nothing was begun: start the worker again once that is mended",
            )
            self.entered.set_exception(failure)
        elif isinstance(error, asyncio.CancelledError) and self._leaving.is_set():
            _log.debug("%s: its lifespan was cancelled", self.name)
        elif self._leaving.is_set():
            _log.warning("%s: its lifespan failed at the end: %s", self.name, said)
        else:
            self._failure = said

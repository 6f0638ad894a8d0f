"""``Watch``: waits for the ends of sagas in one thread, for all coroutines of a process."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from contextvars import Context, copy_context
from typing import NamedTuple, Protocol

from choreo.participant import Status
from choreo.ports import Store

LOOK_SECONDS = 0.02
"""The interval at which the store is polled."""

_SHARE = 4
"""A look pauses for so many times as long as it has taken, at least."""


class Wait(Protocol):
    """One wait for the end of a saga."""

    def begin(self) -> None:
        """Raise `StoreError` where it would never end."""
        ...

    def is_over(self, store: Store) -> bool:
        """Whether the saga has ended, or the time is up."""
        ...

    @property
    def status(self) -> Status | None:
        """The status of the saga as the wait has seen it last."""
        ...


class _Waiter(NamedTuple):
    wait: Wait
    context: Context
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Status | None]

    def settle(self, error: BaseException | None = None) -> None:
        """Wake the coroutine, unless its loop has ended meanwhile."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(self.wait.status)
        else:
            self.future.set_exception(error)


class Watch:
    """The coroutines of a process that wait; ``lent`` opens a block with a store for one look at all of them.

    Its thread ends when nobody waits. A forked process begins anew: its parent's coroutines are not its own.
    """

    def __init__(self, lent: Callable[[], AbstractContextManager[Store]]) -> None:
        self._lent = lent
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._new: list[_Waiter] = []
        self._waiting: dict[int, _Waiter] = {}
        self._thread: threading.Thread | None = None

    async def over(self, wait: Wait) -> Status | None:
        """Return the status of a saga when the wait for it is over."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(wait, copy_context(), loop, loop.create_future())
        if os.getpid() != self._pid:
            self._begin()
        with self._lock:
            self._new.append(waiter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="choreo-watch", daemon=True)
                self._thread.start()
        try:
            return await waiter.future
        finally:
            with self._lock:
                self._waiting.pop(id(waiter), None)

    def _run(self) -> None:
        while (waiters := self._next()) is not None:
            began = time.monotonic()
            self._look(waiters)
            time.sleep(max(LOOK_SECONDS, _SHARE * (time.monotonic() - began)))

    def _next(self) -> list[_Waiter] | None:
        """Return who waits; None where nobody does, and the thread ends."""
        with self._lock:
            new, self._new = self._new, []
            waiters = [each for each in (*self._waiting.values(), *new) if not each.future.done()]
            self._waiting = {id(each): each for each in waiters}
            if not waiters:
                self._thread = None
                return None
        for waiter in new:
            self._unless_it_fails(waiter, waiter.wait.begin)
        return waiters

    def _look(self, waiters: list[_Waiter]) -> None:
        try:
            with self._lent() as store:
                for waiter in waiters:
                    self._unless_it_fails(waiter, waiter.wait.is_over, store)
        except Exception as error:
            for waiter in waiters:
                self._settle(waiter, error)

    def _unless_it_fails(self, waiter: _Waiter, is_over: Callable[..., object], *values: object) -> None:
        try:
            if waiter.context.run(is_over, *values):
                self._settle(waiter)
        except Exception as error:
            self._settle(waiter, error)

    def _settle(self, waiter: _Waiter, error: Exception | None = None) -> None:
        with self._lock:
            self._waiting.pop(id(waiter), None)
        waiter.settle(error)

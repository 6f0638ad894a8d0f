"""Refusing a transaction inside of another one of the same file, which would wait for itself.

A second connection waits until the first has committed. Where both are of one thread the first never does,
and every writer of the file waits with it, until SQLite gives up.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from contextvars import ContextVar

from choreo.errors import NestedTransaction

_COROUTINES = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Occupation:
    """An open transaction of ``key``, which is a file or a connection, by the thread that opened it.

    One that ``moves`` may be left in another thread than it was opened in, as the halves of a generator that
    a web framework runs in two threads. ``driver`` is the connection of one that the service has opened.
    """

    __slots__ = ("driver", "is_open", "key", "moves", "thread")

    def __init__(self, key: object, *, moves: bool, driver: object = None) -> None:
        self.key = key
        self.moves = moves
        self.driver = driver
        self.thread = threading.get_ident()
        self.is_open = True
        _here.set((*(each for each in _here.get() if each.is_open), self))
        _open[key] = self

    def end(self) -> None:
        """End the transaction."""
        self.is_open = False
        self.driver = None
        if _open.get(self.key) is self:
            del _open[self.key]


_here: ContextVar[tuple[Occupation, ...]] = ContextVar("choreo_transactions", default=())
"""What is open in this context: a task or a call in a thread has one of its own, copied from its caller's."""

_open: dict[object, Occupation] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)


def is_inside(key: object, *, blocks: bool = True) -> bool:
    """Whether a transaction of ``key`` is open here, so that to wait for its end would never end.

    A wait that ``blocks`` stops whatever else the thread does, such as the tasks of an event loop.
    """
    if any(each.is_open and each.key == key for each in _here.get()):
        return True
    other = _open.get(key)
    if other is None or not blocks or other.thread != threading.get_ident():
        return False
    return not other.moves or _is_in_coroutine()


def is_joined(key: object, driver: object) -> bool:
    """Whether the transaction of ``key`` that is open here is that of the service's own connection."""
    other = _open.get(key)
    found = _here.get() if other is None else (*_here.get(), other)
    return any(each.is_open and each.key == key and each.driver is driver for each in found)


def refuse_inside(path: str, key: object, *, blocks: bool = True) -> None:
    """Raise `NestedTransaction` where a transaction of ``key`` is open here."""
    if is_inside(key, blocks=blocks):
        raise NestedTransaction(
            f"a transaction on {path} is open already here: one inside of it would wait for it for ever",
            hint="use that one's tx or ctx.db; in a handler, declare it blocking=True, which runs it outside"
            " of the turn; in a coroutine, don't await inside of a transaction",
        )


def _is_in_coroutine() -> bool:
    """Whether a coroutine has called: an event loop's thread can't wait for another of its tasks."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_flags & _COROUTINES:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False

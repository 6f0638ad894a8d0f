"""Handles the signals that stop a worker: the first gracefully, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from choreo.cli import output

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _nothing() -> None:
    """Do nothing more before the process ends."""


@contextmanager
def stopping_on_signals(
    stop: Callable[[], None], before_end: Callable[[], None] = _nothing
) -> Iterator[None]:
    """Inside the block, SIGINT and SIGTERM call ``stop``; a second one ends the process at once.

    Then ``before_end`` is called.

    A thread waits for them, because Python runs signal handlers only when the main thread comes back
    from C, which may be waiting for a broker or a disk just then.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {each: signal.signal(each, _ignore) for each in SIGNALS}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    listener = threading.Thread(
        target=_listen, args=(reader, stop, before_end), name="choreo-signals", daemon=True
    )
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for each, handler in before.items():
            signal.signal(each, handler)
        os.close(writer)
        listener.join()
        os.close(reader)


def _listen(reader: int, stop: Callable[[], None], before_end: Callable[[], None]) -> None:
    first = os.read(reader, 1)
    if not first:
        return
    output.notice(f"{signal.Signals(first[0]).name}: finishing the turn; once more to stop at once")
    stop()
    second = os.read(reader, 1)
    if second:
        output.notice(f"{signal.Signals(second[0]).name} again: stopped at once; the store is consistent")
        before_end()
        os._exit(128 + second[0])


def _ignore(number: int, frame: Any) -> None:
    """Handle a signal by doing nothing: `_listen` reads its number from the pipe."""

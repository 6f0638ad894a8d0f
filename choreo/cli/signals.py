"""Stopping a worker by signals: the first one gracefully, the second one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from choreo.cli import output

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Inside the block, SIGINT and SIGTERM call ``stop``; a second one ends the process at once.

    A thread waits for them, because Python runs signal handlers only when the main thread comes back
    from C, which may be waiting for a broker or a disk just then.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = {each: signal.signal(each, _ignore) for each in SIGNALS}
    wakeup = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(heard, stop), name="choreo-signals", daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for each, handler in before.items():
            signal.signal(each, handler)
        os.close(told)
        listener.join()
        os.close(heard)


def _listen(heard: int, stop: Callable[[], None]) -> None:
    first = os.read(heard, 1)
    if not first:
        return
    output.notice(f"{signal.Signals(first[0]).name}: finishing the turn; once more to stop at once")
    stop()
    second = os.read(heard, 1)
    if second:
        output.notice(f"{signal.Signals(second[0]).name} again: stopped at once; the store is consistent")
        os._exit(128 + second[0])


def _ignore(number: int, frame: Any) -> None:
    """Stand in as the handler of a signal, which `_listen` sees."""

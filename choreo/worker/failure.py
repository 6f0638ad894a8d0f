"""What an exception of a handler means, and what is kept of it: its class, its text and its place.

Change this module for which exceptions count as `Permanent` or as ``ignore=`` ones, alone or in a group, and
for the line about them in the service's own store. No text of it is ever published.
"""

from __future__ import annotations

import os
import signal
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from types import TracebackType

from choreo.errors import ChoreoError, LifespanError, LogError, Permanent, StoreError, TurnLost
from choreo.escape import escaped

MAX_REASON = 1_000
"""The greatest length of a reason that is published or stored, in characters."""

MAX_DETAIL = 500
"""The greatest length of what is stored about an exception, in characters."""

_LEAVES = 20
_CHOREO = str(Path(__file__).parents[1]) + os.sep


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception may be a real SIGINT, which Python raises in the main thread by default."""
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def is_of_an_item(error: BaseException) -> bool:
    """Whether an exception that ended a turn is the fault of an item in it, not of the surroundings."""
    if isinstance(error, TurnLost):
        return True
    return isinstance(error, Exception) and not isinstance(error, StoreError | LogError | LifespanError)


def is_ignored(error: BaseException, classes: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception, or each one in its group, is of these classes."""
    return bool(classes) and (
        isinstance(error, classes) or all(isinstance(leaf, classes) for leaf in _leaves(error))
    )


def permanent_in(error: BaseException) -> Permanent | None:
    """Return the exception, or the first one in its group, that is a `Permanent`."""
    return next((leaf for leaf in _leaves(error) if isinstance(leaf, Permanent)), None)


def name_of(error: BaseException) -> str:
    """Return the name of an exception's class, on one line."""
    return _one_line(type(error).__name__, 100)


def text_of(error: BaseException) -> str:
    """Return an exception's text, shortened and as valid UTF-8, so that databases and schemas accept it."""
    return _plain(_said(error)[:MAX_REASON])


def detail_of(error: BaseException, *, redact: bool = False) -> str:
    """Return one line about an exception: class, text, and the last frame of the service's own code.

    Of a group, those of the exceptions in it. The texts are left out where ``redact``: they may hold data.

    >>> try:
    ...     raise ConnectionError("no route to host\\n")
    ... except ConnectionError as error:
    ...     detail_of(error)
    'ConnectionError: no route to host\\\\n (<doctest choreo.worker.failure.detail_of[0]>:2 in <module>)'
    """
    leaves = list(islice(_leaves(error), _LEAVES))
    lines = [_line(leaf, error, redact) for leaf in leaves]
    text = lines[0] if leaves == [error] else f"{name_of(error)}: {'; '.join(lines)}"
    return text if len(text) <= MAX_DETAIL else f"{text[: MAX_DETAIL - 1]}…"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group and of the groups in it, or a single exception."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting += reversed(each.exceptions)
        else:
            yield each


def _line(leaf: BaseException, whole: BaseException, redact: bool) -> str:
    said = "" if redact else _one_line(_said(leaf), MAX_DETAIL // 2)
    place = _place(leaf.__traceback__ or whole.__traceback__)
    name = "" if said and type(leaf) is Permanent else name_of(leaf)
    return f"{name}{': ' if name and said else ''}{said}{f' ({place})' if place else ''}"


def _said(error: BaseException) -> str:
    try:
        if isinstance(error, ChoreoError):
            return str(error)
        return str(error)[: 10 * MAX_REASON]
    except BaseException:  # a __str__ of the service may raise anything
        return type(error).__name__


def _place(trace: TracebackType | None) -> str:
    """Return the last frame of the service's own code; a handler that is installed is all of it."""
    walked = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace)]
    frames = [each for each in walked if not each[0].co_filename.startswith(_CHOREO)] or walked[-1:]
    if not frames:  # a coroutine that was cancelled before its first step
        return ""
    own = [each for each in frames if not each[0].co_filename.startswith(_libraries())]
    code, line = own[-1] if own else frames[0]
    name = code.co_filename
    return _one_line(f"{name.removeprefix(_working_folder())}:{line} in {code.co_name}", 200)


def _working_folder() -> str:
    try:
        return os.getcwd() + os.sep
    except OSError:  # it was deleted under the process
        return ""


@cache
def _libraries() -> tuple[str, ...]:
    """Return the folders of Python's own modules and of installed packages."""
    paths = sysconfig.get_paths()
    return ("<frozen ", *(paths[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")))


def _one_line(text: str, most: int) -> str:
    return escaped(text if len(text) <= most else f"{text[: most - 1]}…")


def _plain(text: str) -> str:
    return text.replace("\0", "?").encode(errors="replace").decode()

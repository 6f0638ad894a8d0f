"""Runs a handler in a sandbox that refuses effects outside of the process and records nondeterminism.

Two of Python's own hooks see such calls, whatever library makes them: a profile function is called before
every call of a built-in (`sys.setprofile`), and an audit hook before every effect (PEP 578), which it can
refuse. A library in C that opens a socket by itself is seen by neither.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Any

_CLOCKS: dict[Any, str] = {
    getattr(time, name): f"time.{name}"
    for name in (
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "localtime",
    )
}
_CLOCKS |= {os.urandom: "os.urandom", getattr(uuid, "_generate_time_safe", None): "uuid.uuid1"}
_NOW = frozenset(("now", "utcnow", "today"))
_CHANCE = frozenset(("random", "getrandbits"))

_EFFECTS = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "sqlite3.connect",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

_EXCUSED = frozenset(("logging", "importlib", "_frozen_importlib", "warnings", "sqlite_utils", "choreo"))
_LIBRARY = (sysconfig.get_path("stdlib"), "<frozen")
_INSTALLED = ("site-packages", "dist-packages")


class EffectRefused(Exception):
    """Raised in a handler instead of an effect outside of the process, which is refused."""


class Observed:
    """The nondeterministic calls and the refused effects of a run, each with its place in the code."""

    def __init__(self) -> None:
        self.nondeterministic: dict[str, None] = {}
        self.effects: dict[str, None] = {}


_observed: Observed | None = None


@contextmanager
def sandbox() -> Iterator[Observed]:
    """Refuse effects inside the block, and record them and nondeterministic calls.

    No garbage is collected meanwhile, as finalizers of other objects would be taken for the handler's code.
    """
    global _observed
    _install()
    seen = _observed = Observed()
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(_profile_for(seen))
    try:
        yield seen
    finally:
        sys.setprofile(before)
        _observed = None
        if collects:
            gc.enable()


def _profile_for(seen: Observed) -> Callable[[FrameType, str, Any], None]:
    def profile(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            name = _nondeterministic(called)
            if name and (place := _place(frame, name)):
                seen.nondeterministic[place] = None

    return profile


def _nondeterministic(called: Any) -> str:
    """Return the name of a built-in that returns another result each time; empty for any other."""
    owner = getattr(called, "__self__", None)
    if isinstance(owner, type):
        return (
            f"{owner.__name__}.{called.__name__}"
            if issubclass(owner, date) and called.__name__ in _NOW
            else ""
        )
    if isinstance(owner, random.Random):
        return f"random.{called.__name__}" if called.__name__ in _CHANCE else ""
    try:
        return _CLOCKS.get(called, "")
    except TypeError:  # a method of something that can't be hashed
        return ""


_installed = False


def _install() -> None:
    """Add the audit hook, once: it can never be removed, and does nothing outside of a sandbox."""
    global _installed
    if not _installed:
        sys.addaudithook(_audit)
        _installed = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    seen = _observed
    if seen is None or not _is_effect(event, arguments):
        return
    place = _place(sys._getframe(1), event)
    if place:
        seen.effects[place] = None
        raise EffectRefused(place)


def _is_effect(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return bool(isinstance(arguments[2], int) and arguments[2] & _WRITING)
    return event in _EFFECTS


def _place(frame: FrameType | None, name: str) -> str:
    """Return where a handler's own code made a call, with the library's function; empty for other code."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in _EXCUSED:  # choreo itself called the handler
            return ""
        if not _is_library(frame.f_code.co_filename):
            return f"{name} at {frame.f_code.co_filename}:{frame.f_lineno}"
        name = f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return ""


def _is_library(file: str) -> bool:
    """Whether code is Python's own; a service may be installed below it."""
    return file.startswith(_LIBRARY) and not any(name in file for name in _INSTALLED)

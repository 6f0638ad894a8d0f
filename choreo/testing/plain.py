"""The functions that a test hands to the kit, which are called between two moves, and never awaited."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from choreo.errors import ConfigurationError

_HINT = "write def, and call in it what needs no await; async handlers run by themselves, on virtual time"


def refuse_unplain(function: object, user: str) -> None:
    """Raise `ConfigurationError` for what ``user`` can't call: no function, or one to await or to iterate."""
    if not inspect.isfunction(function):
        raise ConfigurationError(f"{user} decorates a function or a method, not {function!r}")
    refuse_async(function, f"the function of {user}")


def refuse_async(function: object, what: str) -> None:
    """Raise `ConfigurationError` for a function to be awaited or iterated, which a call doesn't run."""
    kinds = {
        "an async def": inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
        "a generator": inspect.isgeneratorfunction(function),
    }
    for kind, is_one in kinds.items():
        if is_one:
            raise ConfigurationError(f"{what}, {_name_of(function)}, is {kind}", hint=_HINT)


def call(function: Callable[..., object], what: str, *given: Any, **named: Any) -> object:
    """Call a function and return its result. Raises `ConfigurationError` for one that is still to run."""
    result = function(*given, **named)
    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigurationError(f"{what}, {_name_of(function)}, returns what must be awaited", hint=_HINT)
    return result


def _name_of(function: object) -> str:
    return str(getattr(function, "__qualname__", repr(function)))

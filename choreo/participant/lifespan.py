"""What ``@participant.lifespan`` decorates: a function that opens, yields and closes what calls share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from choreo.errors import DeclarationError
from choreo.participant.signature import name_of, place_of

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
"""Return the context manager that yields what calls share."""


def lifespan_of(participant: str, function: Any, earlier: Lifespan | None) -> Lifespan:
    """Return the lifespan of a decorated function. Raises `DeclarationError` where it could not work."""
    where = f"{place_of(function)}: @{participant}.lifespan {name_of(function)}"
    if earlier is not None:
        raise DeclarationError(
            f"{where}: {participant} has one already, {name_of(earlier)} ({place_of(earlier)})",
            hint="open everything in one function, and yield it as one object",
        )
    if not callable(function) or not inspect.isasyncgenfunction(inspect.unwrap(function)):
        raise DeclarationError(
            f"{where}: not an async function that yields",
            hint="async def clients(): async with Client() as client: yield client",
        )
    needed = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed:
        raise DeclarationError(
            f"{where}: parameter {needed[0]!r} has no value, as it is called without any",
            hint="drop it, or give it a default",
        )
    if inspect.isasyncgenfunction(function):
        return asynccontextmanager(function)
    opens: Lifespan = function  # decorated with asynccontextmanager already
    return opens

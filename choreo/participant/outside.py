"""Handlers that run outside of any transaction: which they are, and what they may not do."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from choreo.errors import DeclarationError
from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE
from choreo.participant.handler import Handler, Parameter, Runs, Task
from choreo.participant.options import Options


def where_it_runs(task: Task, function: Callable[..., Any], options: Options) -> Runs:
    """Say where a handler runs: ``async def`` and ``blocking=True`` run outside of the transaction.

    Raises `DeclarationError` for both together, and for an observer or a deadline that is a coroutine.
    """
    is_coroutine = inspect.iscoroutinefunction(function)
    if is_coroutine and task not in ("action", "compensation"):
        raise DeclarationError(
            f"an {task} runs inside the transaction" if task == "observer" else "a deadline runs inside it",
            hint="declare it with a plain def; let an action call the world",
        )
    if is_coroutine and options.blocking:
        raise DeclarationError(
            "async def runs on the event loop, blocking=True in a thread", hint="drop one of the two"
        )
    if is_coroutine:
        return "coroutine"
    return "thread" if options.blocking else "inside"


def is_partial(options: Options, task: Task, runs: Runs) -> bool:
    """Say whether an attempt that raised may have had effects outside: what runs outside may, by default.

    Raises `DeclarationError` for a pivot that doesn't say no, as nothing could undo it, and for a
    retriable action that says yes, as it never fails.
    """
    if task != "action" or (options.kind == RETRIABLE and not options.partial):
        return False
    if options.kind == RETRIABLE:
        raise DeclarationError(
            "a retriable action is retried until it succeeds: nothing of it is undone",
            hint="drop partial=, or choose another kind",
        )
    partial = runs != "inside" if options.partial is None else options.partial
    if partial and options.kind == PIVOT:
        raise DeclarationError(
            "a pivot has no compensation, so nothing could undo an attempt that raised halfway",
            hint="partial=False where such an attempt did nothing, or make it retriable or compensatable",
        )
    return partial and options.kind == COMPENSATABLE


def refuse_database(function: Callable[..., Any], parameters: Iterable[Parameter]) -> None:
    """Refuse a handler in whose own code ``ctx.db`` stands: there is no transaction that it could use."""
    contexts = {parameter.name for parameter in parameters if parameter.is_context}
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return
    for loaded, used in pairwise(dis.get_instructions(code)):
        if loaded.argval in contexts and used.argval == "db" and used.opname.startswith("LOAD_"):
            raise DeclarationError(
                f"it uses {loaded.argval}.db, but runs outside of any transaction",
                hint="take what it needs from its event; write in an action that follows, or a plain def",
            )


def refuse_unpartial(compensation: Handler, action: Handler) -> None:
    """Refuse a compensation that can't undo an attempt of which there is no result, and no event."""
    if not action.partial:
        return
    where = f"{action.name} may have had effects when it raised or was cut off, and then"
    switch = f"or partial=False at {action.place}"
    result = compensation.result_parameter
    if result is not None and not result.optional:
        raise DeclarationError(
            f"{where} parameter {result.name!r} has no event",
            hint=f"annotate it with … | None, {switch}",
        )
    for parameter in compensation.event_parameters:
        if not (parameter.admits_aborted or parameter.optional):
            raise DeclarationError(
                f"{where} no event fills parameter {parameter.name!r}",
                hint=f"annotate it with … | Aborted, {switch}",
            )
    if result is not None and not set(action.successes) <= set(result.types):
        raise DeclarationError(
            f"{where} nobody can say which of several compensations undoes it",
            hint=f"declare one for all of its success events, {switch}",
        )

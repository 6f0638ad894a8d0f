"""Effects: what handlers did, kept where it shares the fate of their transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from choreo.events import event_name
from choreo.participant import Context, Handler, Parameter
from choreo.participant.handler import Task
from choreo.store.sqlite.store import SQLiteStore

# A temporary table belongs to the connection: the service's own tables stay as they are.
_TABLE = """
CREATE TEMP TABLE IF NOT EXISTS choreo_effects (
    place INTEGER, saga_id TEXT, saga_type TEXT, task TEXT, handler TEXT, step TEXT, result TEXT
)
"""
_INSERT = "INSERT INTO choreo_effects VALUES (?, ?, ?, ?, ?, ?, ?)"


class Effect(NamedTuple):
    """One handler's effect: ``place`` orders those of all participants, ``result`` is what it returned."""

    place: int
    saga_id: str
    saga_type: str
    task: Task
    handler: str
    step: str
    result: str


class Hooks(Protocol):
    """What may happen around a handler: each may raise, or end the process."""

    def before(self, handler: Handler, context: Context) -> None:
        """Be told that a handler is about to be called."""
        ...

    def after(self, handler: Handler, context: Context) -> Any:
        """Be told that it has returned; what is awaitable is awaited, where the handler is a coroutine."""
        ...


class Effects:
    """The effects of one participant: committed with the handlers' own rows, or lost with them.

    What runs outside of a transaction has its effects in the world: they stay, whatever becomes of it.
    """

    def __init__(self, store: SQLiteStore, count: Callable[[], int]) -> None:
        self._store = store
        self._count = count
        self._outside: list[Effect] = []
        store.db.execute(_TABLE)

    def __iter__(self) -> Iterator[Effect]:
        inside = (Effect(*row) for row in self._store.db.execute("SELECT * FROM choreo_effects").fetchall())
        return iter(sorted([*inside, *self._outside]))

    def noted(self, handler: Handler, hooks: Hooks) -> Handler:
        """Give the handler as the simulation calls it: its effect is noted, and the hooks are called."""
        note = self._note_inside if handler.runs == "inside" else self._note_outside

        def called(*arguments: Any) -> Any:
            context = arguments[-1]
            hooks.before(handler, context)
            result = handler.function(*arguments[:-1])
            note(handler, context, result)
            hooks.after(handler, context)
            return result

        async def awaited(*arguments: Any) -> Any:
            context = arguments[-1]
            hooks.before(handler, context)
            result = await handler.function(*arguments[:-1])
            note(handler, context, result)
            waits = hooks.after(handler, context)
            if waits is not None:
                await waits
            return result

        function = awaited if handler.runs == "coroutine" else called
        context_too = Parameter("context", is_context=True)
        return replace(handler, function=function, parameters=(*handler.parameters, context_too))

    def _note_inside(self, handler: Handler, context: Context, result: Any) -> None:
        self._store.db.execute(_INSERT, self._effect(handler, context, result))

    def _note_outside(self, handler: Handler, context: Context, result: Any) -> None:
        self._outside.append(self._effect(handler, context, result))

    def _effect(self, handler: Handler, context: Context, result: Any) -> Effect:
        name = "" if result is None else event_name(type(result))
        saga_type = handler.saga.name
        return Effect(
            self._count(), context.saga_id, saga_type, handler.task, handler.name, handler.step, name
        )

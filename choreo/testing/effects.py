"""``Effects``: the record of the handlers' effects, written in the transaction of each effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from choreo.events import event_name
from choreo.participant import Context, Handler, Parameter
from choreo.participant.handler import Task
from choreo.store.sqlite.store import SQLiteStore

# A temporary table belongs to the connection, so the service's own schema is unchanged.
_TABLE = """
CREATE TEMP TABLE IF NOT EXISTS choreo_effects (
    place INTEGER, saga_id TEXT, saga_type TEXT, task TEXT, handler TEXT, step TEXT, result TEXT
)
"""
_INSERT = "INSERT INTO choreo_effects VALUES (?, ?, ?, ?, ?, ?, ?)"


class Effect(NamedTuple):
    """One handler's effect: ``place`` orders all participants' effects, ``result`` is the returned type."""

    place: int
    saga_id: str
    saga_type: str
    task: Task
    handler: str
    step: str
    result: str


class Effects:
    """The effects of one participant, committed or rolled back together with the handlers' own rows.

    Effects of handlers outside of a transaction are external, and remain even if the process ends.
    """

    def __init__(self, store: SQLiteStore, count: Callable[[], int]) -> None:
        self._store = store
        self._count = count
        self._outside: list[Effect] = []
        store.db.execute(_TABLE)

    def __iter__(self) -> Iterator[Effect]:
        inside = (Effect(*row) for row in self._store.db.execute("SELECT * FROM choreo_effects").fetchall())
        return iter(sorted([*inside, *self._outside]))

    def recorded(
        self,
        handler: Handler,
        before: Callable[[Handler, Sequence[Any]], Any],
        after: Callable[[Handler], Any],
    ) -> Handler:
        """Return the handler with its effect recorded, and with functions called before and after it.

        Both may raise, or end the process. ``before`` takes the arguments and the context; what it returns is
        returned in place of calling the handler. An awaitable that ``after`` returns is awaited where the
        handler is a coroutine.
        """
        record = self._record_inside if handler.runs == "inside" else self._record_outside

        def called(*arguments: Any) -> Any:
            instead = before(handler, arguments)
            if instead is not None:
                return instead
            result = handler.function(*arguments[:-1])
            record(handler, arguments[-1], result)
            after(handler)
            return result

        async def awaited(*arguments: Any) -> Any:
            instead = before(handler, arguments)
            if instead is not None:
                return instead
            result = await handler.function(*arguments[:-1])
            record(handler, arguments[-1], result)
            waits = after(handler)
            if waits is not None:
                await waits
            return result

        function = awaited if handler.runs == "coroutine" else called
        context_too = Parameter("context", is_context=True)
        return replace(handler, function=function, parameters=(*handler.parameters, context_too))

    def _record_inside(self, handler: Handler, context: Context, result: Any) -> None:
        self._store.db.execute(_INSERT, self._effect(handler, context, result))

    def _record_outside(self, handler: Handler, context: Context, result: Any) -> None:
        self._outside.append(self._effect(handler, context, result))

    def _effect(self, handler: Handler, context: Context, result: Any) -> Effect:
        name = "" if result is None else event_name(type(result))
        saga_type = handler.saga.name
        return Effect(
            self._count(), context.saga_id, saga_type, handler.task, handler.name, handler.step, name
        )

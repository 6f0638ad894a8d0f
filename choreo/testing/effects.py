"""``Effects``: the record of the handlers' effects, written in the transaction of each effect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from choreo.events import event_name
from choreo.participant import Context, Handler, Parameter
from choreo.participant.handler import Task
from choreo.ports import Store

# A temporary table belongs to the connection, so the service's own schema is unchanged.
# One text a row, written into the statement: every database takes that, whatever its driver's marks are.
_TABLE = "CREATE TEMP TABLE IF NOT EXISTS choreo_effects (effect TEXT)"


class Effect(NamedTuple):
    """One handler's effect: ``place`` orders all participants' effects, ``result`` is the returned type.

    ``declared`` is the handler as the release declares it in which it took effect.
    """

    place: int
    saga_id: str
    saga_type: str
    task: Task
    handler: str
    step: str
    result: str
    declared: Handler

    @property
    def is_done(self) -> bool:
        """Whether it is that of a successful action, since a returned failure has no effect."""
        return self.task == "action" and self.result in self.declared.successes


class Effects:
    """The effects of one participant, committed or rolled back together with the handlers' own rows.

    Effects of handlers outside of a transaction are external, and remain even if the process ends.
    """

    def __init__(self, store: Store, count: Callable[[], int]) -> None:
        self._store = store
        self._count = count
        self._outside: list[Effect] = []
        self._declared: list[Handler] = []
        store.db.execute(_TABLE)

    def __iter__(self) -> Iterator[Effect]:
        found = self._store.db.execute("SELECT effect FROM choreo_effects").fetchall()
        rows = [json.loads(effect) for (effect,) in found]
        inside = (Effect._make((*row[:-1], self._declared[row[-1]])) for row in rows)
        return iter(sorted([*inside, *self._outside], key=lambda effect: effect.place))

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
        write = self._record_inside if handler.runs == "inside" else self._record_outside
        record = partial(write, len(self._declared))
        self._declared.append(handler)

        def called(*arguments: Any) -> Any:
            instead = before(handler, arguments)
            if instead is not None:
                return instead
            result = handler.function(*arguments[:-1])
            record(arguments[-1], result)
            after(handler)
            return result

        async def awaited(*arguments: Any) -> Any:
            instead = before(handler, arguments)
            if instead is not None:
                return instead
            result = await handler.function(*arguments[:-1])
            record(arguments[-1], result)
            waits = after(handler)
            if waits is not None:
                await waits
            return result

        function = awaited if handler.runs == "coroutine" else called
        context_too = Parameter("context", is_context=True)
        return replace(handler, function=function, parameters=(*handler.parameters, context_too))

    def _record_inside(self, number: int, context: Context, result: Any) -> None:
        effect = self._effect(number, context, result)
        text = json.dumps((*effect[:-1], number)).replace("'", "''")
        self._store.db.execute(f"INSERT INTO choreo_effects VALUES ('{text}')")

    def _record_outside(self, number: int, context: Context, result: Any) -> None:
        self._outside.append(self._effect(number, context, result))

    def _effect(self, number: int, context: Context, result: Any) -> Effect:
        handler = self._declared[number]
        name = "" if result is None else event_name(type(result))
        about = (context.saga_id, handler.saga.name, handler.task, handler.name, handler.step)
        return Effect(self._count(), *about, name, handler)

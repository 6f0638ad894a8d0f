"""``Rerun``: runs one handler of today's code again on the events that a saga's log recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, NoReturn

from choreo.participant import Context, Handler, Participant
from choreo.ports import Codec, Store
from choreo.protocol import Instance
from choreo.records import Entry, SagaKey
from choreo.replay.sandbox import sandbox
from choreo.worker.attempt import Attempt, attempt
from choreo.worker.binding import Binding
from choreo.worker.handlers import Handlers
from choreo.worker.item import TriggerEvent


class HandlerRun(NamedTuple):
    """One run of a handler; ``attempt`` is None where it did not run, and ``why`` is the reason.

    ``nondeterministic`` are its calls of the clock or of random numbers, ``effects`` its effects outside of
    the process, each with its place in the code.
    """

    handler: Handler | None
    attempt: Attempt | None = None
    why: str = ""
    nondeterministic: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()


OUTSIDE = "taken from the record"
NEEDS_BASE = "needs a base"
GONE = "without a handler"


class Rerun:
    """Runs handlers on a temporary database, or on none; effects outside of the process are refused.

    ``record`` is the store with the saga log. ``scratch`` is the store that handlers write to, inside a turn
    that the caller has opened: an earlier copy of ``record`` or, where ``has_base`` is False, an
    empty one that no handler sees.
    """

    def __init__(
        self, participant: Participant, codec: Codec, record: Store, scratch: Store, has_base: bool
    ) -> None:
        self._handlers = Handlers(participant)
        session = participant.session
        self._sessions = None if session is None or not has_base else scratch.sessions(session)
        self._codec = codec
        self._record = record
        self._scratch = scratch
        self._has_base = has_base

    def run(self, entry: Entry, saga: Instance, cause: Entry, attempts: int) -> HandlerRun:
        """Run the handler whose result is in the row ``entry``; ``saga`` is the saga before it."""
        handler = self._handler(entry, saga)
        if handler is None:
            return HandlerRun(None, why=GONE)  # the fold of its row reports it
        if handler.is_outside:
            return HandlerRun(handler, why=OUTSIDE)
        base = _NoBase()
        db = self._scratch.db if self._has_base else base
        now = entry.recorded_at
        named = (entry.saga_id, handler.step, handler.task)
        context = Context(
            *(*named, db, attempts + 1, now, None, entry.saga_type, saga.keyed_by_id),  # type: ignore[arg-type]
            sessions=self._sessions if self._has_base else base,
        )
        key = SagaKey(entry.saga_id, entry.saga_type)
        binding = Binding(self._record, self._codec, key, saga, self._cause(handler, cause))
        with _quiet(), sandbox() as seen:
            result = attempt(self._scratch, self._codec, handler, binding, context)
        if base.is_asked:
            return HandlerRun(handler, why=NEEDS_BASE, nondeterministic=tuple(seen.nondeterministic))
        return HandlerRun(
            handler, result, nondeterministic=tuple(seen.nondeterministic), effects=tuple(seen.effects)
        )

    def _handler(self, entry: Entry, saga: Instance) -> Handler | None:
        try:
            if entry.input in ("observed", "due"):
                return self._handlers.named(entry.step)
            task = saga.step(entry.step).task
            return self._handlers.of_step(entry.saga_type, task, entry.step, saga)
        except (KeyError, StopIteration):
            return None

    def _cause(self, handler: Handler, cause: Entry) -> TriggerEvent:
        key = (cause.saga_id, cause.saga_type)
        edited = self._record.edited(*key, handler.task, handler.known_as, cause.event_id)
        return TriggerEvent.of_entry(cause if edited is None else cause._replace(payload=edited))


class _NoBase:
    """Stands for a database where there is none: any use of it raises, and is recorded."""

    def __init__(self) -> None:
        self.is_asked = False

    def scope(self) -> AbstractContextManager[None]:
        """Open a block for one attempt of a handler, which has no session either."""
        return nullcontext()

    def open(self) -> NoReturn:
        """Raise, as for any other use."""
        self.__getattr__("open")

    def __getattr__(self, name: str) -> NoReturn:
        self.is_asked = True
        raise LookupError(NEEDS_BASE)

    def __getitem__(self, name: Any) -> NoReturn:
        self.__getattr__(str(name))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what handlers log, as it was logged when they first ran."""
    logger = logging.getLogger("choreo.handler")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before

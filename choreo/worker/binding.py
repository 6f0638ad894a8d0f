"""``Binding``: the arguments of a handler, which are decoded events of its saga."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from choreo.errors import BodyError, PayloadErased
from choreo.events import Aborted
from choreo.participant import Context, Handler, Parameter
from choreo.ports import Codec, Store
from choreo.protocol import Instance
from choreo.records import Entry, SagaKey
from choreo.worker.bodies import refuse_too_long
from choreo.worker.item import TriggerEvent


@dataclass
class Binding:
    """Finds and decodes the events of one saga that a handler takes."""

    store: Store
    codec: Codec
    saga_key: SagaKey
    saga: Instance
    trigger: TriggerEvent
    _work: tuple[str, str] = ("", "")

    def arguments(self, handler: Handler, context: Context) -> list[Any]:
        """Return a handler's arguments, in order. Raises `BodyError` where a body can't be used."""
        self._work = (handler.task, handler.known_as)
        return [
            context if parameter.is_context else self._argument(handler, parameter)
            for parameter in handler.parameters
        ]

    def events(self, types: frozenset[str], step: str) -> list[Any]:
        """Return the decoded events of these types in the saga, from which a step's answer is built.

        An earlier release, which something else called, may have taken them by their headers only. Where no
        body is there, the answer is built from the event at hand, or from another one of the saga.
        """
        self._work = ("action", step)
        wanted = sorted(types & self.saga.types)
        try:
            return [self._event(name) for name in wanted]
        except PayloadErased:
            raise
        except BodyError:
            names = [name for name in wanted if self._has_body(name)] or self._others()
            if names in ([], wanted):
                raise
            return [self._event(name) for name in names]

    def _others(self) -> list[str]:
        known = self.codec.schemas()
        names = (self.trigger.envelope.type, *sorted(self.saga.types))
        return [name for name in names if name in known and self._has_body(name)][:1]

    def _has_body(self, name: str) -> bool:
        if name == self.trigger.envelope.type and self.trigger.body is not None:
            return True
        return self._payload(name) is not None or self._edited(name) is not None

    def _argument(self, handler: Handler, parameter: Parameter) -> Any:
        found = self._find(handler, parameter)
        if found:
            return self._event(found)
        if parameter.admits_aborted:
            return Aborted(self.saga.failing or handler.step, self.saga.failing_outcome or "failed")
        if parameter.optional:
            return None
        if parameter.is_earlier:
            raise BodyError(
                f"{handler.name}: {' or '.join(parameter.types)} has not come before",
                hint=f"where that may be, annotate {parameter.name!r} with Earlier[…] | None",
            )
        raise BodyError(
            f"{handler.name}: the saga has no event for parameter {parameter.name!r}",
            hint="a deadline of another participant may call it without one: annotate it with … | Aborted",
        )

    def _find(self, handler: Handler, parameter: Parameter) -> str:
        if parameter.is_result:
            result = self.saga.step(handler.step).result
            return result if result in parameter.types else ""
        if self.trigger.envelope.type in parameter.types and not parameter.is_earlier:
            return self.trigger.envelope.type
        return next((name for name in parameter.types if name in self.saga.types), "")

    def _event(self, name: str) -> Any:
        mine = name == self.trigger.envelope.type
        # Of an own event that no handler took when it came back, the row that published it has the body.
        body = self.trigger.body if mine else None
        try:
            return self._decoded(name, self._payload(name) if body is None else body)
        except BodyError as error:
            mended = None if mine else self._edited(name)
            if mended is not None:
                return self._decoded(name, mended)
            error.event_type = name
            raise

    def _decoded(self, name: str, body: bytes | None) -> Any:
        if body is not None:
            refuse_too_long(name, body)
        return self.codec.decode(name, body)

    def _payload(self, name: str) -> bytes | None:
        return self.store.payload(*self.saga_key, name)

    def _edited(self, name: str) -> bytes | None:
        """Return the body with which an operator has replaced that of an earlier event for this handler."""
        event_id = next((each.event_id for each in self._entries(name)), "")
        return self.store.edited(*self.saga_key, *self._work, event_id)

    def _entries(self, name: str) -> Iterator[Entry]:
        for entry in self.store.history(*self.saga_key):
            if entry.input == "event" and entry.event_type == name and entry.note != "void":
                yield entry

"""``External``: an event that is imported from, or exported to, a topic other than the saga's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from choreo.errors import DeclarationError
from choreo.events import event_name, is_event
from choreo.outcome import CANCEL, START
from choreo.participant.handler import Handler
from choreo.saga import Saga

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True)
class External:
    """An event of a saga that is imported from, or exported to, another topic.

    With ``saga_id``, a function from the event to the saga's id or None (of no saga), the event is imported:
    the participant publishes a copy on the saga's topic, as the success of an ``external`` step, and only
    the copy is folded. The first one of a saga counts. An imported ``starts`` or ``aborts`` event starts or
    cancels the saga.

    Without ``saga_id`` it is exported: whenever the participant publishes it, a copy goes to ``topic``.

    A record is the event when its ``ce_type`` is the event's name and its body is in Avro's single-object
    encoding; for any other format, ``decode`` takes a record's value and returns the event, or None for
    a record that is not the event. ``saga`` is required only where several sagas own the event.

    Source: Hohpe and Woolf, *Enterprise Integration Patterns* (2003), "Channel Adapter".

    >>> from choreo import event
    >>> @event(namespace="shop")
    ... class ParcelDelivered:
    ...     order_id: str
    >>> External(ParcelDelivered, topic="carrier", saga_id=lambda delivered: delivered.order_id).is_import
    True
    """

    event: type
    topic: str
    saga_id: Callable[[Any], str | None] | None = None
    decode: Callable[[bytes], Any] | None = None
    saga: Saga | None = None

    @property
    def is_import(self) -> bool:
        """Whether the event is imported from the topic, rather than exported to it."""
        return self.saga_id is not None

    @cached_property
    def name(self) -> str:
        """The event's full name."""
        return event_name(self.event)

    def step(self, participant: str) -> str:
        """Return the name of the step that the import completes: start, cancel, or an external one."""
        assert self.saga is not None  # chosen by `externals_of`
        if self.event is self.saga.starts:
            return START
        if self.event is self.saga.aborts:
            return CANCEL
        return f"{participant}.{self.event.__name__}"


def externals_of(participant: str, given: Iterable[External], sagas: Sequence[Saga]) -> tuple[External, ...]:
    """Return the imports and exports of a participant, checked, and each with its saga.

    Raises `DeclarationError` for one that could not work.
    """
    chosen = []
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise DeclarationError(
            f"Participant({participant!r}): external={given!r} is not a list",
            hint='external=[External(ParcelDelivered, topic="carrier", saga_id=…)]',
        )
    for external in given:
        if not isinstance(external, External):
            raise DeclarationError(
                f"Participant({participant!r}): external={external!r} is not an External",
                hint='external=[External(ParcelDelivered, topic="carrier", saga_id=…)]',
            )
        try:
            chosen.append(_checked(external, sagas))
        except DeclarationError as error:
            where = f"Participant({participant!r}): External({getattr(external.event, '__name__', '?')})"
            raise DeclarationError(f"{where}: {error.message}", hint=error.hint) from None
    _refuse_twice(participant, chosen)
    return tuple(chosen)


def refuse_unfit(participant: str, externals: Iterable[External], handlers: Sequence[Handler]) -> None:
    """Refuse an export that nothing emits, and an import that a handler emits or whose saga can't be ended.

    Raises `DeclarationError`.
    """
    emitted = {name: handler for handler in handlers for name in handler.emits}
    for external in externals:
        where, saga = f"{participant} declares External({external.event.__name__})", external.saga
        assert saga is not None
        if external.is_import and external.name in emitted:
            raise DeclarationError(
                f"{where}, but {emitted[external.name].name} emits that event", hint="drop one of the two"
            )
        starts = any(each.task == "compensation" and each.step == START for each in handlers)
        if external.event is saga.starts and external.is_import and not starts:
            raise DeclarationError(
                f"{where}, which starts {saga.name!r}, but does not say how to end it when it fails",
                hint=f"declare @{participant}.compensation(of=….start) that returns {event_name(saga.fails)}",
            )
        if not external.is_import and external.name not in emitted and external.event not in saga.events:
            raise DeclarationError(
                f"{where}, but none of its handlers emits that event",
                hint="give saga_id=… where it is to be imported, or let who emits it export it",
            )


def _checked(external: External, sagas: Sequence[Saga]) -> External:
    if not is_event(external.event):
        raise DeclarationError("is not an event", hint="decorate the class with @event")
    if not (isinstance(external.topic, str) and _TOPIC.fullmatch(external.topic)):
        raise DeclarationError(
            f"topic={external.topic!r} is not a name for a Kafka topic",
            hint="letters, digits, '.', '_' and '-', 249 at most",
        )
    for option in ("saga_id", "decode"):
        value = getattr(external, option)
        if value is not None and not callable(value):
            raise DeclarationError(
                f"{option}={value!r} can't be called",
                hint="give a function: saga_id=lambda event: event.order_id",
            )
    saga = _saga_of(external, sagas)
    if external.topic in {each.topic for each in sagas}:
        raise DeclarationError(
            f"topic={external.topic!r} is a saga's own", hint="its events need no import: annotate a handler"
        )
    if external.is_import and external.event in (saga.completes, saga.fails):
        raise DeclarationError(
            f"{external.name} ends {saga.name!r}: only a step of the saga may do that",
            hint="import another event, and let an action answer it",
        )
    if external.decode and not external.is_import:
        raise DeclarationError("an export is not decoded", hint="drop decode=, or give saga_id=…")
    return External(external.event, external.topic, external.saga_id, external.decode, saga)


def _saga_of(external: External, sagas: Sequence[Saga]) -> Saga:
    own = [saga for saga in sagas if external.saga in (None, saga) and saga.owns(external.event)]
    if len(own) == 1:
        return own[0]
    names = ", ".join(repr(saga.name) for saga in sagas)
    if own:
        raise DeclarationError(f"is an event of several sagas: {names}", hint="say which with saga=…")
    raise DeclarationError(
        f"is an event of no saga that it takes part in: {names}",
        hint="declare the event in the saga's namespace, or add its to Saga(namespaces=…)",
    )


def _refuse_twice(participant: str, externals: Sequence[External]) -> None:
    seen: set[tuple[str, bool, str]] = set()
    for external in externals:
        key = (external.name, external.is_import, "" if external.is_import else external.topic)
        if key in seen:
            raise DeclarationError(
                f"Participant({participant!r}): {external.name} is external twice",
                hint="it is the outcome of one step: import it from one topic",
            )
        seen.add(key)

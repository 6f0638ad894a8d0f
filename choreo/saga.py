"""``Saga``: the contract that all participants of a saga type share."""

from __future__ import annotations

import re
from typing import NamedTuple

from choreo.errors import DeclarationError
from choreo.events import Aborted, event_name, event_type, is_event
from choreo.outcome import START

_TOPIC = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")


class StartStep(NamedTuple):
    """The step that starts a saga, as ``compensation(of=saga.start)`` names it."""

    saga: Saga
    name: str = START


class Saga:
    """A saga type: how it starts, how it ends, and the one topic that carries all its events.

    ``starts``, ``completes`` and ``fails`` are event classes; ``aborts`` is the event that cancels the saga,
    where it can be cancelled. ``topic`` is ``name`` by default. ``version`` grows when the contract
    changes: a participant acts on versions up to the one it knows. Events of the saga live in the
    namespace of ``starts``, below it, or in one of ``namespaces``.

    Raises `DeclarationError` for a contract that could not work.

    >>> from choreo import event
    >>> @event(namespace="shop")
    ... class OrderCreated:
    ...     order_id: str
    >>> @event(namespace="shop")
    ... class OrderFulfilled:
    ...     order_id: str
    >>> @event(namespace="shop")
    ... class OrderFailed:
    ...     order_id: str
    ...     reason: str
    >>> Saga("order-fulfilment", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed)
    Saga('order-fulfilment')
    """

    def __init__(
        self,
        name: str,
        *,
        starts: type,
        completes: type,
        fails: type,
        aborts: type | None = None,
        topic: str = "",
        version: int = 1,
        namespaces: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.starts = starts
        self.completes = completes
        self.fails = fails
        self.aborts = aborts
        self.topic = topic or name
        self.version = version
        self._refuse_bad_values()
        self._refuse_bad_events()
        self.namespaces = (event_type(starts).namespace, *self._given(namespaces))
        for cls in self.events:
            if not self.owns(cls):
                raise self._refusal(self.foreign(cls), f"Saga(namespaces=({event_type(cls).namespace!r},))")

    def _refuse_bad_values(self) -> None:
        for name in (self.name, self.topic):
            if not (isinstance(name, str) and _TOPIC.fullmatch(name)):
                raise self._refusal(
                    f"{name!r} is not a name for a Kafka topic",
                    "letters, digits, '.', '_' and '-', 249 at most; not '.' or '..'",
                )
        if not isinstance(self.version, int) or self.version < 1:
            raise self._refusal(f"version={self.version!r} makes no sense", "1, 2, 3 and so on")

    def _refuse_bad_events(self) -> None:
        for cls in self.events:
            if not is_event(cls):
                raise self._refusal(
                    f"{getattr(cls, '__name__', cls)!s} is not an event", "decorate the class with @event"
                )
            if cls is Aborted:
                raise self._refusal("Aborted is never published", "declare an event of the saga's own")
        names = [event_name(cls) for cls in self.events]
        for name in names:
            if names.count(name) > 1:
                raise self._refusal(
                    f"{name} is named twice", "starts, completes, fails and aborts are different events"
                )

    def _given(self, namespaces: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(namespaces, str):
            raise self._refusal(f"namespaces={namespaces!r} is not a tuple", f"namespaces=({namespaces!r},)")
        return tuple(namespaces)

    def _refusal(self, message: str, hint: str) -> DeclarationError:
        return DeclarationError(f"Saga({self.name!r}): {message}", hint=hint)

    @property
    def events(self) -> tuple[type, ...]:
        """The event classes that the contract names."""
        named = (self.starts, self.completes, self.fails)
        return (*named, self.aborts) if self.aborts else named

    @property
    def start(self) -> StartStep:
        """The step that starts the saga: ``@orders.compensation(of=order_fulfilment.start)``."""
        return StartStep(self)

    def owns(self, cls: type) -> bool:
        """Whether an event class may be an event of this saga, by its namespace."""
        namespace = event_type(cls).namespace
        return any(namespace == own or (own and namespace.startswith(f"{own}.")) for own in self.namespaces)

    def foreign(self, cls: type) -> str:
        """Return why an event class is not of this saga."""
        return (
            f"{event_name(cls)} is not an event of saga {self.name!r}, whose events live in "
            f"namespace {' or '.join(repr(namespace) for namespace in self.namespaces)}"
        )

    def __repr__(self) -> str:
        return f"Saga({self.name!r})"

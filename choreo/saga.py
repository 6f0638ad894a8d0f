"""``Saga``: the contract that all participants of a saga share."""

from __future__ import annotations

import re
from typing import NamedTuple

from choreo.errors import DeclarationError
from choreo.event import event_name, event_type, is_event
from choreo.outcome import START

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class StartStep(NamedTuple):
    """The step that starts a saga, to name it in ``compensation(of=…)``."""

    saga: Saga
    name: str = START


class Saga:
    """A saga type: how it starts, how it ends, and the one topic that carries all its events.

    ``starts``, ``completes``, ``fails`` are event classes, ``aborts`` the event that cancels it, where it
    can be cancelled. ``topic`` is ``name`` where none is given. ``version`` grows when the contract
    changes: a participant acts on versions up to the one it knows. Events of the saga live in the
    namespace of ``starts``, below it, or in one of ``namespaces``.

    Raises `DeclarationError` for what could not work.

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
        self._check()
        self.namespaces = (event_type(starts).namespace, *namespaces)
        for cls in self.events:
            if not self.owns(cls):
                raise DeclarationError(f"Saga({name!r}): {self.foreign(cls)}")

    def _check(self) -> None:
        where = f"Saga({self.name!r})"
        if not _TOPIC.fullmatch(self.name) or not _TOPIC.fullmatch(self.topic):
            raise DeclarationError(
                f"{where}: name and topic must be Kafka topic names",
                hint="letters, digits, '.', '_' and '-', 249 at most",
            )
        if self.version < 1:
            raise DeclarationError(f"{where}: version must be 1 or more, not {self.version}")
        for cls in self.events:
            if not is_event(cls):
                raise DeclarationError(
                    f"{where}: {getattr(cls, '__name__', cls)!s} is not an event",
                    hint="decorate the class with @event",
                )
        if len({event_name(cls) for cls in self.events}) != len(self.events):
            raise DeclarationError(f"{where}: starts, completes, fails and aborts must be different events")

    @property
    def events(self) -> tuple[type, ...]:
        """The event classes that the contract itself names."""
        named = (self.starts, self.completes, self.fails)
        return (*named, self.aborts) if self.aborts else named

    @property
    def start(self) -> StartStep:
        """The step that starts the saga: ``@orders.compensation(of=order_fulfilment.start)``."""
        return StartStep(self)

    def owns(self, cls: type) -> bool:
        """Say whether an event class may be an event of this saga, by its namespace."""
        namespace = event_type(cls).namespace
        return any(namespace == own or (own and namespace.startswith(f"{own}.")) for own in self.namespaces)

    def foreign(self, cls: type) -> str:
        """Say why an event class is not of this saga."""
        return (
            f"{event_name(cls)} is not an event of saga {self.name!r}, whose events live in "
            f"namespace {' or '.join(repr(namespace) for namespace in self.namespaces)}"
        )

    def __repr__(self) -> str:
        return f"Saga({self.name!r})"

"""``Saga``: the contract that all participants of a saga type share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from choreo.errors import DeclarationError
from choreo.events import Aborted, event_name, event_type, is_event
from choreo.outcome import START

_TOPIC = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")


class Versions(NamedTuple):
    """The versions of a saga from ``since`` to ``until``; without ``until``, all later ones too."""

    since: int = 1
    until: int | None = None

    def includes(self, version: int) -> bool:
        """Whether a version is one of them."""
        return self.since <= version and (self.until is None or version <= self.until)

    def both(self, other: Versions) -> Versions | None:
        """Return the versions that are in both, None where there are none.

        >>> Versions(2).both(Versions(until=3)), Versions(2).both(Versions(until=1))
        (Versions(since=2, until=3), None)
        """
        since = max(self.since, other.since)
        until = min((each for each in (self.until, other.until) if each is not None), default=None)
        return None if until is not None and until < since else Versions(since, until)

    def __str__(self) -> str:
        if self.until is None:
            return f"version {self.since} and later"
        if self.since == self.until:
            return f"version {self.since}"
        return f"versions {self.since} to {self.until}"


ALL_VERSIONS = Versions()


def spans(newest: int, declared: Iterable[Versions]) -> tuple[Versions, ...]:
    """Return the versions up to ``newest``, oldest first, together those that are in the same ``declared``.

    >>> [str(each) for each in spans(4, [Versions(until=1), Versions(2), Versions(4)])]
    ['version 1', 'versions 2 to 3', 'version 4 and later']
    """
    starts = {1}
    for each in declared:
        starts |= {each.since, (each.until or 0) + 1}
    ordered = sorted(start for start in starts if start <= newest)
    closed = (Versions(start, following - 1) for start, following in pairwise(ordered))
    return (*closed, Versions(ordered[-1]))


class StartStep(NamedTuple):
    """The step that starts a saga, for ``compensation(of=saga.start)``."""

    saga: Saga
    name: str = START


class Saga:
    """A saga type: its events of start and end, and the one topic of all its events.

    ``starts``, ``completes`` and ``fails`` are event classes; so is ``aborts``, the event that cancels the
    saga, None where it can't be cancelled. ``topic`` is by default ``name``. ``version`` (1, 2 and so on) is
    increased when the choreography changes: a saga stays of the version with which it was started, handlers
    say with ``since`` and ``until`` of which versions they are, and a participant acts only on sagas of its
    own version and of older ones. All events of the saga are in the namespace of ``starts``, in one of
    ``namespaces``, or below these.

    Raises `DeclarationError` for a contract that could not work. Source: Garcia-Molina and Salem, *Sagas*
    (SIGMOD 1987).

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
        self.topic = name if topic == "" else topic
        self.version = version
        self._refuse_bad_values()
        self._refuse_bad_events()
        self.namespaces = (event_type(starts).namespace, *self._checked(namespaces))
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
        if type(self.version) is not int or self.version < 1:
            raise self._refusal(f"version={self.version!r} makes no sense", "1, 2, 3 and so on")

    def _refuse_bad_events(self) -> None:
        for part in ("starts", "completes", "fails", "aborts"):
            cls = getattr(self, part)
            if not is_event(cls) and not (part == "aborts" and cls is None):
                raise self._refusal(
                    f"{part}: {getattr(cls, '__name__', cls)!s} is not an event",
                    "decorate the class with @event",
                )
        for cls in self.events:
            if cls is Aborted:
                raise self._refusal("Aborted is never published", "declare an event of the saga's own")
        names = [event_name(cls) for cls in self.events]
        for name in names:
            if names.count(name) > 1:
                raise self._refusal(
                    f"{name} is named twice", "starts, completes, fails and aborts are different events"
                )

    def _checked(self, namespaces: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(namespaces, str):
            raise self._refusal(f"namespaces={namespaces!r} is not a tuple", f"namespaces=({namespaces!r},)")
        if not isinstance(namespaces, tuple | list) or not all(isinstance(each, str) for each in namespaces):
            raise self._refusal(
                f"namespaces={namespaces!r} is not a tuple of texts", 'namespaces=("shop", "bank")'
            )
        return tuple(namespaces)

    def _refusal(self, message: str, hint: str) -> DeclarationError:
        return DeclarationError(f"Saga({self.name!r}): {message}", hint=hint)

    @property
    def events(self) -> tuple[type, ...]:
        """The event classes of the contract."""
        named = (self.starts, self.completes, self.fails)
        return (*named, self.aborts) if self.aborts else named

    @property
    def start(self) -> StartStep:
        """The step that starts the saga: ``@orders.compensation(of=order_fulfilment.start)``."""
        return StartStep(self)

    def owns(self, cls: type) -> bool:
        """Whether an event class is in the saga's namespaces, and so may be one of its events."""
        namespace = event_type(cls).namespace
        return any(namespace == own or (own and namespace.startswith(f"{own}.")) for own in self.namespaces)

    def foreign(self, cls: type) -> str:
        """Return the error message for an event class that is not in the saga's namespaces."""
        return (
            f"{event_name(cls)} is not an event of saga {self.name!r}, whose events live in "
            f"namespace {' or '.join(repr(namespace) for namespace in self.namespaces)}"
        )

    def __repr__(self) -> str:
        return f"Saga({self.name!r})"

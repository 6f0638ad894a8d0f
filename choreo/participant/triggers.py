"""The conditions that users write, ``A | B`` and ``all_of(A, B)``, and the protocol's triggers of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from choreo import limits
from choreo.annotations import members
from choreo.errors import DeclarationError
from choreo.events import Aborted, event_name, is_event
from choreo.protocol import Trigger


class AllOf:
    """A join of conditions, made by `all_of`."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        self.levels: int = 1 + max((part.levels for part in parts if isinstance(part, AllOf)), default=0)

    def __or__(self, other: Any) -> AnyOf:
        return AnyOf((self, other))

    def __ror__(self, other: Any) -> AnyOf:
        return AnyOf((other, self))

    def __repr__(self) -> str:
        return f"all_of({', '.join(map(_written, self.parts))})"


class AnyOf(AllOf):
    """A union of conditions of which at least one is a join: ``A | all_of(B, C)``."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        super().__init__(
            tuple(each for part in parts for each in (part.parts if isinstance(part, AnyOf) else (part,)))
        )
        self.levels -= 1

    def __repr__(self) -> str:
        return " | ".join(map(_written, self.parts))


NOTHING = AnyOf(())
"""The condition of a compensation that names no event: it is derived from the whole choreography."""


def all_of(*parts: Any) -> AllOf:
    """Return a join: the condition for ``on=`` that is met once all its parts are, in any order.

    Each part is an event class, a union of event classes, or another condition. Raises `DeclarationError`
    for fewer than two parts. Source: van der Aalst et al., *Workflow Patterns* (2003), "Synchronization".

    >>> from choreo import event
    >>> @event
    ... class HotelBooked:
    ...     trip: str
    >>> @event
    ... class FlightBooked:
    ...     trip: str
    >>> all_of(HotelBooked, FlightBooked)
    all_of(HotelBooked, FlightBooked)
    """
    if len(parts) < 2:
        raise DeclarationError("all_of joins at least two conditions", hint="a single event needs no all_of")
    condition = AllOf(parts)
    if condition.levels > limits.TRIGGER_LEVELS:
        raise DeclarationError(
            f"joins are nested in each other, {condition.levels} of them, of at most {limits.TRIGGER_LEVELS}",
            hint="join some of the branches in a step of their own, and go on from its event",
        )
    named = len(event_classes(condition))
    if named > limits.TRIGGER_TYPES:
        raise DeclarationError(
            f"a join names {named:,} events, of at most {limits.TRIGGER_TYPES:,}",
            hint="join some of the branches in a step of their own, and go on from its event",
        )
    return condition


def event_classes(condition: Any) -> list[type]:
    """Return every event class that a condition names, in the order written.

    Raises `DeclarationError` for anything that is not an event class.
    """
    if isinstance(condition, AllOf):
        return [cls for part in condition.parts for cls in event_classes(part)]
    classes = union_members(condition)
    for cls in classes:
        if not is_event(cls):
            raise DeclarationError(f"{_written(cls)} is not an event", hint="decorate the class with @event")
    return classes


def trigger_of(condition: Any) -> Trigger:
    """Return the protocol's trigger of a condition, without `Aborted`.

    Raises `DeclarationError` when a part of a join is `Aborted` alone, which is never in the topic.
    """
    if isinstance(condition, AnyOf):
        return Trigger.any_of(*(trigger_of(part) for part in condition.parts))
    if isinstance(condition, AllOf):
        return _join([trigger_of(part) for part in condition.parts])
    names = [event_name(cls) for cls in event_classes(condition) if cls is not Aborted]
    return Trigger.of(*names)


def _join(parts: list[Trigger]) -> Trigger:
    if not all(parts):
        raise DeclarationError(
            "Aborted can't be joined with other events: it comes when none of them does",
            hint="annotate the parameter of the event that calls it: PaymentFailed | Aborted",
        )
    return Trigger.all_of(*parts)


def is_optional(annotation: Any) -> bool:
    """Whether an annotation is a union with None."""
    found = {member for member, _ in members(annotation)}
    return len(found) > 1 and type(None) in found


def union_members(annotation: Any) -> list[Any]:
    """Return the members of ``A | B``, or the one class itself, without None."""
    found = distinct(member for member, _ in members(annotation))
    return [member for member in found if member is not type(None)] or found


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return the values without repetitions; one that is no class may not be hashable."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _written(part: Any) -> str:
    return part.__name__ if isinstance(part, type) else str(part) or repr(part)

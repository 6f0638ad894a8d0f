"""Answers that no handler writes: a refusal, exhausted retries, a compensation settled by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from choreo.errors import DeclarationError
from choreo.event import event_name

REASON = "reason"


def build(cls: type, sources: Sequence[object], reason: str, answer: Callable[..., Any] | None = None) -> Any:
    """Build an answer from the fields of the same name of the events that triggered the step.

    ``reason`` fills the field of that name. ``answer``, where given, is called with the events and the
    reason instead. Raises `DeclarationError` when a field is missing or ``answer`` gives another event.

    >>> from choreo import event
    >>> @event
    ... class OrderCreated:
    ...     order_id: str
    ...     total: int
    >>> @event
    ... class PaymentFailed:
    ...     order_id: str
    ...     reason: str
    >>> build(PaymentFailed, [OrderCreated("o-1", 5)], "card declined")
    PaymentFailed(order_id='o-1', reason='card declined')
    """
    if answer is not None:
        made = answer(*sources, reason)
        if type(made) is not cls:
            raise DeclarationError(f"answer= must give a {event_name(cls)}, not a {type(made).__name__}")
        return made
    values: dict[str, Any] = {}
    for source in sources:
        values.update((field.name, getattr(source, field.name)) for field in _fields(source))
    values[REASON] = reason
    names = [field.name for field in _fields(cls)]
    return cls(**{name: values[name] for name in names if name in values})


def missing_fields(cls: type, sources: Iterable[type]) -> list[str]:
    """Say which fields of an answer no triggering event can fill."""
    filled = {REASON: str}
    for source in sources:
        filled.update((field.name, field.type) for field in _fields(source))  # type: ignore[misc]
    return [
        field.name
        for field in _fields(cls)
        if _is_required(field) and not _same(filled.get(field.name), field.type)
    ]


def _fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _same(given: Any, wanted: Any) -> bool:
    """Compare two annotations, either of which may be written as a string."""
    return given is not None and _written(given) == _written(wanted)


def _written(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)

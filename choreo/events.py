"""``event``: the decorator that makes a class a domain event, a frozen dataclass with an Avro full name."""

from __future__ import annotations

import dataclasses
import dis
import inspect
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, NamedTuple, TypeVar, dataclass_transform, overload

from choreo.errors import DeclarationError, wrong_argument

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = "__choreo_event__"


class _Earlier:
    """Marks the annotation of a parameter that takes an earlier event."""


EARLIER = _Earlier()

Earlier = Annotated[T, EARLIER]
"""The annotation of a handler's parameter that takes an earlier event of the saga, which does not call it.

``order: Earlier[OrderCreated]`` requires that the event precedes, which ``choreo verify`` proves;
``Earlier[OrderCreated] | None`` does not. ``Earlier[A | B]`` takes the first of A and B in the saga. The
participant's saga log keeps the event's body from the first release on in which a handler takes it.
"""


@dataclasses.dataclass(frozen=True)
class DecimalOf:
    """The digits of a Decimal field of an event: ``precision`` in all, ``scale`` of them after the point.

    A Decimal field without it is refused, as no scale fits every currency. A value with more digits after
    the point than ``scale`` is refused, never rounded. Raises `ValueError` for impossible numbers. Source:
    Apache Avro 1.12 specification, "Decimal".

    >>> from decimal import Decimal
    >>> from typing import Annotated
    >>> from choreo import DecimalOf, event
    >>> @event(namespace="shop")
    ... class PaymentProcessed:
    ...     order_id: str
    ...     amount: Annotated[Decimal, DecimalOf(precision=12, scale=2)]
    >>> PaymentProcessed("o-1", Decimal("9.99")).amount
    Decimal('9.99')
    >>> DecimalOf(2, 3)
    Traceback (most recent call last):
    ValueError: DecimalOf(precision=2, scale=3): 0 <= scale <= precision and 1 <= precision <= 1000
    """

    precision: int
    scale: int

    def __post_init__(self) -> None:
        for name in ("precision", "scale"):
            if type(getattr(self, name)) is not int:
                hint = "DecimalOf(precision=12, scale=2)"
                raise wrong_argument(name, getattr(self, name), "a whole number", hint=hint)
        if not (0 <= self.scale <= self.precision and 1 <= self.precision <= 1000):
            raise ValueError(f"{self!r}: 0 <= scale <= precision and 1 <= precision <= 1000")


class EventType(NamedTuple):
    """The description of an event class: ``name`` is its Avro full name, such as ``shop.OrderCreated``."""

    name: str
    namespace: str
    doc: str


@dataclass_transform(frozen_default=True)
@overload
def event(cls: type[T], /) -> type[T]: ...


@dataclass_transform(frozen_default=True)
@overload
def event(*, namespace: str = "", name: str = "") -> Callable[[type[T]], type[T]]: ...


def event(cls: type[T] | None = None, /, *, namespace: str = "", name: str = "") -> Any:
    """Make a class a domain event: a frozen dataclass with an Avro full name.

    ``namespace`` (dotted) and ``name`` (by default the class's own) form the full name, which is the
    ``ce_type`` and the name of the Avro schema; the class's docstring becomes the schema's ``doc``.

    Raises `DeclarationError` when the name isn't an Avro name, or the class can't be a dataclass. Source:
    Vernon, *Implementing Domain-Driven Design* (2013), chapter 8, "Domain Events".

    >>> @event(namespace="shop")
    ... class OrderCreated:
    ...     '''A customer placed an order.'''
    ...     order_id: str
    >>> OrderCreated("o-1")
    OrderCreated(order_id='o-1')
    >>> event_name(OrderCreated)
    'shop.OrderCreated'
    """
    for option, value in (("namespace", namespace), ("name", name)):
        if not isinstance(value, str):
            raise wrong_argument(option, value, "a text", hint='@event(namespace="shop")')
    if cls is None:
        return lambda decorated: _declare(decorated, namespace, name)
    return _declare(cls, namespace, name)


def _declare(cls: type[T], namespace: str, name: str) -> type[T]:
    if not isinstance(cls, type):
        raise DeclarationError(
            f"@event decorates a class, not {cls!r}",
            hint='options are given by name: @event(namespace="shop")',
        )
    short = name or cls.__name__
    _refuse_bad_names(cls, [*namespace.split("."), short] if namespace else [short])
    _refuse_lost_fields(cls)
    full = f"{namespace}.{short}" if namespace else short
    decorated = _frozen(cls)
    _refuse_own_init(decorated)
    setattr(decorated, _MARK, EventType(full, namespace, _doc(cls)))
    return decorated


def _doc(cls: type) -> str:
    doc = cls.__dict__.get("__doc__") or ""
    # What @dataclass generates adds nothing to the schema.
    return "" if doc.startswith(f"{cls.__name__}(") else doc


def _refuse_bad_names(cls: type, names: list[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise DeclarationError(
                f"{_origin(cls)}: {name!r} is not an Avro name",
                hint="letters, digits and underscores, not beginning with a digit",
            )


def _frozen(cls: type[T]) -> type[T]:
    """Return the class as a frozen dataclass; one that is so already keeps its options."""
    if "__dataclass_fields__" in cls.__dict__:
        # A second decoration keeps the methods of the first one, which assign to the fields.
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise _refusal(cls, "it is a dataclass that is not frozen", _FREEZE)
        return cls
    try:
        return dataclasses.dataclass(frozen=True)(cls)
    except (TypeError, ValueError) as error:
        raise _refusal(cls, str(error), "an event is a frozen dataclass, and follows its rules") from None


_FREEZE = (
    "@event makes the dataclass: drop @dataclass, or give the options that it needs as "
    "@dataclass(frozen=True, …)"
)


def _refuse_lost_fields(cls: type) -> None:
    """Refuse a base class whose annotations `dataclass` passes over, since it is none itself."""
    for base in cls.__mro__[1:]:
        annotations = inspect.get_annotations(base)
        fields = [name for name, kind in annotations.items() if "ClassVar" not in str(kind)]
        if fields and "__dataclass_fields__" not in base.__dict__:
            raise _refusal(
                cls,
                f"{base.__qualname__}.{fields[0]} would be no field of it",
                f"decorate {base.__qualname__} with @dataclass(frozen=True), or with @event",
            )


def _refuse_own_init(cls: type) -> None:
    """Refuse a class that can't be made from its fields, or whose own methods assign to them."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for field in fields.values():
        if not field.init:
            raise _refusal(cls, f"{field.name} has init=False and can't be decoded", "make it a property")
    parameters = inspect.signature(cls).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    missing = [name for name in fields if name not in parameters and not takes_all]
    extra = [
        name for name, each in parameters.items() if name not in fields and each.kind is not each.VAR_KEYWORD
    ]
    if missing or extra:
        raise _refusal(
            cls,
            f"__init__ takes {extra[0]!r}, which is not a field"
            if extra
            else f"__init__ takes no {missing[0]!r}",
            "an event is made of its fields alone: leave __init__ out, or take each field by its name",
        )
    for method in ("__init__", "__post_init__"):
        name = _assigned(getattr(cls, method, None))
        if name:
            raise _refusal(
                cls,
                f"{method} assigns to self.{name}, but an event is frozen",
                "leave it out; make what follows from the fields a property",
            )


def _assigned(method: Any) -> str:
    """Return the first attribute to which a method assigns on its first parameter, or an empty string."""
    code = getattr(method, "__code__", None)
    # Generated methods have no file.
    if code is None or not code.co_argcount or code.co_filename.startswith("<"):
        return ""
    for loaded, stored in pairwise(dis.get_instructions(code)):
        last = loaded.argval[-1] if isinstance(loaded.argval, tuple) else loaded.argval
        if stored.opname == "STORE_ATTR" and "LOAD_FAST" in loaded.opname and last == code.co_varnames[0]:
            return str(stored.argval)
    return ""


def _refusal(cls: type, why: str, hint: str) -> DeclarationError:
    return DeclarationError(f"{_origin(cls)}: {why}", hint=hint)


def _origin(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def is_event(cls: object) -> bool:
    """Whether ``@event`` decorates this class itself, not only a base class."""
    return isinstance(cls, type) and _MARK in cls.__dict__


def event_type(cls: type) -> EventType:
    """Return the description of an event class. Raises `DeclarationError` where it isn't one."""
    if not is_event(cls):
        raise DeclarationError(
            f"{getattr(cls, '__qualname__', cls)!s} is not an event", hint="decorate it with @event"
        )
    found: EventType = cls.__dict__[_MARK]
    return found


def event_name(cls: type) -> str:
    """Return an event class's Avro full name. Raises `DeclarationError` where it isn't an event."""
    return event_type(cls).name


def short_name(event_type: str) -> str:
    """Return an event's name without its namespace.

    >>> short_name("shop.OrderCreated")
    'OrderCreated'
    """
    return event_type.rpartition(".")[2]


@event(namespace="choreo")
class Aborted:
    """The event passed to a compensation with an event parameter when no event of another step called it.

    That is the case for a step without later steps, and after the step's own timeout. ``step`` is the step
    whose failure or timeout was the first in the topic, ``reason`` why it failed. It is never published, and
    a compensation that names no event does not need it.

    >>> from examples.orders.contract import InventoryReserved, PaymentFailed, ReservationReleased
    >>> def release(event: PaymentFailed | Aborted, reserved: InventoryReserved) -> ReservationReleased:
    ...     return ReservationReleased(reserved.order_id)
    """

    step: str
    reason: str

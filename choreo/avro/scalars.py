"""Shapes of single values: Avro's primitive types and the logical types on them.

Source: Apache Avro 1.12 specification, "Primitive Types" and "Logical Types".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

from choreo.avro.shape import Misfit, Shape, expected

_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_DAY_MICROS = 24 * 60 * 60 * 1_000_000


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise expected("str", value)
    return value


def _whole(value: Any) -> Any:
    if type(value) is not int and (not isinstance(value, int) or isinstance(value, bool)):
        raise expected("int", value)
    if not _LONG_MIN <= value <= _LONG_MAX:
        raise Misfit("an int outside of 64 bits")
    return value


def _real(value: Any) -> Any:
    if type(value) is float:
        return value
    if not isinstance(value, float | int) or isinstance(value, bool):
        raise expected("float", value)
    try:
        float(value)
    except OverflowError:
        raise Misfit("an int too large for a float") from None
    return value


def _truth(value: Any) -> Any:
    if value is not True and value is not False:
        raise expected("bool", value)
    return value


def _binary(value: Any) -> Any:
    if not isinstance(value, bytes):
        raise expected("bytes", value)
    return value


def _days(value: Any) -> int:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise expected("date", value)
    return value.toordinal() - _EPOCH_DAY


def _micros(value: Any) -> int:
    if not isinstance(value, datetime):
        raise expected("datetime", value)
    if value.utcoffset() is None:
        raise Misfit("a datetime without a time zone: give it one, such as datetime.now(UTC)")
    return (value - _EPOCH) // _MICROSECOND


def _micros_of_day(value: Any) -> int:
    if not isinstance(value, time):
        raise expected("time", value)
    if value.tzinfo is not None:
        raise Misfit("a time of day with a time zone: Avro's has none")
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _time_of_day(micros: int) -> time:
    if not 0 <= micros < _DAY_MICROS:
        raise Misfit("a time of day outside of 24 hours")
    seconds, micro = divmod(micros, 1_000_000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, micro)


def _uuid_text(value: Any) -> str:
    if not isinstance(value, UUID):
        raise expected("UUID", value)
    return str(value)


SCALARS: dict[type, Shape] = {
    str: Shape("string", "string", (str,), str, _text, keeps=True),
    int: Shape("long", "long", (int,), int, _whole, keeps=True),
    float: Shape("double", "double", (float, int), float, _real, keeps=True),
    bool: Shape("boolean", "boolean", (bool,), bool, _truth, keeps=True),
    bytes: Shape("bytes", "bytes", (bytes,), bytes, _binary, keeps=True),
    date: Shape(
        {"type": "int", "logicalType": "date"},
        "int",
        (date,),
        int,
        _days,
        lambda days: date.fromordinal(days + _EPOCH_DAY),
    ),
    datetime: Shape(
        {"type": "long", "logicalType": "timestamp-micros"},
        "long",
        (datetime,),
        int,
        _micros,
        lambda micros: _EPOCH + timedelta(microseconds=micros),
    ),
    time: Shape(
        {"type": "long", "logicalType": "time-micros"}, "long", (time,), int, _micros_of_day, _time_of_day
    ),
    UUID: Shape({"type": "string", "logicalType": "uuid"}, "string", (UUID,), str, _uuid_text, UUID),
}
"""The shape of every single-valued type; a class of a field is looked up here by identity."""


@dataclass(frozen=True)
class DecimalOf:
    """Says how many digits a Decimal field has: ``precision`` in all, ``scale`` of them after the point.

    There is no default: a scale that doesn't fit the currency would round money, so a bare Decimal is
    refused. A value with more decimals than ``scale`` is refused too, never rounded.

    >>> from typing import Annotated
    >>> Price = Annotated[Decimal, DecimalOf(precision=12, scale=2)]
    >>> DecimalOf(2, 3)
    Traceback (most recent call last):
    ValueError: DecimalOf(precision=2, scale=3): 0 <= scale <= precision and 1 <= precision <= 1000
    """

    precision: int
    scale: int

    def __post_init__(self) -> None:
        if not (0 <= self.scale <= self.precision and 1 <= self.precision <= 1000):
            raise ValueError(f"{self!r}: 0 <= scale <= precision and 1 <= precision <= 1000")

    def shape(self) -> Shape:
        """Give the shape: big-endian two's complement of the unscaled number, as Avro has it."""
        schema = {
            "type": "bytes",
            "logicalType": "decimal",
            "precision": self.precision,
            "scale": self.scale,
        }
        limit = 10**self.precision
        exact = Context(prec=self.precision)

        def to_avro(value: Any) -> bytes:
            unscaled = self._unscaled(value)
            return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)

        def from_avro(body: bytes) -> Decimal:
            unscaled = int.from_bytes(body, "big", signed=True)
            if not -limit < unscaled < limit:
                raise Misfit(f"a decimal of more than {self.precision} digits")
            return Decimal(unscaled).scaleb(-self.scale, exact)

        return Shape(schema, "bytes", (Decimal,), bytes, to_avro, from_avro)

    def _unscaled(self, value: Any) -> int:
        if not isinstance(value, Decimal):
            raise expected("Decimal", value)
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise Misfit("a Decimal that is not a number")
        if not value:
            return 0
        # Looked at before any power of ten is computed: Decimal("1e999999") is a short value.
        if value.adjusted() + 1 + self.scale > self.precision:
            raise Misfit(f"a decimal of more than {self.precision} digits")
        number, shift = int("".join(map(str, digits))), exponent + self.scale
        dropped = -shift if shift < 0 else 0
        if dropped >= len(digits) or number % 10**dropped:
            raise Misfit(f"a decimal with more than {self.scale} digits after the point")
        unscaled: int = number // 10**dropped * 10 ** max(shift, 0)
        return -unscaled if sign else unscaled

"""Python types as Avro types: the schema and the conversions, here of single values.

Source: Apache Avro 1.12 specification, "Primitive Types" and "Logical Types".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

from choreo.events import DecimalOf

Schema = Any
"""An Avro schema as parsed JSON: a name, a dict or, for a union, a list."""

Convert = Callable[[Any], Any]


class Mismatch(Exception):
    """Raised when a value doesn't fit its type; names the place and the reason, never the value.

    >>> str(Mismatch("expected int, not str").inside("[]").inside("counts"))
    'counts[]: expected int, not str'
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason

    def inside(self, place: str) -> Mismatch:
        """Return the same mismatch with its path extended by an outer place."""
        dot = "." if self.path and not self.path.startswith(("[", "{")) else ""
        return Mismatch(self.reason, f"{place}{dot}{self.path}")


def expected(what: str, value: object) -> Mismatch:
    """Return the `Mismatch` of a value of another type."""
    return Mismatch(f"expected {what}, not {type(value).__name__}")


@dataclass(frozen=True)
class AvroType:
    """A Python type in Avro: its schema and its two conversions.

    ``schema`` has every named type in full; ``name`` is the name of its branch in a union (a primitive's
    name, ``array``, ``map``, or a full name). ``python`` are the classes of its values, ``raw`` is the class
    of a decoded value before ``from_avro`` (None for records and enums, which are distinguished by name).
    ``to_avro`` checks a value and converts it, or raises `Mismatch`; where it ``keeps``, it returns the value
    unchanged. ``from_avro`` is None where there is nothing to convert.
    """

    schema: Schema
    name: str
    python: tuple[type, ...]
    raw: type | None
    to_avro: Convert
    from_avro: Convert | None = None
    keeps: bool = False


_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_FIRST_MICROS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_DAY_MICROS = 24 * 60 * 60 * 1_000_000


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise expected("str", value)
    return value


def _whole(value: Any) -> Any:
    if type(value) is not int and (not isinstance(value, int) or isinstance(value, bool)):
        raise expected("int", value)
    if not _LONG_MIN <= value <= _LONG_MAX:
        raise Mismatch("an int outside of 64 bits")
    return value


def _real(value: Any) -> Any:
    if type(value) is float:
        return value
    if not isinstance(value, float | int) or isinstance(value, bool):
        raise expected("float", value)
    try:
        if float(value) == value or isinstance(value, float):
            return value
    except OverflowError:
        raise Mismatch("an int too large for a float") from None
    raise Mismatch("an int that no float holds exactly")


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
        raise Mismatch("a datetime without a time zone: give it one, such as datetime.now(UTC)")
    micros = (value - _EPOCH) // _MICROSECOND
    if not _FIRST_MICROS <= micros <= _LAST_MICROS:
        raise Mismatch("a datetime that in UTC is not within the years 1 to 9999")
    if type(value) is not datetime and (value - _EPOCH) % _MICROSECOND:
        raise Mismatch("a datetime finer than a microsecond")
    return micros


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _micros_of_day(value: Any) -> int:
    if not isinstance(value, time):
        raise expected("time", value)
    if value.tzinfo is not None:
        raise Mismatch("a time of day with a time zone: Avro's has none")
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _time_of_day(micros: int) -> time:
    if not 0 <= micros < _DAY_MICROS:
        raise Mismatch("a time of day outside of 24 hours")
    seconds, micro = divmod(micros, 1_000_000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, micro)


def _uuid_text(value: Any) -> str:
    if not isinstance(value, UUID):
        raise expected("UUID", value)
    return str(value)


SCALARS: dict[type, AvroType] = {
    str: AvroType("string", "string", (str,), str, _text, keeps=True),
    int: AvroType("long", "long", (int,), int, _whole, keeps=True),
    float: AvroType("double", "double", (float, int), float, _real, keeps=True),
    bool: AvroType("boolean", "boolean", (bool,), bool, _truth, keeps=True),
    bytes: AvroType("bytes", "bytes", (bytes,), bytes, _binary, keeps=True),
    date: AvroType(
        {"type": "int", "logicalType": "date"},
        "int",
        (date,),
        int,
        _days,
        lambda days: date.fromordinal(days + _EPOCH_DAY),
    ),
    datetime: AvroType(
        {"type": "long", "logicalType": "timestamp-micros"},
        "long",
        (datetime,),
        int,
        _micros,
        _moment,
    ),
    time: AvroType(
        {"type": "long", "logicalType": "time-micros"}, "long", (time,), int, _micros_of_day, _time_of_day
    ),
    UUID: AvroType({"type": "string", "logicalType": "uuid"}, "string", (UUID,), str, _uuid_text, UUID),
}
"""The Avro type of every single-valued Python type."""


def decimal_of(digits: DecimalOf) -> AvroType:
    """Return the type of a Decimal: the unscaled number as big-endian two's complement bytes."""
    schema = {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": digits.precision,
        "scale": digits.scale,
    }
    limit = 10**digits.precision
    exact = Context(prec=digits.precision)

    def to_avro(value: Any) -> bytes:
        unscaled = _unscaled(value, digits)
        return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)

    def from_avro(body: bytes) -> Decimal:
        unscaled = int.from_bytes(body, "big", signed=True)
        if not -limit < unscaled < limit:
            raise Mismatch(f"a decimal of more than {digits.precision} digits")
        return Decimal(unscaled).scaleb(-digits.scale, exact)

    return AvroType(schema, "bytes", (Decimal,), bytes, to_avro, from_avro)


def _unscaled(value: Any, digits: DecimalOf) -> int:
    if not isinstance(value, Decimal):
        raise expected("Decimal", value)
    sign, numerals, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Mismatch("a Decimal that is not a number")
    if not value:
        return 0
    # Checked before any power of ten is computed: Decimal("1e999999") is a short value.
    if value.adjusted() + 1 + digits.scale > digits.precision:
        raise Mismatch(f"a decimal of more than {digits.precision} digits")
    number, shift = int("".join(map(str, numerals))), exponent + digits.scale
    dropped = -shift if shift < 0 else 0
    if dropped >= len(numerals) or number % 10**dropped:
        raise Mismatch(f"a decimal with more than {digits.scale} digits after the point")
    unscaled: int = number // 10**dropped * 10 ** max(shift, 0)
    return -unscaled if sign else unscaled

"""A shape: what one Python type is in Avro, and how its values go there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Schema = Any
"""An Avro schema as JSON gives it: a name, a dict or, for a union, a list."""

Convert = Callable[[Any], Any]


class Misfit(Exception):
    """Raised when a value doesn't fit its shape; says where and why, never what the value was.

    >>> str(Misfit("expected int, not str").inside("[]").inside("counts"))
    'counts[]: expected int, not str'
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason

    def inside(self, place: str) -> Misfit:
        """Say the same, seen from one level further out."""
        dot = "." if self.path and not self.path.startswith(("[", "{")) else ""
        return Misfit(self.reason, f"{place}{dot}{self.path}")


def expected(what: str, value: object) -> Misfit:
    """Make the `Misfit` of a value of another type."""
    return Misfit(f"expected {what}, not {type(value).__name__}")


@dataclass(frozen=True)
class Shape:
    """One Python type's schema and its two conversions.

    ``schema`` holds every named type in full; ``name`` is what a union calls the branch (a primitive's
    name, ``array``, ``map``, or a full name). ``python`` are the classes of its values, ``raw`` is the
    class that a decoded value has before ``from_avro`` (None for records and enums, which are told
    apart by name). ``to_avro`` checks a value and converts it; it raises `Misfit`. ``keeps`` says that
    it gives the very same value back. ``from_avro`` is None where there is nothing to convert.
    """

    schema: Schema
    name: str
    python: tuple[type, ...]
    raw: type | None
    to_avro: Convert
    from_avro: Convert | None = None
    keeps: bool = False

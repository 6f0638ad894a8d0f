"""Random event classes of every type, other versions of them, and values at the edges of each type."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import count
from random import Random
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from choreo import DecimalOf, event

BERLIN = ZoneInfo("Europe/Berlin")

EDGES: dict[type, list[Any]] = {
    str: ["", "ü", "\0", "\U0001f600" * 3, "x" * 5_000, "\ud800", "a\udfff"],
    int: [0, -(2**63), 2**63 - 1, 2**53 + 1, -(2**53) - 1, 2**63, 10**400, True],
    float: [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 3, 2**53 + 1, 10**400],
    bool: [True, False, 1],
    bytes: [b"", b"\xff\x00", b"x" * 1_000],
    date: [date.min, date.max, date(2024, 2, 29), datetime(2024, 1, 1, tzinfo=UTC)],
    datetime: [
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
        datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 1, 1),
    ],
    time: [time.min, time.max, time(2, 30, fold=1), time(1, tzinfo=UTC)],
    UUID: [UUID(int=0), UUID(int=2**128 - 1)],
    Decimal: [
        Decimal(text)
        for text in (
            "0",
            "-0",
            "12.34",
            "-12.3",
            "99999.9999",
            "1e5",
            "1E-999999999",
            "1E999999999",
            "NaN",
            "Infinity",
        )
    ],
}
DIGITS = [DecimalOf(12, 2), DecimalOf(12, 4), DecimalOf(9, 4), DecimalOf(40, 20)]
HALVES = [(int, datetime), (int, time), (str, UUID), (bytes, Annotated[Decimal, DIGITS[0]]), (datetime, time)]
"""Types that have the same Avro type but for the logical type."""


class Events:
    """Makes event classes by a seed."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._names = (f"T{number}" for number in count())

    def fields(self) -> dict[str, Any]:
        """Return the types of a few fields, by name."""
        return {f"f{number}": self._type(2) for number in range(self._chance.randint(1, 4))}

    def drifted(self, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return another version of the fields, and the old names of those that were renamed."""
        changed, renamed = dict(fields), {}
        for _ in range(self._chance.randint(0, 2)):
            name = self._chance.choice(list(changed))
            match self._chance.randrange(5):
                case 0:
                    changed[f"g{len(changed)}"] = (str | None, None)
                case 1 if len(changed) > 1:
                    del changed[name]
                case 2 if name in fields:
                    changed[f"h{name}"] = changed.pop(name)
                    renamed[f"h{name}"] = name
                case _:
                    changed[name] = self._other(changed[name])
        return changed, renamed

    def event(self, fields: dict[str, Any], renamed: dict[str, str]) -> type:
        """Return the event class with those fields; one given as (type, default) has a default."""
        made: list[Any] = []
        for name, kind in fields.items():
            more: dict[str, Any] = {"metadata": {"aliases": [renamed[name]]}} if name in renamed else {}
            if isinstance(kind, tuple):
                kind, more["default"] = kind
            made.append((name, kind, field(kw_only=True, **more)))
        plain = type("Happened", (), {name: f for name, _, f in made})
        plain.__annotations__ = {name: kind for name, kind, _ in made}
        return event(namespace="fuzz")(plain)

    def value(self, kind: Any) -> Any:
        """Return a value of a type; one at the edge, and sometimes beyond it."""
        if isinstance(kind, tuple):
            kind = kind[0]
        if dataclasses.is_dataclass(kind):
            return kind(**{f.name: self.value(f.type) for f in dataclasses.fields(kind)})
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._chance.choice(list(kind))
        if kind in EDGES:
            return self._chance.choice(EDGES[kind])
        if kind in (None, type(None)):
            return None
        return self._generic_value(kind)

    def _generic_value(self, kind: Any) -> Any:
        if hasattr(kind, "__metadata__"):
            return self.value(kind.__origin__)
        args = kind.__args__
        if not hasattr(kind, "__origin__") or kind.__origin__ not in (list, tuple, dict):
            return self.value(self._chance.choice(args))
        few = range(self._chance.randint(0, 2))
        if kind.__origin__ is dict:
            return {self.value(str): self.value(args[1]) for _ in few}
        return kind.__origin__(self.value(args[0]) for _ in few)

    def _type(self, depth: int) -> Any:
        forms = ["scalar"] * 4 + ["enum"] + ["list", "tuple", "dict", "record", "union"] * (depth > 0)
        match self._chance.choice(forms):
            case "enum":
                return Enum(next(self._names), self._chance.choice(["A B", "A B UNKNOWN", "A B C"]))
            case "list":
                return list[self._type(depth - 1)]  # type: ignore[misc]
            case "tuple":
                return tuple[self._type(depth - 1), ...]  # type: ignore[misc]
            case "dict":
                return dict[str, self._type(depth - 1)]  # type: ignore[misc]
            case "record":
                return self._record(
                    {f"x{n}": self._type(depth - 1) for n in range(self._chance.randint(1, 2))}
                )
            case "union":
                return self._chance.choice([int | float, str | None, int | str | None, self._type(0) | None])
        return self._scalar()

    def _record(self, fields: dict[str, Any], name: str = "") -> type:
        return dataclasses.make_dataclass(name or next(self._names), list(fields.items()), frozen=True)

    def _scalar(self) -> Any:
        kind = self._chance.choice(list(EDGES))
        return Annotated[Decimal, self._chance.choice(DIGITS)] if kind is Decimal else kind

    def _other(self, kind: Any) -> Any:
        """Return a type that a careless or a careful author may put in the place of another."""
        if isinstance(kind, tuple):
            return kind
        others = [pair[1 - pair.index(kind)] for pair in HALVES if kind in pair]
        if kind is float or kind is int:
            others += [float, int | float]
        if hasattr(kind, "__metadata__"):
            others += [Annotated[Decimal, each] for each in DIGITS]
        if isinstance(kind, type) and issubclass(kind, Enum):
            others += [Enum(kind.__name__, names) for names in ("A", "A B C UNKNOWN", "B A")]
        if dataclasses.is_dataclass(kind):
            inner = {f.name: f.type for f in dataclasses.fields(kind)}
            name = self._chance.choice(list(inner))
            others.append(self._record({**inner, name: self._other(inner[name])}, kind.__name__))
        if getattr(kind, "__origin__", None) is list:
            others += [tuple[kind.__args__[0], ...], list[self._other(kind.__args__[0])]]  # type: ignore[misc]
        return self._chance.choice(others) if others else (kind | None if kind is not None else kind)

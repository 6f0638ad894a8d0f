"""Events of every supported type, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated
from uuid import UUID

from choreo import DecimalOf
from choreo.events import event


class Colour(Enum):
    """What it looks like."""

    RED = 1
    GREEN = 2


class Speed(StrEnum):
    SLOW = "slow"
    UNKNOWN = "?"


@dataclass(frozen=True)
class Item:
    """One line of an order."""

    sku: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Card:
    number: str
    colour: Colour = Colour.RED


@dataclass
class Cash:
    amount: Annotated[Decimal, DecimalOf(10, 2)]

    def __post_init__(self) -> None:
        if self.amount < -(10**7):
            raise ValueError("too deep in debt")


@event(namespace="shop")
class Flat:
    order_id: str
    sku: str
    count: int


@event(namespace="shop")
class Rich:
    """Everything at once.

    And more.
    """

    text: Annotated[str, "some words"]
    whole: int
    real: float
    truth: bool
    binary: bytes
    day: date
    at: datetime
    clock: time
    key: UUID
    price: Annotated[Decimal, DecimalOf(12, 2)]
    colour: Colour
    item: Item
    items: list[Item]
    days: tuple[date, ...]
    counts: dict[str, int]
    carts: dict[str, list[Item]]
    paid: Card | Cash | None
    mixed: str | int | float | bool | list[int] | Item
    moment: datetime | None
    speed: Speed = Speed.SLOW
    note: str | None = None
    title: str | None = "untitled"
    tags: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    seal: bytes = b"\x00\xff"
    first: Item = Item("none")


@event(namespace="shop")
class Empty:
    pass

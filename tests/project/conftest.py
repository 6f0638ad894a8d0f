"""Fixtures of the project's tests: a project on disk, with a saga of two participants."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import folder

__all__ = ["folder", "shop"]

CONTRACT = """
from choreo import Saga, event


@event(namespace="shop")
class Ordered:
    order_id: str


@event(namespace="shop")
class Reserved:
    order_id: str


@event(namespace="shop")
class Unavailable:
    order_id: str
    reason: str


@event(namespace="shop")
class Released:
    order_id: str


@event(namespace="shop")
class Paid:
    order_id: str


@event(namespace="shop")
class NotPaid:
    order_id: str
    reason: str


@event(namespace="shop")
class Failed:
    order_id: str


order = Saga("order", starts=Ordered, completes=Paid, fails=Failed)
"""

STOCK = """
from choreo import Context, Participant

from .contract import Failed, Ordered, Released, Reserved, Unavailable, order

stock = Participant("stock", sagas=[order])


@stock.compensation(of=order.start)
def fail(order: Ordered, ctx: Context) -> Failed:
    return Failed(order.order_id)


@stock.action(fails=Unavailable)
def reserve(event: Ordered, ctx: Context) -> Reserved | Unavailable:
    return Reserved(event.order_id)


@stock.compensation(of=reserve)
def release(reserved: Reserved, ctx: Context) -> Released:
    return Released(reserved.order_id)
"""

TILL = """
from choreo import Context, Participant

from .contract import NotPaid, Paid, Reserved, order

till = Participant("till", sagas=[order])


@till.action(kind="pivot", fails=NotPaid)
def pay(event: Reserved, ctx: Context) -> Paid | NotPaid:
    return Paid(event.order_id)
"""


@pytest.fixture
def shop(folder: Path) -> str:
    """Write a package of two participants whose compensations name no event, and return its name."""
    package = folder / f"shop_{uuid4().hex[:8]}"
    package.mkdir()
    for name, source in {"__init__": "", "contract": CONTRACT, "stock": STOCK, "till": TILL}.items():
        (package / f"{name}.py").write_text(source)
    return package.name

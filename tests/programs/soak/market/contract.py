"""The market's saga: its events, and how each participant writes down what it has done.

orders    OrderPlaced  ............  fail_order  OrderFailed      (and `ship_is_late`, a deadline)
stock     reserve      Reserved      release     Released
payments  charge       Charged       refund      Refunded         (calls of the world)
shipping  ship         Shipped       call_back   CalledBack
mailer    confirm      OrderFulfilled
"""

from __future__ import annotations

import os

from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlite_utils import Database

from choreo import Context, Saga, event

WITH_SESSIONS = os.environ.get("CHOREO_SOAK_SESSIONS") == "1"
"""Whether handlers and web processes write by sessions of SQLAlchemy's."""

session = sessionmaker() if WITH_SESSIONS else None

PLANS = ("fine", "fine", "fine", "slow", "no stock", "no money", "no way", "late")
"""How an order may go: by its plan, where nothing else happens to it."""

POISONS = ("poison exit", "poison commit", "poison kill", "poison call", "poison bulk")
"""Plans that make a handler do what no handler should; such an order ends, or has a dead letter."""


@event(namespace="market")
class OrderPlaced:
    order_id: str
    plan: str


@event(namespace="market")
class OrderCancelled:
    order_id: str


@event(namespace="market")
class Reserved:
    order_id: str
    plan: str


@event(namespace="market")
class OutOfStock:
    order_id: str
    reason: str


@event(namespace="market")
class Released:
    order_id: str


@event(namespace="market")
class Charged:
    order_id: str
    plan: str


@event(namespace="market")
class ChargeRefused:
    order_id: str
    reason: str


@event(namespace="market")
class Refunded:
    order_id: str


@event(namespace="market")
class Shipped:
    order_id: str


@event(namespace="market")
class NoWay:
    order_id: str
    reason: str


@event(namespace="market")
class ShipmentLate:
    order_id: str


@event(namespace="market")
class CalledBack:
    order_id: str


@event(namespace="market")
class OrderFulfilled:
    order_id: str


@event(namespace="market")
class OrderFailed:
    order_id: str


market = Saga(
    "market", starts=OrderPlaced, completes=OrderFulfilled, fails=OrderFailed, aborts=OrderCancelled
)


class Base(DeclarativeBase): ...


class Effect(Base):
    """Something that a handler did."""

    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(primary_key=True)
    saga_id: Mapped[str]
    what: Mapped[str]


class Order(Base):
    """An order, which a web process writes in the transaction that starts the saga."""

    __tablename__ = "placed"
    order_id: Mapped[str] = mapped_column(primary_key=True)


def prepare(db: Database) -> None:
    """Make the tables of the service."""
    db.execute("create table if not exists effects (id integer primary key, saga_id text, what text)")
    db.execute("create table if not exists placed (order_id text primary key)")
    db.execute("create table if not exists known (name text primary key)")
    db.execute(
        "create table if not exists claims (name text references known (name) deferrable initially deferred)"
    )


def row(ctx: Context, what: str) -> None:
    """Write an effect's row; nothing keeps it from being written twice but choreo."""
    if WITH_SESSIONS:
        ctx.session.add(Effect(saga_id=ctx.saga_id, what=what))
    else:
        ctx.db.execute("insert into effects (saga_id, what) values (?, ?)", [ctx.saga_id, what])


def claim(ctx: Context) -> None:
    """Write a row that the commit refuses."""
    sql = "insert into claims values ('unknown')"
    if WITH_SESSIONS:
        ctx.session.execute(text(sql))
    else:
        ctx.db.execute("pragma defer_foreign_keys = on")
        ctx.db.execute(sql)


def call(ctx: Context, what: str) -> None:
    """Do something in the world, which does it once for a key: a line of a file."""
    world = os.open(os.environ["CHOREO_SOAK_WORLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(world, f"{ctx.idempotency_key} {ctx.saga_id} {what}\n".encode())
    os.close(world)

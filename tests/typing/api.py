"""The public API as a user types it. Checked by ``mypy --strict``, never run.

Unused ``type: ignore`` comments are errors there, so each one below proves that a mistake is seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, assert_type

from choreo import Aborted, Context, Earlier, Participant, Permanent, Retry, Saga, all_of, event
from choreo.participant import Handler, Status, Transaction
from choreo.protocol import Role


@event(namespace="shop")
class Ordered:
    order_id: str
    quantity: int = 1


@event
class Reserved:
    order_id: str


@event(name="SoldOut", namespace="shop")
class Unavailable:
    order_id: str
    reason: str


@event()
class Released:
    order_id: str


order = Ordered("o-1", quantity=2)
assert_type(order, Ordered)
assert_type(order.quantity, int)
Ordered(5)  # type: ignore[arg-type]
Ordered()  # type: ignore[call-arg]
order.order_id = "o-2"  # type: ignore[misc]
event("shop")  # type: ignore[call-overload]

shopping = Saga("shopping", starts=Ordered, completes=Reserved, fails=Unavailable)
Saga("shopping", starts=Ordered, completes=Reserved, fails=Unavailable, aborts=Released, topic="t", version=2)
Saga("shopping", starts=Ordered)  # type: ignore[call-arg]
Saga("shopping", starts="Ordered", completes=Reserved, fails=Unavailable)  # type: ignore[arg-type]
assert_type(shopping.events, tuple[type, ...])


def prepare(db: Any) -> None: ...


inventory = Participant("inventory", sagas=[shopping], retry=Retry(attempts=3), prepare=prepare)
Participant("inventory")  # type: ignore[call-arg]
Participant("inventory", sagas=shopping)  # type: ignore[arg-type]
Retry(delay=timedelta(seconds=1), factor=1.5, longest=timedelta(minutes=1))
Retry(delay=1)  # type: ignore[arg-type]


@inventory.action(fails=Unavailable, timeout=timedelta(minutes=2), retry=Retry())
def reserve(event: Ordered, ctx: Context) -> Reserved | Unavailable:
    if event.quantity > 5:
        raise Permanent("too many")
    ctx.db.execute("insert into reservations values (?)", [event.order_id])
    return Reserved(event.order_id)


@inventory.observer
def note(event: Reserved, order: Earlier[Ordered], gone: Earlier[Unavailable] | None) -> None:
    assert_type(order, Ordered)
    assert_type(gone, Unavailable | None)


reserve_as_written: Callable[[Ordered, Context], Reserved | Unavailable] = reserve
reserve("o-1", None)  # type: ignore[arg-type]


@inventory.action(kind="retriable", on=all_of(Ordered, Reserved) | Released, emits=Released, saga=shopping)
def notify(ctx: Context) -> Released:
    return Released(ctx.saga_id)


notify_as_written: Callable[[Context], Released] = notify


@inventory.action(kind="pivot", fails=(Unavailable,), answer=lambda event, reason: Unavailable("", reason))
def settle(event: Reserved) -> Released:
    return Released(event.order_id)


@inventory.action(fails=Unavailable, partial=False)
async def ask(event: Ordered, ctx: Context) -> Reserved | Unavailable:
    return Reserved(event.order_id)


ask_as_written: Callable[[Ordered, Context], Coroutine[Any, Any, Reserved | Unavailable]] = ask


@inventory.action(fails=Unavailable, blocking=True)
def wait(event: Ordered) -> Reserved:
    return Reserved(event.order_id)


wait_as_written: Callable[[Ordered], Reserved] = wait


@inventory.compensation(of=ask, blocking=True)
def withdraw(event: Unavailable, reserved: Reserved) -> Released:
    return Released(reserved.order_id)


@inventory.compensation(of=reserve, ignore=(KeyError, LookupError), retry=Retry(attempts=9))
def release(event: Unavailable | Aborted, reserved: Reserved | None, ctx: Context) -> Released:
    if isinstance(event, Aborted):
        assert_type(event.reason, str)
    return Released(ctx.saga_id)


release_as_written: Callable[[Unavailable | Aborted, Reserved | None, Context], Released] = release


@inventory.compensation(of=shopping.start, ignore=KeyError)
def fail(event: Released, order: Ordered) -> Unavailable:
    return Unavailable(order.order_id, "no reason")


@inventory.compensation(of="inventory.reserve", on=all_of(Released, Unavailable))
def release_by_name(reserved: Reserved) -> Released:
    return Released(reserved.order_id)


@inventory.observer
def project(event: Reserved, ctx: Context) -> None:
    ctx.log.info("reserved %s", event.order_id)


@inventory.observer(on=Released, retry=Retry(attempts=2))
def count(ctx: Context) -> None: ...


project_as_written: Callable[[Reserved, Context], None] = project
count_as_written: Callable[[Context], None] = count
assert_type(project(Reserved("o-1"), None), None)  # type: ignore[arg-type]


inventory.action(fail=Unavailable)  # type: ignore[call-overload]
inventory.action(fails="Unavailable")  # type: ignore[call-overload]
inventory.action(kind="pivott")  # type: ignore[call-overload]
inventory.action(kind="external")  # type: ignore[call-overload]
inventory.action(timeout=30)  # type: ignore[call-overload]
inventory.action("reserve")  # type: ignore[call-overload]
inventory.action(blocking=1.5)  # type: ignore[call-overload]
inventory.observer(blocking=True)  # type: ignore[call-overload]
inventory.compensation()  # type: ignore[call-overload]
inventory.compensation(release)  # type: ignore[call-overload]
inventory.compensation(of=5)  # type: ignore[call-overload]
inventory.compensation(of=reserve, off=reserve)  # type: ignore[call-overload]
inventory.compensation(of=reserve, ignore="KeyError")  # type: ignore[call-overload]
inventory.compensation(of=reserve, ignore=KeyboardInterrupt)  # type: ignore[arg-type]
inventory.observer(fails=Unavailable)  # type: ignore[call-overload]
inventory.observer(retry=3)  # type: ignore[call-overload]


def uses_the_context(ctx: Context) -> None:
    assert_type(ctx.saga_id, str)
    ctx.extend(timedelta(seconds=30))
    ctx.extend(30)  # type: ignore[arg-type]
    assert_type(ctx.step, str)
    assert_type(ctx.idempotency_key, str)
    assert_type(ctx.attempt, int)
    assert_type(ctx.now, datetime)
    assert_type(ctx.log, logging.LoggerAdapter[logging.Logger])
    ctx.db.table("reservations").insert({"order_id": ctx.saga_id})
    ctx.saga_id = "another"  # type: ignore[misc]


def starts_a_saga() -> str:
    assert_type(inventory.status("o-1"), Status | None)
    assert_type(inventory.wait("o-1", timedelta(seconds=1), saga=shopping), Status | None)
    inventory.wait("o-1")  # type: ignore[call-arg]
    inventory.wait("o-1", 5)  # type: ignore[arg-type]
    assert_type(inventory.transaction(), AbstractContextManager[Transaction])
    assert_type(inventory.transaction(within="default"), AbstractContextManager[Transaction])
    with inventory.transaction() as tx:
        tx.db["orders"].insert({"order_id": order.order_id})
        assert_type(tx.start(order), str)
        tx.cancel("o-1", Released("o-1"))
        tx.start(order, 5)  # type: ignore[arg-type]
        return tx.start(order, saga_id=order.order_id)


assert_type(inventory.handlers, tuple[Handler, ...])
assert_type(inventory.events, tuple[type, ...])
assert_type(inventory.roles(), dict[str, Role])

"""The scenario of `choreo demo orders`: one order that succeeds, one that fails at each step that can."""

from collections.abc import Callable, Iterator, Mapping

from sqlite_utils import Database

from ..orders.contract import OrderCreated
from ..orders.inventory import inventory
from ..orders.notifications import notifications
from ..orders.orders import orders, place_order
from ..orders.payments import payments
from ..orders.shipping import shipping
from . import Case, Check, Scenario


def order(
    order_id: str,
    customer: str = "ada",
    sku: str = "apple",
    quantity: int = 2,
    total: int = 500,
    address: str = "12 Elm Street",
) -> Callable[[], str]:
    return lambda: place_order(OrderCreated(order_id, customer, sku, quantity, total, address))


def balance(databases: Mapping[str, Database]) -> Iterator[Check]:
    """Compare what the five services have in their tables."""
    status = dict(databases["orders"].execute("select order_id, status from orders").fetchall())
    fulfilled = {order_id for order_id, state in status.items() if state == "fulfilled"}
    failed = {order_id for order_id, state in status.items() if state == "failed"}
    yield Check(
        "every order is fulfilled or failed",
        f"{len(fulfilled)} fulfilled, {len(failed)} failed, {len(status)} in all",
        fulfilled | failed == set(status),
    )
    yield from _stock(databases["inventory"], fulfilled)
    yield from _money(databases["payments"], fulfilled)
    shipped = _ids(databases["shipping"], "shipments")
    yield Check("parcels are on their way for fulfilled orders only", f"{len(shipped)}", shipped == fulfilled)
    mails = set(databases["notifications"].execute("select order_id, subject from mails").fetchall())
    wanted = {(each, "confirmed") for each in fulfilled} | {(each, "cancelled") for each in failed}
    yield Check("every customer got one mail, the right one", f"{len(mails)} mails", mails == wanted)


def _stock(db: Database, fulfilled: set[str]) -> Iterator[Check]:
    (available,) = db.execute("select sum(available) from stock").fetchone()
    (reserved,) = db.execute("select coalesce(sum(quantity), 0) from reservations").fetchone()
    yield Check(
        "stock: available and reserved are what there was",
        f"{available:,} + {reserved} = {available + reserved:,}",
        available + reserved == 1_000_005 and _ids(db, "reservations") == fulfilled,
    )


def _money(db: Database, fulfilled: set[str]) -> Iterator[Check]:
    accounts = dict(db.execute("select customer, balance from accounts").fetchall())
    (charged,) = db.execute("select coalesce(sum(amount), 0) from charges").fetchone()
    yield Check(
        "money: ada, bob and the shop have together what they had",
        " + ".join(f"{accounts[each]:,}" for each in ("ada", "bob", "shop"))
        + f" = {sum(accounts.values()):,} cents",
        sum(accounts.values()) == 100_000_100,
    )
    yield Check(
        "the shop was paid for fulfilled orders only",
        f"{charged:,} cents charged",
        accounts["shop"] == charged and _ids(db, "charges") == fulfilled,
    )


def _ids(db: Database, table: str) -> set[str]:
    return {order_id for (order_id,) in db.execute(f"select order_id from {table}").fetchall()}


scenario = Scenario(
    participants=[orders, inventory, payments, shipping, notifications],
    cases=[
        Case("An order that succeeds", order("order-1"), "completed"),
        Case("Not enough in stock", order("order-2", sku="pear", quantity=50), "failed"),
        Case("The customer can't pay", order("order-3", customer="bob", total=5000), "failed"),
        Case("No carrier goes there", order("order-4", address="nowhere"), "failed"),
        Case("The mail server is busy for a moment", order("order-5-slow"), "completed"),
    ],
    balance=balance,
    takes_any_store=True,
)
